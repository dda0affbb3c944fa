"""Proportional rate reduction (RFC 6937): during fast recovery the window shrinks with what is delivered, not at once.

Counted in segments, as Linux does; the reduction bound is the slow start one (PRR-SSRB).
"""


class RateReduction:
    """One recovery's account."""

    __slots__ = ("_before", "_delivered", "_target", "sent")

    def __init__(self, before: int, target: int) -> None:
        self._before = max(before, 1)
        """RecoverFS."""
        self._target = target
        """ssthresh."""
        self._delivered = 0
        """prr_delivered."""
        self.sent = 0
        """prr_out."""

    def allow(self, pipe: int, delivered: int, *, una_moved: bool, newly_lost: int) -> int:
        """How many segments may go out now (sndcnt of RFC 6937 3.1)."""
        self._delivered += delivered
        if pipe > self._target:
            count = -(-self._delivered * self._target // self._before) - self.sent
        else:
            count = max(self._delivered - self.sent, delivered)
            if una_moved and not newly_lost:
                count += 1
            count = min(self._target - pipe, count)
        return max(count, 0 if self.sent else 1)  # the first is always sent again at once
