"""Each second's share of challenge ACKs is drawn anew, so that no peer can count another's (CVE-2016-5696)."""

import random

from userstack.config import SECOND
from userstack.tcp.challenge import ChallengeThrottle


def share(throttle: ChallengeThrottle, now: int) -> int:
    """How many are allowed in the second that begins at ``now``."""
    return sum(throttle.allow(now) for _ in range(1_000))


def test_shares_lie_between_half_the_limit_and_all_of_it_and_differ() -> None:
    throttle = ChallengeThrottle(100, random.Random(7).randrange)
    shares = [share(throttle, second * SECOND) for second in range(50)]
    assert all(50 <= number <= 100 for number in shares)
    assert len(set(shares)) > 10


def test_without_chance_every_second_has_the_whole_limit() -> None:
    throttle = ChallengeThrottle(100)
    assert [share(throttle, second * SECOND) for second in range(3)] == [100, 100, 100]


def test_a_limit_of_one_still_allows_one() -> None:
    throttle = ChallengeThrottle(1, random.Random(7).randrange)
    assert [share(throttle, second * SECOND) for second in range(20)] == [1] * 20
