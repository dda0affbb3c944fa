"""Slow start and congestion avoidance of RFC 5681, with RFC 6582's window during fast recovery. All in octets."""


class Reno:
    """The standard algorithm; see ``CongestionControl`` for the meaning of the methods."""

    __slots__ = ("_acked", "_initial", "_limit", "_mss", "_used", "_used_until", "_validate", "cwnd", "name", "ssthresh")

    def __init__(self, mss: int, initial: int, *, limit: int = 1, validate: bool = False) -> None:
        """See ``abc_limit`` and ``cwnd_validation`` of ``StackConfig`` for ``limit`` and ``validate``."""
        self.name = "reno"
        self._mss = mss
        self._initial = self.cwnd = initial
        self.ssthresh = 1 << 30
        self._acked = 0
        self._limit = limit
        self._validate = validate
        self._used = self._used_until = 0

    def on_ack(self, acked: int, flight: int) -> None:
        """Equation (2) below ``ssthresh``; above it one segment for each window of octets acknowledged.

        It has no ceiling: the peer's window bounds what is in flight, and RFC 5681 lets the number grow.
        """
        if self._validate and not self._is_used(acked, flight):
            return
        if self.cwnd < self.ssthresh:
            self.cwnd += min(acked, self._limit * self._mss)
            return
        self._acked += acked
        if self._acked >= self.cwnd:
            self._acked -= self.cwnd
            self.cwnd += self._mss

    def on_fast_retransmit(self, flight: int) -> None:
        """Steps 2 and 3 of RFC 5681 3.2: halve, and count the three segments that have left."""
        self.ssthresh = self._half(flight)
        self.cwnd = self.ssthresh + 3 * self._mss

    def on_recovery(self, flight: int) -> None:
        """Step (4.2) of RFC 6675 5."""
        self.ssthresh = self.cwnd = self._half(flight)
        self._acked = 0

    def on_duplicate_ack(self) -> None:
        """Step 4."""
        self.cwnd += self._mss

    def on_partial_ack(self, acked: int) -> None:
        """RFC 6582 3.2 step 3: deflate by what was acknowledged, add back one segment."""
        self.cwnd = max(self.cwnd - acked, self._mss)
        if acked >= self._mss:
            self.cwnd += self._mss

    def on_recovered(self, flight: int) -> None:
        """RFC 6582 3.2 step 3, full acknowledgement, option 1: no burst."""
        self.cwnd = min(self.ssthresh, max(flight, self._mss) + self._mss)
        self._acked = 0

    def on_timeout(self, flight: int, *, again: bool) -> None:
        """Equation (4), held on repeated timeouts of one segment, and the loss window."""
        if not again:
            self.ssthresh = self._half(flight)
        self.cwnd = self._mss
        self._acked = 0

    def on_idle(self) -> None:
        """The restart window."""
        self.cwnd = min(self.cwnd, self._initial)

    def set_mss(self, mss: int) -> None:
        """Keep the window in octets, at least one segment of the new size."""
        self._mss = mss
        self.cwnd = max(self.cwnd, mss)

    def _is_used(self, acked: int, flight: int) -> bool:
        """True where the most that was outstanding in this window needed it: more than half in slow start, else all of it."""
        if self._used_until <= 0 or flight > self._used:
            self._used = self._used_until = flight
        self._used_until -= acked
        return 2 * self._used > self.cwnd if self.cwnd < self.ssthresh else self._used + self._mss > self.cwnd

    def _half(self, flight: int) -> int:
        return max(flight // 2, 2 * self._mss)
