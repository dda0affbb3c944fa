"""What has to be sent again, and how much may be on its way meanwhile: what each way of loss recovery offers."""

from enum import Enum
from typing import NamedTuple, Protocol

from userstack.tcp.congestion.base import CongestionControl


class Phase(Enum):
    """Where loss recovery stands; the names are those of Linux (``tcpi_ca_state``)."""

    OPEN = "open"
    DISORDER = "disorder"
    """There are duplicate ACKs or SACKs, not enough to take anything as lost."""
    CWR = "cwr"
    """The window was reduced for a mark (RFC 3168)."""
    RECOVERY = "recovery"
    """Fast recovery."""
    LOSS = "loss"
    """A timeout is being repaired."""


class Lost(NamedTuple):
    """A part of the sequence space that is to be sent again."""

    first: int
    end: int
    """After its last number."""
    room: int
    """How many octets the congestion window allows."""
    rescue: bool = False
    """RFC 6675, NextSeg () rule (4)."""
    exact: bool = False
    """It goes out as it did before: nothing new fills it up."""


class LossRecovery(Protocol):
    """Loss detection and fast recovery: without SACK (``NewReno``), with it (``SackRecovery``), by time (``RackRecovery``)."""

    fast: bool
    """Fast recovery goes on."""
    duplicates: int
    """Duplicate ACKs since SND.UNA moved last."""

    @property
    def sacked(self) -> int:
        """How many octets of what is outstanding the peer has SACKed."""
        ...

    def lost(self, mss: int) -> tuple[int, int]:
        """Segments taken as lost, and those of them that were sent again and are on their way."""
        ...

    def phase(self, snd_una: int) -> Phase:
        """Where it stands."""
        ...

    def begin(self, snd_una: int) -> None:
        """The handshake is over: data begins at ``snd_una``."""
        ...

    def sent(self, first: int, end: int, size: int, now: int) -> None:
        """``first`` up to ``end`` has gone out for the first time, in segments of ``size`` octets."""
        ...

    def on_ack(self, acked: int, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl, now: int) -> None:
        """SND.UNA has moved by ``acked`` octets to ``snd_una``."""
        ...

    def on_duplicate(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> bool:
        """One more duplicate ACK; True when it begins fast recovery."""
        ...

    def on_timeout(self, snd_una: int, snd_nxt: int, congestion: CongestionControl, now: int) -> bool:
        """RFC 6298 (5.4): everything outstanding is taken as lost. True where the peer has reneged on what it had SACKed."""
        ...

    def resend_all(self, snd_una: int, snd_nxt: int) -> None:
        """Send everything outstanding again that the peer is not known to have."""
        ...

    def keeps_timer(self, ack: int) -> bool:
        """True where this new ACK must not restart the retransmission timer."""
        ...

    def next_lost(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """What is taken as lost and was not yet sent again."""
        ...

    def next_doubtful(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """What may be sent again where there is nothing new to send."""
        ...

    def resent(self, lost: Lost, end: int, now: int) -> None:
        """``lost``, up to ``end``, has gone out again."""
        ...

    def room(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> int:
        """How many octets of new data ``cwnd`` allows now."""
        ...
