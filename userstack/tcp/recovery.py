"""What has to be sent again: after a timeout all from SND.UNA on, after three duplicate ACKs one segment (RFC 5681, 6582).

``resend`` up to ``resend_end`` is the part of the sequence space that is taken as lost and not yet sent again.
"""

from userstack.tcp.congestion.base import CongestionControl

_DUPLICATES = 3


class Recovery:
    """Loss detection and NewReno's fast recovery of one connection."""

    __slots__ = ("_partial", "duplicates", "fast", "recover", "resend", "resend_end")

    def __init__(self, iss: int) -> None:
        self.duplicates = 0
        self.fast = False
        self._partial = False
        self.recover = iss
        """RFC 6582: the highest sequence number sent when the last loss was found; no new fast retransmit up to it."""
        self.resend = iss
        self.resend_end = iss

    def on_timeout(self, snd_una: int, snd_nxt: int) -> None:
        """RFC 6298 (5.4) and RFC 6582 4: everything outstanding is taken as lost."""
        self.duplicates = 0
        self.fast = False
        self.recover = snd_nxt
        self.resend, self.resend_end = snd_una, snd_nxt

    def on_duplicate(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> bool:
        """One more duplicate ACK; True when it makes the first segment be sent again."""
        self.duplicates += 1
        if self.fast:
            congestion.on_duplicate_ack()
            return False
        if self.duplicates != _DUPLICATES or snd_una <= self.recover:
            return False
        self.fast = True
        self._partial = False
        self.recover = snd_nxt
        congestion.on_fast_retransmit(snd_nxt - snd_una)
        self._resend_one(snd_una, snd_nxt, mss)
        return True

    def is_repeated_partial(self, ack: int) -> bool:
        """True for a partial ACK of fast recovery that is not its first."""
        return self.fast and self._partial and ack < self.recover

    def on_ack(self, acked: int, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> None:
        """SND.UNA has moved by ``acked`` octets to ``snd_una``."""
        self.duplicates = 0
        self.resend = max(self.resend, snd_una)
        if not self.fast:
            congestion.on_ack(acked)
        elif snd_una >= self.recover:
            self.fast = False
            congestion.on_recovered(snd_nxt - snd_una)
        else:
            self._partial = True
            congestion.on_partial_ack(acked)
            self._resend_one(snd_una, snd_nxt, mss)

    def _resend_one(self, snd_una: int, snd_nxt: int, mss: int) -> None:
        self.resend, self.resend_end = snd_una, min(snd_una + mss, snd_nxt)
