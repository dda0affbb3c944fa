"""What every congestion control offers (RFC 5681); it owns ``cwnd`` and ``ssthresh`` and nothing else. All in octets."""

from typing import Protocol


class CongestionControl(Protocol):
    """One connection's congestion window."""

    name: str
    cwnd: int
    ssthresh: int

    def on_ack(self, acked: int, flight: int) -> None:
        """New data was acknowledged outside loss recovery, while ``flight`` octets were outstanding."""
        ...

    def on_fast_retransmit(self, flight: int) -> None:
        """Three duplicate ACKs: a segment is taken as lost while ``flight`` octets were outstanding."""
        ...

    def on_recovery(self, flight: int) -> None:
        """Loss recovery by SACK begins (RFC 6675 5): what is in the network is counted there, not in ``cwnd``."""
        ...

    def on_duplicate_ack(self) -> None:
        """One more segment has left the network during fast recovery."""
        ...

    def on_partial_ack(self, acked: int) -> None:
        """An ACK during fast recovery did not cover all of it (RFC 6582 3.2)."""
        ...

    def on_recovered(self, flight: int) -> None:
        """Fast recovery is over; ``flight`` octets are outstanding."""
        ...

    def on_timeout(self, flight: int, *, again: bool) -> None:
        """The retransmission timer expired; ``again`` for the same segment."""
        ...

    def on_idle(self) -> None:
        """Nothing was sent for longer than the retransmission timeout (RFC 5681 4.1)."""
        ...

    def set_mss(self, mss: int) -> None:
        """The effective send MSS changed."""
        ...
