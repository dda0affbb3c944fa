"""Loss recovery without SACK: NewReno (RFC 6582), limited transmit (RFC 3042), go-back-N after a timeout.

``resend`` up to ``resend_end`` is the part of the sequence space that is taken as lost and not yet sent again.
"""

from typing import Final

from userstack.tcp.congestion.base import CongestionControl
from userstack.tcp.recovery import Lost, Phase

_DUPLICATES: Final = 3


class NewReno:
    """See ``LossRecovery`` for the meaning of the methods."""

    __slots__ = ("_partial", "_recover", "_resend", "_resend_end", "duplicates", "fast")

    def __init__(self, iss: int) -> None:
        self.duplicates = 0
        self.fast = False
        self._partial = False
        self._recover = iss
        """RFC 6582: the highest sequence number sent when the last loss was found; no new fast retransmit up to it."""
        self._resend = iss
        self._resend_end = iss

    @property
    def sacked(self) -> int:
        """None: nobody says."""
        return 0

    def lost(self, mss: int) -> tuple[int, int]:
        """In fast recovery one is, after a timeout all that was outstanding; which of it went again is not remembered."""
        waiting = max(-((self._resend - self._resend_end) // mss), 0)
        return (1, 1 - waiting) if self.fast and waiting < 2 else (waiting, 0)

    def phase(self, snd_una: int) -> Phase:
        """A timeout is repaired when all is acknowledged that was outstanding then."""
        if self.fast:
            return Phase.RECOVERY
        if snd_una < self._recover:
            return Phase.LOSS
        return Phase.DISORDER if self.duplicates else Phase.OPEN

    def begin(self, snd_una: int) -> None:
        """Nothing of what the handshake has sent counts."""
        self._resend = self._resend_end = snd_una
        self._recover = snd_una - 1

    def on_timeout(self, snd_una: int, snd_nxt: int, congestion: CongestionControl, now: int) -> bool:
        """RFC 6582 4: leave fast recovery."""
        self.duplicates = 0
        self.fast = False
        self._recover = snd_nxt
        self.resend_all(snd_una, snd_nxt)
        return False

    def resend_all(self, snd_una: int, snd_nxt: int) -> None:
        """All from SND.UNA on."""
        self._resend, self._resend_end = snd_una, snd_nxt

    def on_duplicate(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> bool:
        """The third makes the first segment be sent again."""
        self.duplicates += 1
        if self.fast:
            congestion.on_duplicate_ack()
            return False
        if self.duplicates != _DUPLICATES or snd_una <= self._recover:
            return False
        self.fast = True
        self._partial = False
        self._recover = snd_nxt
        # RFC 5681 3.2 step 2: what limited transmit has sent beyond cwnd does not count.
        congestion.on_fast_retransmit(min(snd_nxt - snd_una, congestion.cwnd))
        self._resend_one(snd_una, snd_nxt, mss)
        return True

    def keeps_timer(self, ack: int) -> bool:
        """RFC 6582 3.2 step 3: only the first partial ACK restarts it."""
        return self.fast and self._partial and ack < self._recover

    def on_ack(self, acked: int, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl, now: int) -> None:
        """RFC 6582 3.2 step 3."""
        self.duplicates = 0
        self._resend = max(self._resend, snd_una)
        if not self.fast:
            congestion.on_ack(acked, snd_nxt - snd_una + acked)
        elif snd_una >= self._recover:
            self.fast = False
            congestion.on_recovered(snd_nxt - snd_una)
        else:
            self._partial = True
            congestion.on_partial_ack(acked)
            self._resend_one(snd_una, snd_nxt, mss)

    def next_lost(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """What lies behind it counts as lost too, so that ``cwnd`` reaches from SND.UNA on."""
        first = max(self._resend, snd_una)
        return Lost(first, self._resend_end, snd_una + cwnd - first) if first < self._resend_end else None

    def next_doubtful(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """Without SACK nothing is known."""
        return None

    def sent(self, first: int, end: int, size: int, now: int) -> None:
        """Single segments are not remembered."""

    def resent(self, lost: Lost, end: int, now: int) -> None:
        """Go on behind it."""
        self._resend = end

    def room(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> int:
        """RFC 3042: each of the first two duplicates lets one more segment out."""
        limited = 0 if self.fast else min(self.duplicates, _DUPLICATES - 1) * mss
        return snd_una + cwnd + limited - snd_nxt

    def _resend_one(self, snd_una: int, snd_nxt: int, mss: int) -> None:
        self._resend, self._resend_end = snd_una, min(snd_una + mss, snd_nxt)
