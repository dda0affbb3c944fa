"""One connection as seen from the wire: relative numbers, what was said before, what is late.

Law: only what crosses the link is looked at. What is a retransmission is decided as a person with a capture would decide it, and
never by asking either end.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from userstack.address import Endpoint
from userstack.observe.options import window_scale
from userstack.observe.phases import Phases
from userstack.observe.steps import UNKNOWN, Mark
from userstack.tcp.seq import unwrap
from userstack.wire.tcp import ACK, FIN, RST, SYN, TcpSegment

MAX_HOLES = 64
"""Holes remembered in one direction; a very lossy bulk transfer forgets the oldest, which then reads as a retransmission."""

MAX_FLOWS = 4096
"""Flows remembered at once; the one that was quiet for longest goes first."""


@dataclass(slots=True)
class Reading:
    """A segment in relative numbers, with what is remarkable about it."""

    seq: int
    ack: int | None
    end: int
    window: int
    marks: tuple[Mark, ...] = ()


@dataclass(slots=True)
class Direction:
    """What one end has sent so far."""

    base: int | None = None
    """The wire number that reads as relative 0: the ISN, or the first number seen."""
    end: int = 0
    """The highest relative number sent, plus one."""
    holes: list[tuple[int, int]] = field(default_factory=list)
    ack: int = -1
    window: int = -1
    scale: int | None = None

    def relative(self, wire: int) -> int:
        """``wire`` counted from the base, unwrapped near what was sent last."""
        assert self.base is not None
        return unwrap(wire, self.base + self.end) - self.base

    def cover(self, start: int, end: int) -> Mark | None:
        """Take note of ``start`` up to ``end`` and say whether it is new, repeated or late."""
        if start >= self.end:
            if start > self.end:
                self.holes = [*self.holes[-MAX_HOLES + 1 :], (self.end, start)]
            self.end = end
            return None
        mark = Mark.RETRANSMISSION
        kept: list[tuple[int, int]] = []
        for left, right in self.holes:
            if left < end and start < right:
                mark = Mark.OUT_OF_ORDER
                kept += [piece for piece in ((left, start), (end, right)) if piece[0] < piece[1]]
            else:
                kept.append((left, right))
        self.holes = kept
        self.end = max(self.end, end)
        return mark


class Flow:
    """Both directions of one connection. ``sent`` is True for what this stack sends."""

    __slots__ = ("local", "peer", "phases", "received", "remote", "sent")

    def __init__(self, local: Endpoint, remote: Endpoint) -> None:
        self.local = local
        self.remote = remote
        self.sent = Direction()
        self.received = Direction()
        self.phases = Phases()
        self.peer = UNKNOWN
        """The other end's state when it was last asked for."""

    @property
    def sockets(self) -> tuple[Endpoint, Endpoint]:
        """Ours and theirs."""
        return self.local, self.remote

    def read(self, segment: TcpSegment, *, sent: bool) -> Reading:
        """Take note of a segment and give it back in relative numbers."""
        here, there = (self.sent, self.received) if sent else (self.received, self.sent)
        if self._begins_anew(segment, here):
            here, there = self._restart(sent=sent)
        if here.base is None:
            here.base = segment.seq
        seq = here.relative(segment.seq)
        length = len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        ack = self._relative_ack(segment, there)
        window = self._window(segment, here, there)
        reading = Reading(seq, ack, seq + length, window)
        if not segment.flags & RST:
            reading.marks = self._marks(reading, here, there)
        if ack is not None:
            here.ack = max(here.ack, ack)
        here.window = window
        return reading

    def _begins_anew(self, segment: TcpSegment, here: Direction) -> bool:
        """A SYN with another ISN opens a new connection between the same sockets, unless one is still in use."""
        opens = segment.flags & (SYN | ACK | RST) == SYN
        return opens and here.base not in (None, segment.seq) and not self.phases.in_use

    def _restart(self, *, sent: bool) -> tuple[Direction, Direction]:
        self.sent, self.received, self.phases, self.peer = Direction(), Direction(), Phases(), UNKNOWN
        return (self.sent, self.received) if sent else (self.received, self.sent)

    @staticmethod
    def _relative_ack(segment: TcpSegment, there: Direction) -> int | None:
        if not segment.flags & ACK:
            return None
        if there.base is None:
            there.base = segment.ack
        return there.relative(segment.ack)

    @staticmethod
    def _window(segment: TcpSegment, here: Direction, there: Direction) -> int:
        """RFC 7323 2.2: the shift counts where both SYNs carry it, and never in a SYN itself."""
        if segment.flags & SYN:
            here.scale = window_scale(segment.options)
        elif here.scale is not None and there.scale is not None:
            return segment.window << here.scale
        return segment.window

    @staticmethod
    def _marks(reading: Reading, here: Direction, there: Direction) -> tuple[Mark, ...]:
        marks: list[Mark] = []
        if reading.end > reading.seq:
            covered = here.cover(reading.seq, reading.end)
            if covered is not None:
                marks.append(covered)
        elif reading.ack is not None and (reading.ack, reading.window) == (here.ack, here.window) and reading.ack < there.end:
            marks.append(Mark.DUPLICATE_ACK)
        if reading.window == 0:
            marks.append(Mark.ZERO_WINDOW)
        return tuple(marks)


class FlowTable:
    """The flows seen, by their two sockets."""

    __slots__ = ("_flows",)

    def __init__(self) -> None:
        self._flows: OrderedDict[tuple[Endpoint, Endpoint], Flow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    def flow(self, local: Endpoint, remote: Endpoint) -> Flow:
        """The flow between these sockets, a new one where there is none."""
        key = (local, remote)
        found = self._flows.get(key)
        if found is None:
            found = self._flows[key] = Flow(local, remote)
            if len(self._flows) > MAX_FLOWS:
                self._flows.popitem(last=False)
        else:
            self._flows.move_to_end(key)
        return found

    def forget(self, local: Endpoint, remote: Endpoint) -> None:
        """The connection is gone."""
        self._flows.pop((local, remote), None)
