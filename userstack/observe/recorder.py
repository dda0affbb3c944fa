"""From trace events to steps: the one place that puts segments, transitions and the peer's state together.

Law: a segment's step is complete only when both ends have dealt with it. One that came in waits for the transitions that it makes;
one that was sent waits until the device had it, because only then has the peer's kernel a state to tell. So an arrow is held back
until the next event, or until the loop has turned (``defer``), and nothing is ever shown that was not seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from userstack.address import Endpoint
from userstack.observe.flow import Flow, FlowTable, Reading
from userstack.observe.options import describe_options
from userstack.observe.phases import Finding
from userstack.observe.steps import PREVIEW, UNKNOWN, Alarm, Arrow, Discard, Mark, Move, Phase, Release, Step
from userstack.tcp.state import State
from userstack.trace import Event, Freed, PacketDropped, PacketReceived, PacketSent, TimerFired, Transition
from userstack.wire import ip
from userstack.wire.codec import Codec, WireError
from userstack.wire.source_route import destination_of
from userstack.wire.tcp import URG, TcpSegment

PeerState = Callable[[Endpoint, Endpoint, str | None], str]
"""(our end, the other end, a state) -> the other end's state as its own kernel tells it, or ``UNKNOWN``.

The third tells which state the other end is about to leave, None where it need not leave any: a kernel that still is in it has not
come to the segment yet, and may be asked again for a moment. It must be quick and not raise.
"""

Defer = Callable[[Callable[[], None]], object]
"""Calls back once the caller has finished what it is at: ``loop.call_soon``."""


MOVES_PEER = frozenset(Phase) - {Phase.SYN, Phase.CROSSED_SYN}
"""The steps that, sent by us, take the peer to another state once it has them; what its state was before the SYN is not known."""


def _nobody_asked(local: Endpoint, remote: Endpoint, leaving: str | None) -> str:
    return UNKNOWN


@dataclass(slots=True, kw_only=True)
class _Pending:
    """An arrow that waits for what it brings about."""

    time: int
    packet: bytes
    flow: Flow
    sent: bool
    segment: TcpSegment
    reading: Reading
    finding: Finding
    peer: str
    lost: bool = False
    moves: list[Move] = field(default_factory=list)


class Recorder:
    """A tracer that hands each completed step to ``emit``.

    Args:
        emit: takes the steps, in the order in which they happened.
        codec: reads the packets.
        start: the stack's time that counts as 0, in nanoseconds.
        peer_state: asks the other end's kernel; without it the peer's state is ``UNKNOWN``.
        defer: how to be called back soon; without it a held arrow waits for the next event or for ``flush``.
    """

    def __init__(
        self,
        emit: Callable[[Step], None],
        *,
        codec: Codec,
        start: int = 0,
        peer_state: PeerState | None = None,
        defer: Defer | None = None,
    ) -> None:
        self._emit = emit
        self._codec = codec
        self._start = start
        self._peer_state = peer_state or _nobody_asked
        self._defer = defer
        self._flows = FlowTable()
        self._states: dict[tuple[Endpoint, Endpoint | None], tuple[str, int]] = {}
        self._pending: _Pending | None = None

    def __call__(self, event: Event) -> None:
        """Take an event of the stack: a recorder is a ``Tracer``."""
        match event:
            case Transition():
                self._on_transition(event)
            case PacketReceived(time, packet):
                self._on_packet(time, packet, sent=False)
            case PacketSent(time, packet):
                self._on_packet(time, packet, sent=True)
            case PacketDropped():
                self._on_dropped(event)
            case TimerFired(time, local, remote, timer, detail):
                self.flush()
                self._emit(Alarm(time=time - self._start, local=local, remote=remote, timer=timer, detail=detail))
            case Freed(time, local, remote):
                self._on_freed(time, local, remote)

    def lost(self, packet: bytes) -> None:
        """The link took ``packet`` and loses it; to be called before the next event."""
        if self._pending is not None and self._pending.packet == packet:
            self._pending.lost = True

    def flush(self) -> None:
        """Let go of the held arrow: what it brought about has happened."""
        held, self._pending = self._pending, None
        if held is None:
            return
        if held.sent:
            moves = held.finding.phase in MOVES_PEER and not held.lost and held.flow.peer != UNKNOWN
            held.flow.peer = held.peer = self._peer_state(*held.flow.sockets, held.flow.peer if moves else None)
        self._emit(self._arrow(held))
        for move in held.moves:
            self._emit(move)

    def _on_packet(self, time: int, packet: bytes, *, sent: bool) -> None:
        self.flush()
        decoded = self._decode(packet)
        if decoded is None:
            return
        source, destination, segment = decoded
        here, there = Endpoint(source, segment.source_port), Endpoint(destination, segment.destination_port)
        sockets = (here, there) if sent else (there, here)
        flow = self._flows.flow(*sockets)
        reading = flow.read(segment, sent=sent)
        finding = flow.phases.look(sent=sent, flags=segment.flags, end=reading.end, ack=reading.ack)
        if not sent:
            flow.peer = self._peer_state(*sockets, None)
        self._pending = _Pending(
            time=time - self._start,
            packet=packet,
            flow=flow,
            sent=sent,
            segment=segment,
            reading=reading,
            finding=finding,
            peer=flow.peer,
        )
        if self._defer is not None:
            self._defer(self.flush)

    def _on_dropped(self, event: PacketDropped) -> None:
        """What is sound and not TCP, such as the kernel's own chatter of neighbours and groups, is nobody's connection."""
        self.flush()
        try:
            if self._codec.decode_ip(event.packet).protocol != ip.TCP:
                return
        except WireError:
            pass  # it may have been one
        self._emit(Discard(time=event.time - self._start, counter=event.counter, length=len(event.packet)))

    def _decode(self, packet: bytes) -> tuple[bytes, bytes, TcpSegment] | None:
        """The segment in a packet; None where it is not TCP, a fragment, or broken (the host counts those and says so itself)."""
        try:
            outer = self._codec.decode_ip(packet)
            if outer.protocol != ip.TCP or outer.is_fragment:
                return None
            destination = destination_of(outer.destination, outer.options)
            return outer.source, destination, self._codec.decode_tcp(outer, verify=False)
        except WireError:
            return None

    def _on_transition(self, event: Transition) -> None:
        held = self._pending
        caused = held is not None and not held.sent and held.flow.sockets == (event.local, event.remote)
        if not (caused and event.cause.startswith("segment")):
            self.flush()
        key = (event.local, event.remote)
        before = self._states.get(key)
        spent = event.time - before[1] if before is not None and before[0] == event.old else None
        if event.new == State.CLOSED and event.remote is None:
            self._states.pop(key, None)
        else:
            self._states[key] = (event.new, event.time)
        move = Move(
            time=event.time - self._start,
            local=event.local,
            remote=event.remote,
            old=event.old,
            new=event.new,
            cause=event.cause,
            clause=event.clause if event.clause.startswith("RFC") else f"RFC 9293 {event.clause}",
            spent=spent,
        )
        if self._pending is None:
            self._emit(move)
        else:
            self._pending.moves.append(move)

    def _on_freed(self, time: int, local: Endpoint, remote: Endpoint | None) -> None:
        self.flush()
        self._states.pop((local, remote), None)
        if remote is not None:
            self._flows.forget(local, remote)
        self._emit(Release(time=time - self._start, local=local, remote=remote))

    def _own_state(self, local: Endpoint, remote: Endpoint) -> str:
        """The state of our end: of the connection, or else of the listener on its port, or else there is none."""
        for key in ((local, remote), (local, None), (Endpoint(bytes(len(local.address)), local.port), None)):
            known = self._states.get(key)
            if known is not None:
                return known[0]
        # Whether a listener on :: hears IPv4 too is not told.
        return UNKNOWN if (Endpoint(bytes(16), local.port), None) in self._states else State.CLOSED

    def _arrow(self, held: _Pending) -> Arrow:
        segment, reading, finding = held.segment, held.reading, held.finding
        return Arrow(
            time=held.time,
            local=held.flow.local,
            remote=held.flow.remote,
            sent=held.sent,
            flags=segment.flags,
            seq=reading.seq,
            ack=reading.ack,
            wire_seq=segment.seq,
            wire_ack=segment.ack,
            length=len(segment.payload),
            window=reading.window,
            options=describe_options(segment.options),
            ours=self._own_state(*held.flow.sockets),
            peer=held.peer,
            phase=finding.phase,
            marks=(*reading.marks, Mark.ACKED_AGAIN) if finding.again else reading.marks,
            note=finding.note,
            lost=held.lost,
            urgent_pointer=segment.urgent_pointer if segment.flags & URG else None,
            preview=bytes(segment.payload[:PREVIEW]),
        )
