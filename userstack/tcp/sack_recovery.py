"""Loss recovery by SACK (RFC 6675): the scoreboard says what is lost, ``pipe`` what is still in the network."""

from userstack.tcp.congestion.base import CongestionControl
from userstack.tcp.recovery import Lost, Phase
from userstack.tcp.sack import Block
from userstack.tcp.scoreboard import DUP_THRESH, Scoreboard


class SackRecovery:
    """See ``LossRecovery`` for the meaning of the methods."""

    __slots__ = (
        "_first_due",
        "_high_rxt",
        "_lost_below",
        "_recovery_point",
        "_rescue_rxt",
        "_sacked_lost_below",
        "duplicates",
        "fast",
        "scoreboard",
    )

    def __init__(self, iss: int, max_ranges: int) -> None:
        self.scoreboard = Scoreboard(max_ranges)
        self.duplicates = 0
        self.fast = False
        self._recovery_point = iss
        """RecoveryPoint: no new recovery phase before it is acknowledged."""
        self._high_rxt = iss
        """HighRxt: what has been sent again lies below it."""
        self._rescue_rxt = iss
        """RescueRxt."""
        self._lost_below = iss
        """What lies below it and is not SACKed was lost by a timeout, whatever the scoreboard says."""
        self._sacked_lost_below = 0
        """The same by IsLost ()."""
        self._first_due = False
        """RFC 6675 5 (4.3): the first segment is sent again whatever ``pipe`` says."""

    @property
    def sacked(self) -> int:
        """As the scoreboard has it."""
        return self.scoreboard.octets

    def lost(self, mss: int) -> tuple[int, int]:
        """As the scoreboard has it, in whole segments."""
        below = self._lost_edge
        first = self.scoreboard.una
        lost, again = self.scoreboard.unsacked(first, below), self.scoreboard.unsacked(first, min(self._high_rxt, below))
        return -(-lost // mss), -(-again // mss)

    def phase(self, snd_una: int) -> Phase:
        """A timeout is repaired when all is acknowledged that was outstanding then."""
        if self.fast:
            return Phase.RECOVERY
        if snd_una < self._recovery_point:
            return Phase.LOSS
        return Phase.DISORDER if len(self.scoreboard) else Phase.OPEN

    def begin(self, snd_una: int) -> None:
        """Nothing of what the handshake has sent counts."""
        self._recovery_point = self._high_rxt = self._rescue_rxt = self._lost_below = snd_una
        self.scoreboard.una = snd_una

    def on_blocks(self, blocks: list[Block], snd_una: int, snd_nxt: int, mss: int) -> tuple[int, int]:
        """Update (): how many octets are newly SACKed, and how many blocks were bogus."""
        news = self.scoreboard.update(blocks, snd_una, snd_nxt)
        self._sacked_lost_below = self.scoreboard.loss_edge(mss)
        return news

    def on_timeout(self, snd_una: int, snd_nxt: int, congestion: CongestionControl, now: int) -> bool:
        """RFC 6675 5.1: recovery ends; what the peer is known to have needs not be sent again.

        RFC 2018 8: where the left edge itself was SACKed, the peer has thrown it away, and perhaps the rest.
        """
        reneged = snd_una in self.scoreboard
        if reneged:
            self.scoreboard.clear()
        self.duplicates = 0
        self.fast = self._first_due = False
        self._recovery_point = snd_nxt
        self.resend_all(snd_una, snd_nxt)
        return reneged

    def resend_all(self, snd_una: int, snd_nxt: int) -> None:
        """All that is not SACKed."""
        self._lost_below, self._high_rxt = snd_nxt, snd_una

    def on_duplicate(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> bool:
        """An ACK that SACKs something new (RFC 6675 2), whether or not SND.UNA has moved: steps (1), (2) and (4)."""
        if self.fast:
            return False
        self.duplicates += 1
        if snd_una < self._recovery_point or not (self.duplicates >= DUP_THRESH or snd_una < self._sacked_lost_below):
            return False
        self.fast = self._first_due = True
        self._recovery_point = snd_nxt
        self._high_rxt = snd_una
        # (4.2): what limited transmit has sent beyond cwnd does not count.
        congestion.on_recovery(min(snd_nxt - snd_una, congestion.cwnd))
        return True

    def keeps_timer(self, ack: int) -> bool:
        """RFC 6298 (5.3)."""
        return False

    def on_ack(self, acked: int, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl, now: int) -> None:
        """RFC 6675 5, steps (A) and (B)."""
        self.duplicates = 0
        self._first_due = False
        self.scoreboard.advance(snd_una)
        if not self.fast:
            congestion.on_ack(acked, snd_nxt - snd_una + acked)
        elif snd_una >= self._recovery_point:
            self.fast = False

    def next_lost(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """Rule (1) of NextSeg ()."""
        if self._is_calm(snd_una) and not self._first_due:
            return None
        first, below = max(self._high_rxt, snd_una), self._lost_edge
        if self._first_due:
            hole = self.scoreboard.hole(snd_una, snd_nxt)
            return None if hole is None else Lost(*hole, mss)
        hole = self.scoreboard.hole(first, below) if first < below else None
        return None if hole is None else Lost(*hole, self.room(snd_una, snd_nxt, mss, cwnd))

    def next_doubtful(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """Rules (3) and (4) of NextSeg ()."""
        if not self.fast:
            return None
        room = self.room(snd_una, snd_nxt, mss, cwnd)
        hole = self.scoreboard.hole(max(self._high_rxt, snd_una), self.scoreboard.end)
        if hole is not None:
            return Lost(*hole, room)
        last = self.scoreboard.last_hole(snd_una, snd_nxt)
        if last is None or snd_una <= self._rescue_rxt:
            return None
        return Lost(max(last[0], last[1] - mss), last[1], room, rescue=True)

    def sent(self, first: int, end: int, size: int, now: int) -> None:
        """Single segments are not remembered."""

    def resent(self, lost: Lost, end: int, now: int) -> None:
        """RFC 6675 5, (4.3) and (C.2)."""
        if lost.rescue:
            self._rescue_rxt = self._recovery_point
        else:
            self._high_rxt = end
            if self._first_due:
                self._first_due, self._rescue_rxt = False, end

    def room(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> int:
        """``cwnd`` - ``pipe``; in recovery a whole segment or nothing (step (C)).

        Every SACKed octet has left the network, so that each makes room for a new one: limited transmit (RFC 3042), step (3).
        """
        if self._is_calm(snd_una):
            return cwnd - (snd_nxt - snd_una)
        room = cwnd - self.pipe(snd_una, snd_nxt)
        return room if room >= mss or not (self.fast or self._lost_below > snd_una) else 0

    def _is_calm(self, snd_una: int) -> bool:
        """Nothing is SACKed, nothing lost, nothing sent again."""
        return not self.fast and self._lost_below <= snd_una and self._high_rxt <= snd_una and not self.scoreboard.starts

    def pipe(self, snd_una: int, snd_nxt: int) -> int:
        """SetPipe (): octets outstanding that are neither SACKed nor lost, and those that were sent again."""
        if self._is_calm(snd_una):
            return snd_nxt - snd_una
        waiting = self.scoreboard.unsacked(max(self._lost_edge, snd_una), snd_nxt)
        return waiting + self.scoreboard.unsacked(snd_una, min(self._high_rxt, snd_nxt))

    @property
    def _lost_edge(self) -> int:
        """Below it what is not SACKed is lost. Outside recovery the scoreboard's word has no consequence yet."""
        return max(self._lost_below, self._sacked_lost_below) if self.fast else self._lost_below
