"""Loss recovery by time: RACK (RFC 8985), with proportional rate reduction (RFC 6937), as Linux recovers.

A segment is lost when one that was sent sufficiently later has been delivered. So each segment is remembered with the time when it
was last sent, and what is sent again is cut as it was sent first.
"""

from bisect import bisect_left, bisect_right
from operator import attrgetter
from typing import Final

from userstack.counters import Counters
from userstack.tcp.congestion.base import CongestionControl
from userstack.tcp.prr import RateReduction
from userstack.tcp.recovery import Lost, Phase
from userstack.tcp.reordering import Reordering
from userstack.tcp.rtt import RttEstimator
from userstack.tcp.sack import Block, is_duplicate
from userstack.tcp.scoreboard import DUP_THRESH
from userstack.tcp.sent_segment import SentSegment
from userstack.tcp.undo import Undo

_PERSISTENT: Final = 16
"""RFC 8985 6.2: for so many recoveries a reordering window that D-SACKs have widened stays wide."""


_start: Final = attrgetter("start")
_end: Final = attrgetter("end")


class RackRecovery:
    """See ``LossRecovery`` for the meaning of the methods."""

    __slots__ = (
        "_count",
        "_counters",
        "_delivered",
        "_dsack_round",
        "_end",
        "_ended",
        "_fack",
        "_fresh",
        "_least",
        "_loss",
        "_multiplier",
        "_new_first",
        "_original",
        "_persist",
        "_pipe",
        "_probing",
        "_recovery_point",
        "_reduction",
        "_reordered_from",
        "_reordering",
        "_round_trip",
        "_rtt",
        "_sacked_count",
        "_segments",
        "_sent_at",
        "_undo",
        "deadline",
        "dsack",
        "duplicates",
        "echoed",
        "fast",
        "news",
        "reordering",
        "una_moved",
    )

    def __init__(self, iss: int, rtt: RttEstimator, counters: Counters) -> None:
        self._counters = counters
        self._round_trip = rtt
        self._least = rtt.least
        """RACK.min_RTT as it was before this ACK."""
        self.duplicates = 0
        self.fast = False
        self._loss = False
        """A timeout is being repaired."""
        self._recovery_point = iss
        self._segments: list[SentSegment] = []
        """Outstanding, in the order of their numbers."""
        self._pipe = self._count = 0
        """Octets, and segments, in the network: neither SACKed nor lost."""
        self._sacked_count = 0
        self._reduction: RateReduction | None = None
        self._rtt = 0
        """RACK.rtt, RACK.xmit_ts, RACK.end_seq, RACK.fack: 0 before there was one."""
        self._sent_at = self._end = 0
        self._fack = iss
        self._reordering = False
        self.reordering = Reordering()
        self._reordered_from: int | None = None
        """The lowest number that was sent once only and delivered now, after something beyond it."""
        self._multiplier, self._persist = 1, 0
        self._dsack_round: int | None = None
        self._delivered = 0
        """Segments that this ACK has newly acknowledged, in either way."""
        self._fresh = 0, 0
        """Octets that it has acknowledged cumulatively and that were not SACKed before, and what was outstanding then."""
        self.una_moved = False
        """It has acknowledged something cumulatively."""
        self._original = False
        """One of them was sent once only, before the last reduction."""
        self._probing = False
        """F-RTO (RFC 5682): it may turn out that the timeout came too early."""
        self._new_first = False
        """F-RTO, step 2 (b): new data goes before what is taken as lost."""
        self._undo = Undo()
        self._ended: Phase | None = None
        """What this ACK has brought to its end."""
        self.news = 0
        """Octets that this ACK has newly SACKed."""
        self.dsack = False
        """It reports a duplicate: perhaps something was sent again for nothing."""
        self.echoed: int | None = None
        """Until when, in ns, the segment that this ACK echoes may have been sent; None without timestamps."""
        self.deadline: int | None = None

    # --- what is known ---

    @property
    def sacked(self) -> int:
        """As the segments have it."""
        return sum(segment.end - segment.start for segment in self._segments if segment.sacked)

    def lost(self, mss: int) -> tuple[int, int]:
        """One by one. Note: a probe is not taken as sent again, as in Linux."""
        left = [segment for segment in self._segments if not segment.sacked]
        return sum(segment.count for segment in left if segment.marked), sum(
            segment.count for segment in left if segment.marked and segment.again and not segment.lost
        )

    def phase(self, snd_una: int) -> Phase:
        """As Linux says it."""
        if self.fast:
            return Phase.RECOVERY
        if self._loss:
            return Phase.LOSS
        return Phase.DISORDER if self._sacked_count else Phase.OPEN

    @property
    def undisturbed(self) -> bool:
        """Nothing is lost, nothing SACKed."""
        return not (self.fast or self._loss or self._sacked_count)

    @property
    def outstanding(self) -> int:
        """Segments that are not acknowledged cumulatively, if there is one at the most; else more than one."""
        return self._segments[0].count if len(self._segments) == 1 else len(self._segments)

    def last(self) -> SentSegment | None:
        """The one with the highest numbers, and nothing but one."""
        if not self._segments:
            return None
        last = self._segments[-1]
        self._split(len(self._segments) - 1, last.start + (last.count - 1) * last.size)
        return self._segments[-1]

    def room(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> int:
        """What ``cwnd`` leaves beside what is in the network."""
        return cwnd - self._pipe

    # --- what is sent ---

    def begin(self, snd_una: int) -> None:
        """Nothing of what the handshake has sent counts."""
        self._recovery_point = self._fack = snd_una

    def sent(self, first: int, end: int, size: int, now: int) -> None:
        """RFC 8985 6.1."""
        segment = SentSegment(first, end, size, now)
        self._segments.append(segment)
        self._enter(segment)
        if self._reduction is not None:
            self._reduction.sent += segment.count

    def resent(self, lost: Lost, end: int, now: int) -> None:
        """The same for what goes out again; what was cut smaller than before becomes two."""
        index = bisect_left(self._segments, lost.first, key=_start)
        if index == len(self._segments):
            return
        segment = self._segments[index]
        self._split(index, end)
        if segment.lost:
            segment.lost = False
            self._enter(segment)
        segment.sent_at, segment.again = now, True
        self._undo.resent(now)
        if self._reduction is not None:
            self._reduction.sent += 1

    def next_lost(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """The first that is marked, in the size that it had, or less where the path takes less by now."""
        if not (self.fast or self._loss) or self._new_first:
            return None
        for segment in self._segments:
            if segment.lost and not segment.sacked:
                room = self.room(snd_una, snd_nxt, mss, cwnd)
                return Lost(segment.start, segment.end, room if room >= min(segment.end - segment.start, mss) else 0, exact=True)
        return None

    def next_doubtful(self, snd_una: int, snd_nxt: int, mss: int, cwnd: int) -> Lost | None:
        """Time tells what is lost; nothing is sent again for doubt."""
        return None

    # --- what comes back ---

    def on_ack(self, acked: int, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl, now: int) -> None:
        """RFC 8985 6.2, steps 2 and 3, for what is acknowledged cumulatively."""
        self.duplicates = 0
        self.una_moved = True
        self._split_below(snd_una)
        done = fresh = 0
        for segment in self._segments:
            if segment.end > snd_una:
                self._trim(segment, snd_una)
                break
            done += 1
            if segment.sacked:
                self._sacked_count -= segment.count
            else:
                self._deliver(segment, now)
                fresh += segment.end - segment.start
        del self._segments[:done]
        self._note_reordering(mss)
        if (self.fast or self._loss) and snd_una >= self._recovery_point:
            self._recover(congestion)
        self._fresh = fresh, snd_nxt - snd_una + acked

    def on_blocks(self, blocks: list[Block], ack: int, snd_nxt: int, mss: int, now: int) -> int:
        """The same for what is SACKed by an ACK, which is to be told before its number is; how many blocks were bogus.

        Note: of segments that one ACK delivers those acknowledged cumulatively give RACK.rtt, as in Linux; RFC 8985 would take
        them in the order in which they were sent.
        """
        bogus = 0
        self.news, self.dsack = 0, bool(blocks) and is_duplicate(blocks, ack)
        if self.dsack:
            self._undo.reported()
        for start, end in blocks:
            if start >= end or end > snd_nxt:
                bogus += 1
            elif start >= ack:
                self.news += self._sack(start, end, now)
        self._note_reordering(mss)
        return bogus

    def _note_reordering(self, mss: int) -> None:
        low, self._reordered_from = self._reordered_from, None
        if low is not None:
            self.reordering.found(low, self._fack, mss)
            self._counters.add("TcpExtTCPSACKReorder")

    def on_duplicate(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl) -> bool:
        """Only time decides, see ``judge``."""
        self.duplicates += 1
        return False

    def on_timeout(self, snd_una: int, snd_nxt: int, congestion: CongestionControl, now: int) -> bool:
        """RFC 8985 6.3: the first is lost, and those that were sent long enough ago. RFC 2018 8 where the peer has reneged."""
        if not (self.fast or self._loss):
            self._undo.begin(congestion.cwnd, congestion.ssthresh)
        self._probing = not self.fast
        self._new_first = False
        reneged = bool(self._segments) and self._segments[0].sacked
        window = self._reordering_window()
        for index, segment in enumerate(self._segments):
            if reneged and segment.sacked:
                segment.sacked, segment.lost = False, True
            elif not segment.sacked and (reneged or not index or segment.sent_at + self._rtt + window <= now):
                self._lose(segment)
        if reneged:
            self._sacked_count = 0
        self.duplicates = 0
        self.fast, self._loss = False, True
        self._reduction = None
        self._recovery_point = snd_nxt
        self.deadline = None
        return reneged

    def resend_all(self, snd_una: int, snd_nxt: int) -> None:
        """All that is not SACKed."""
        for segment in self._segments:
            if not segment.sacked:
                self._lose(segment)
        self._loss, self._recovery_point = True, snd_nxt

    def resend_larger(self, mss: int, snd_nxt: int) -> None:
        """The path takes less than it did: what is larger than ``mss`` octets has been lost (Linux tcp_simple_retransmit)."""
        for segment in self._segments:
            if not segment.sacked and segment.end - segment.start > mss:
                self._lose(segment)
        self._loss, self._recovery_point = True, snd_nxt

    def keeps_timer(self, ack: int) -> bool:
        """RFC 6298 (5.3)."""
        return False

    def judge(self, snd_una: int, snd_nxt: int, mss: int, congestion: CongestionControl, now: int, *, more: bool) -> bool:
        """RFC 8985 6.2, steps 4 and 5, after an ACK, or when the reordering timer has come; then the window of RFC 6937.

        ``more``: there is new data to send.
        """
        self._adapt_window(snd_una, snd_nxt)
        self._doubt(snd_nxt, congestion, more=more)
        newly_lost = self._detect_loss(now)
        begins = newly_lost > 0 and not self.fast and not self._loss
        if begins:
            self.fast = True
            self._recovery_point = snd_nxt
            before = congestion.cwnd
            self._undo.begin(before, congestion.ssthresh)
            congestion.on_recovery(min(snd_nxt - snd_una, congestion.cwnd))
            self._reduction = RateReduction(before // mss, congestion.ssthresh // mss)
        if self.fast and self._reduction is not None and (self._delivered or begins):
            allowed = self._reduction.allow(self._count, self._delivered, una_moved=self.una_moved, newly_lost=newly_lost)
            congestion.cwnd = self._pipe + allowed * mss
        elif self.una_moved and not self.fast:
            congestion.on_ack(*self._fresh)
        self._delivered, self.una_moved, self._original, self.dsack, self._ended = 0, False, False, False, None
        self._least = self._round_trip.least
        return begins

    def _doubt(self, snd_nxt: int, congestion: CongestionControl, *, more: bool) -> None:
        """It may turn out now that what was sent again was not lost; RFC 5682 3.1 after a timeout."""
        if (self.una_moved or self.dsack) and self._undo.justified(self.echoed):
            self._count_undo(self._undo.unreported)
            self._take_back(congestion)
        if not self._loss or not self._probing:
            return
        if self._original:
            self._counters.add("TcpExtTCPLossUndo")
            self._counters.add("TcpExtTCPSpuriousRTOs")
            self._take_back(congestion)
        elif self.una_moved and more and not self._new_first:
            self._new_first, self._recovery_point = True, snd_nxt
        else:
            self._probing = self._new_first = False

    def _count_undo(self, unreported: int) -> None:
        """By what Linux calls it: D-SACKs alone, or an ACK that came in this phase or has ended it."""
        if not self.una_moved and unreported <= 0:
            self._counters.add("TcpExtTCPDSACKUndo")
        elif self._loss or self._ended is Phase.LOSS:
            self._counters.add("TcpExtTCPLossUndo")
        elif self.fast:
            self._counters.add("TcpExtTCPPartialUndo")
        else:
            self._counters.add("TcpExtTCPFullUndo" if self._ended is Phase.RECOVERY else "TcpExtTCPDSACKUndo")

    def _take_back(self, congestion: CongestionControl) -> None:
        self._undo.apply(congestion)
        for segment in self._segments:
            segment.marked = False
            if segment.lost:
                segment.lost = False
                self._enter(segment)
        self.fast = self._loss = self._probing = self._new_first = False
        self._reduction = None

    # --- inside ---

    def _enter(self, segment: SentSegment) -> None:
        self._pipe += segment.end - segment.start
        self._count += segment.count

    def _leave(self, segment: SentSegment) -> None:
        self._pipe -= segment.end - segment.start
        self._count -= segment.count

    def _lose(self, segment: SentSegment) -> None:
        if not segment.lost:
            if segment.marked and segment.again:
                self._counters.add("TcpExtTCPLostRetransmit")
            segment.lost = segment.marked = True
            self._leave(segment)

    def _trim(self, segment: SentSegment, snd_una: int) -> None:
        """Its first part is acknowledged."""
        cut, before = max(snd_una - segment.start, 0), segment.count
        segment.start += cut
        if segment.sacked:
            self._sacked_count -= before - segment.count
        elif not segment.lost:
            self._pipe -= cut
            self._count -= before - segment.count

    def _recover(self, congestion: CongestionControl) -> None:
        self._ended = Phase.RECOVERY if self.fast else Phase.LOSS
        if self.fast:
            congestion.cwnd = congestion.ssthresh
        self.fast = self._loss = self._probing = self._new_first = False
        self._reduction = None
        self._persist -= 1
        if self._persist <= 0:
            self._multiplier = 1

    def _split_below(self, snd_una: int) -> None:
        """Of segments that went out as one those that are acknowledged become one of their own."""
        index = bisect_right(self._segments, snd_una, key=_end)
        if index < len(self._segments):
            segment = self._segments[index]
            self._split(index, segment.start + (snd_una - segment.start) // segment.size * segment.size)

    def _split(self, index: int, at: int) -> None:
        segment = self._segments[index]
        if not segment.start < at < segment.end:
            return
        before = segment.count
        rest = SentSegment(at, segment.end, segment.size, segment.sent_at)
        rest.again, rest.lost, rest.marked, rest.sacked = segment.again, segment.lost, segment.marked, segment.sacked
        segment.end = at
        self._segments.insert(index + 1, rest)
        more = segment.count + rest.count - before
        if segment.sacked:
            self._sacked_count += more
        elif not segment.lost:
            self._count += more

    def _sack(self, start: int, end: int, now: int) -> int:
        """Mark what lies in a block; how many octets that are news."""
        news = 0
        index = bisect_left(self._segments, start, key=lambda segment: segment.end - 1)
        while index < len(self._segments) and self._segments[index].start < end:
            segment = self._segments[index]
            if segment.start < start:
                self._split(index, start)
            elif not segment.sacked:
                self._split(index, end)
                self._deliver(segment, now)
                segment.sacked, segment.lost = True, False
                self._sacked_count += segment.count
                news += segment.end - segment.start
            index += 1
        return news

    def _deliver(self, segment: SentSegment, now: int) -> None:
        """RACK_update () and RACK_detect_reordering ()."""
        self._delivered += segment.count
        self._original |= not segment.again and segment.end <= self._recovery_point
        if not segment.lost:
            self._leave(segment)
        if segment.end > self._fack:
            self._fack = segment.end
        elif segment.end < self._fack and not segment.again:
            self._reordering = True
            self._reordered_from = min(segment.start, self._reordered_from or segment.start)
        rtt = now - segment.sent_at
        if segment.again and (rtt < self._least or (self.echoed is not None and self.echoed <= segment.sent_at)):
            return
        self._rtt = rtt
        if (segment.sent_at, segment.end) > (self._sent_at, self._end):
            self._sent_at, self._end = segment.sent_at, segment.end

    def _adapt_window(self, snd_una: int, snd_nxt: int) -> None:
        """RACK_update_reo_wnd (), the part of D-SACKs."""
        if self._dsack_round is not None and snd_una >= self._dsack_round:
            self._dsack_round = None
        if self._dsack_round is None and self.dsack:
            self._dsack_round = snd_nxt
            self._multiplier += 1
            self._persist = _PERSISTENT

    def _reordering_window(self) -> int:
        """RACK.reo_wnd."""
        if not self._reordering and (self.fast or self._loss or self._sacked_count >= DUP_THRESH):
            return 0
        window = self._multiplier * self._round_trip.least // 4
        return min(window, self._round_trip.srtt or window)

    def _detect_loss(self, now: int) -> int:
        """RACK_detect_loss (); how many segments are newly lost."""
        window, found, longest = self._reordering_window(), 0, 0
        for segment in self._segments:
            if segment.sacked or segment.lost or (segment.sent_at, segment.end) >= (self._sent_at, self._end):
                continue
            remaining = segment.sent_at + self._rtt + window - now
            if remaining <= 0:
                self._lose(segment)
                found += 1
            else:
                longest = max(longest, remaining)
        self.deadline = now + longest if longest else None
        return found
