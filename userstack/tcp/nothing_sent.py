"""Loss recovery of a connection that has sent neither text nor FIN: nothing can be lost, and nothing is to be remembered."""

from typing import Final

from userstack.tcp.congestion.base import CongestionControl
from userstack.tcp.recovery import Lost, Phase


class NothingSent:
    """See ``LossRecovery`` for the meaning of the methods. It has no state, so that one serves every connection."""

    __slots__ = ("duplicates", "fast")

    def __init__(self) -> None:
        self.duplicates = 0
        self.fast = False

    @property
    def sacked(self) -> int:
        """None."""
        return 0

    def lost(self, mss: int) -> tuple[int, int]:
        """None."""
        return 0, 0

    def phase(self, snd_una: int) -> Phase:
        """Nothing has happened."""
        return Phase.OPEN

    def begin(self, snd_una: int) -> None:
        """Whoever takes its place is told where data begins."""

    def sent(self, first: int, end: int, size: int, now: int) -> None:
        """Not here: see ``first_text.goes``."""

    def on_ack(self, acked: int, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl, now: int) -> None:
        """Of a SYN at most."""

    def on_duplicate(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> bool:
        """It says nothing."""
        return False

    def on_timeout(self, snd_una: int, snd_nxt: int, congestion: CongestionControl, now: int) -> bool:
        """Of a SYN at most."""
        return False

    def resend_all(self, snd_una: int, snd_nxt: int) -> None:
        """A SYN is sent again by its timer."""

    def keeps_timer(self, ack: int) -> bool:
        """RFC 6298 (5.3)."""
        return False

    def next_lost(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """None."""
        return None

    def next_doubtful(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """None."""
        return None

    def resent(self, lost: Lost, end: int, now: int) -> None:
        """Nothing is."""

    def room(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> int:
        """All of the window that no SYN takes."""
        return snd_una + cwnd - snd_nxt


NOTHING_SENT: Final = NothingSent()
"""That of every such connection; see ``first_text``."""
