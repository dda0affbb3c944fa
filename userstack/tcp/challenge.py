"""The throttle of challenge ACKs (RFC 5961 7): one for the whole stack.

Note: with a count that everybody knows, a peer could learn from its own share of it whether another connection was challenged
(CVE-2016-5696). So what a second allows is drawn anew, between half the limit and all of it.
"""

from collections.abc import Callable

from userstack.config import SECOND


class ChallengeThrottle:
    """Allows at most ``limit`` challenge ACKs in each second. ``random(n)`` gives 0 to n - 1; without it every second has all."""

    __slots__ = ("_left", "_limit", "_random", "_until")

    def __init__(self, limit: int, random: Callable[[int], int] | None = None) -> None:
        self._limit = limit
        self._random = random
        self._left = 0
        self._until: int | None = None

    def allow(self, now: int) -> bool:
        """True if one more may be sent at ``now``; it counts as sent."""
        if self._until is None or now >= self._until:
            self._until = now + SECOND
            self._left = self._limit - (0 if self._random is None else self._random(self._limit // 2 + 1))
        if self._left <= 0:
            return False
        self._left -= 1
        return True
