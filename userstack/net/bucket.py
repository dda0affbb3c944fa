"""The token bucket, which lets a burst through and keeps to a rate in the long run."""

from userstack.config import SECOND


class TokenBucket:
    """Full at first: ``burst`` tokens; ``rate`` of them come back each second."""

    __slots__ = ("_full", "_level", "_price", "_time")

    def __init__(self, *, rate: int, burst: int) -> None:
        # Counted in nanoseconds of waiting, so that nothing is lost to rounding.
        self._price = SECOND // rate
        self._full = self._level = burst * self._price
        self._time = 0

    def take(self, *, now: int) -> bool:
        """Take a token; False where there is none."""
        self._level = min(self._full, self._level + now - self._time)
        self._time = now
        if self._level < self._price:
            return False
        self._level -= self._price
        return True
