"""Giving back what a retransmission has cost that was not needed: the Eifel detection (RFC 3522) and D-SACKs (RFC 3708)."""

from userstack.tcp.congestion.base import CongestionControl


class Undo:
    """What the windows were before the last reduction, and how it may turn out that nothing was lost."""

    __slots__ = ("_before", "_first_at", "unreported")

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None
        """cwnd and ssthresh."""
        self._first_at: int | None = None
        """When the first segment was sent again."""
        self.unreported = 0
        """Segments sent again that no D-SACK has reported."""

    def begin(self, cwnd: int, ssthresh: int) -> None:
        """The window is about to be reduced."""
        self._before = cwnd, ssthresh
        self._first_at = None
        self.unreported = 0

    def resent(self, now: int) -> None:
        """A segment went out again."""
        if self._first_at is None:
            self._first_at = now
        self.unreported += 1

    def reported(self) -> None:
        """A D-SACK: one of them was not needed."""
        self.unreported -= 1

    def justified(self, echoed: int | None) -> bool:
        """Each was reported (RFC 3708), or the ACK echoes a segment that was sent before the first of them (RFC 3522)."""
        if self._before is None or self._first_at is None:
            return False
        return self.unreported <= 0 or (echoed is not None and echoed <= self._first_at)

    def apply(self, congestion: CongestionControl) -> None:
        """The windows are as if nothing had happened."""
        if self._before is not None:
            congestion.cwnd = max(congestion.cwnd, self._before[0])
            congestion.ssthresh = max(congestion.ssthresh, self._before[1])
            self._before = None
