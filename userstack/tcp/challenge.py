"""The throttle of challenge ACKs (RFC 5961 7): one for the whole stack."""

from userstack.config import SECOND


class ChallengeThrottle:
    """Allows ``limit`` challenge ACKs in each second."""

    __slots__ = ("_left", "_limit", "_until")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left = limit
        self._until: int | None = None

    def allow(self, now: int) -> bool:
        """True if one more may be sent at ``now``; it counts as sent."""
        if self._until is None or now >= self._until:
            self._until, self._left = now + SECOND, self._limit
        if self._left <= 0:
            return False
        self._left -= 1
        return True
