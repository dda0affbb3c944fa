"""The token bucket: a burst at once, a rate in the long run."""

import pytest

from userstack.config import SECOND
from userstack.net.bucket import TokenBucket


def taken(bucket: TokenBucket, now: int, tries: int = 100) -> int:
    return sum(bucket.take(now=now) for _ in range(tries))


@pytest.mark.parametrize("start", [0, 10**18])
def test_it_gives_a_burst_and_then_the_rate(start: int) -> None:
    bucket = TokenBucket(rate=10, burst=5)
    assert taken(bucket, start) == 5
    assert taken(bucket, start + SECOND // 10 - 1) == 0
    assert taken(bucket, start + SECOND // 10) == 1
    assert taken(bucket, start + SECOND // 10 + SECOND // 2 - 1) == 4
    assert taken(bucket, start + SECOND // 10 + SECOND // 2) == 1


def test_it_keeps_no_more_than_a_burst() -> None:
    bucket = TokenBucket(rate=10, burst=5)
    assert taken(bucket, 0) == 5
    assert taken(bucket, 3600 * SECOND) == 5


def test_asking_often_costs_nothing() -> None:
    bucket = TokenBucket(rate=3, burst=1)
    assert sum(bucket.take(now=ms * 1_000_000) for ms in range(10_000)) == 30
