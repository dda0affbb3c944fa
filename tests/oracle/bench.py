"""Stack and reference side by side: what one is given the other is given, and what one does the other must have done."""

import errno
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field

from tests.oracle.rfc9293 import Reference
from tests.oracle.stack import BUFFER, Family, Stack, config, start_for
from tests.oracle.values import MODULO, Reaction, Segment, Sent, before
from userstack.config import StackConfig

IRS = MODULO - 12
"""The peer's first sequence number: RCV.NXT wraps within the first octets of text, and the window always does."""
ISS = MODULO - 40
"""The stack's own: the text in flight wraps."""
WINDOW = 800
"""What the peer offers, unless it offers nothing."""

Action = Callable[[Stack], object]
Call = Callable[[Reference, int], Reaction]


def octets(seq: int, size: int) -> bytes:
    """Text of either end: each octet follows from its sequence number, so that overlapping segments agree."""
    return bytes((seq + place) % MODULO * 7 % 251 for place in range(size))


def is_bare_ack(sent: Sent) -> bool:
    """An ACK without text, FIN or anything else."""
    return sent.ctl == "A" and not sent.data


def merged(segments: list[Sent]) -> list[Sent]:
    """Text that follows on text is one: where to cut it into segments is not laid down."""
    result: list[Sent] = []
    for sent in segments:
        last = result[-1] if result else None
        if last is not None and last.ctl == "A" and sent.ctl in ("A", "FA") and (last.seq + len(last.data)) % MODULO == sent.seq:
            result[-1] = sent._replace(seq=last.seq, data=last.data + sent.data)
        else:
            result.append(sent)
    return result


@dataclass
class Bench:
    """One connection, in the stack and in the reference. What differs is kept in ``differences``, a line each."""

    family: Family
    settings: StackConfig = field(default_factory=config)
    tape: list[Action] = field(default_factory=list)
    """What was done to the stack: a fresh stack to which it is done again stands where this one does."""
    differences: list[str] = field(default_factory=list)
    retransmits: bool = False
    """The connection lives long enough, or sees enough duplicate ACKs, for retransmissions."""

    def __post_init__(self) -> None:
        self.start = start_for(self.family, ISS)
        self.stack = Stack(self.family, self.settings, self.start)
        self.reference = Reference(BUFFER, self.family.mss, msl=self.settings.msl, ignore_rst_in_time_wait=self.settings.rfc1337)

    # --- events ---

    def listen(self) -> None:
        self._do(Stack.listen)
        self.reference.open_passive()

    def connect(self) -> None:
        self._do(Stack.connect)
        self._compare("connect", Reference.open_active)

    def accept(self) -> None:
        """accept() gives a connection exactly where one has been established."""
        if self.stack.listener is None or self.stack.socket is not None:
            return
        self._do(Stack.accept)
        reference = self.reference
        established = reference.passive and reference.state not in ("LISTEN", "SYN-RECEIVED")
        self._expect("accept", self.stack.socket is not None, established and not reference.accepted)
        reference.accepted = established

    def let_go(self) -> None:
        """Of a connection that is gone the socket tells nothing more; a listener may give another one."""
        if self.reference.state == "LISTEN" or self.reference.previous is not None:
            self._do(Stack.forget)

    def wait_out(self) -> None:
        """TIME-WAIT ends on its nanosecond, and not before."""
        end = self.reference.time_wait_end
        self.stack.host.run(end - 1)
        self._expect("just before 2 MSL: state", self.stack.state()[0], "TIME-WAIT")
        self.stack.host.run(end)
        self.reference.passes(end)
        self._expect("after 2 MSL: state", self.stack.state()[0], self.reference.state)

    def wait(self, duration: int) -> None:
        """Nothing arrives for a while (ns): what is in flight goes out again, a closed window is probed, TIME-WAIT ends."""
        self._compare("wait", lambda reference, now: Reaction(), duration)

    def send(self, size: int) -> None:
        data = octets(self.reference.snd_nxt + len(self.reference.queue), size)
        self._do(lambda stack: stack.send(data))
        self._compare(f"send({size})", lambda reference, now: reference.send(data, now))

    def shutdown(self) -> None:
        self._do(Stack.shutdown)
        self._compare("shutdown", Reference.close)

    def close(self) -> None:
        self._do(Stack.close)
        self._compare("close", Reference.give_up)

    def receive(self) -> None:
        if self.stack.socket is None:
            return
        got: list[bytes | int] = []
        self._do(lambda stack: got.append(stack.receive()))
        expected: list[bytes | int] = []

        def call(reference: Reference, now: int) -> Reaction:
            value, reaction = reference.receive(now)
            expected.append(value)
            return reaction

        self._compare("recv", call)
        self._expect("recv", name_of(got[0]), name_of(expected[0]))
        self._expect("SO_ERROR", self.stack.take_error(), self.reference.error)
        self.reference.error = 0
        self._expect("send", name_of(self.stack.send_nothing()), name_of(self._send_result()))

    def _send_result(self) -> int:
        """SEND (3.10.2): "queue the data" before ESTABLISHED, for a socket: ask again; "connection closing" after CLOSE."""
        if self.reference.state in ("SYN-SENT", "SYN-RECEIVED"):
            return errno.EAGAIN
        return 0 if self.may_send() else errno.EPIPE

    def arrives(self, segment: Segment) -> None:
        """The segment arrives; the time in which a delayed ACK must have come passes."""
        packet = self.stack.packet(segment)
        self._do(lambda stack: stack.deliver(packet))
        before_event = self.reference.snd_nxt if self.reference.state == "TIME-WAIT" else None
        self._compare(str(segment), lambda reference, now: reference.arrives(segment, now))
        if before_event is not None and self.reference.previous is not None:
            self.let_go()
            if not before(before_event, self.reference.iss):  # MAY-2 (1)
                self.differences.append(f"{segment} in TIME-WAIT: ISS {self.reference.iss} is not above {before_event}")

    def says(self, ctl: str, *, size: int = 0, skip: int = 0, wnd: int = WINDOW, ack: int = 0) -> None:
        """What a well-behaved peer says: from RCV.NXT on (or after a gap of ``skip``), acknowledging all but the last ``ack``."""
        reference = self.reference
        seq = (reference.rcv_nxt + skip) % MODULO if reference.state not in ("CLOSED", "LISTEN", "SYN-SENT") else IRS
        number = (reference.snd_nxt - ack) % MODULO if "A" in ctl else 0
        self.arrives(Segment(ctl, seq, number, wnd, octets(seq + ("S" in ctl), size)))

    def may_send(self) -> bool:
        """SEND is allowed (3.10.2)."""
        return (
            self.stack.socket is not None and self.reference.state in ("ESTABLISHED", "CLOSE-WAIT") and not self.reference.closing
        )

    def may_close(self) -> bool:
        """CLOSE does something (3.10.4). In SYN-SENT a socket's shutdown() is an abort, and no CLOSE."""
        open_states = ("SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT")
        opened = self.stack.socket is not None and self.reference.state in open_states
        return opened and not self.reference.closing and not self.has_queued_text()

    def has_queued_text(self) -> bool:
        """Text on the SYN waits for ESTABLISHED (3.10.7.3). Who closes before never gets there; when it is taken is not said."""
        return self.reference.state == "SYN-RECEIVED" and bool(self.reference.held)

    # --- comparison ---

    def fork(self) -> "Bench":
        """Another one in the same place, by doing the same again to a fresh stack."""
        fork = copy(self)
        fork.stack = Stack(self.family, self.settings, self.start)
        fork.reference = copy(self.reference)
        fork.reference.held = dict(self.reference.held)
        fork.tape, fork.differences = [], []
        for action in self.tape:
            action(fork.stack)
        fork.stack.host.take()
        return fork

    def _do(self, action: Action) -> None:
        self.tape.append(action)
        action(self.stack)

    def _compare(self, event: str, call: Call, duration: int | None = None) -> None:
        """The stack has had the event; what it has sent so far and sends in the time that a delayed ACK may take is compared."""
        reference, now = self.reference, self.stack.host.now
        event, window = f"{event} in {reference.state}", reference.snd_wnd
        in_flight = copy(reference)
        at_once = self.stack.sent()
        for sent in at_once:
            if "S" in sent.ctl:
                reference.next_iss = sent.seq
        reaction = call(reference, now)
        duration = self.settings.delayed_ack if duration is None else duration
        self._do(lambda stack: stack.run(duration))
        later = [sent for sent in self.stack.sent() if not reference.probes(sent)]
        reference.passes(self.stack.host.now)
        in_flight.rcv_nxt = reference.rcv_nxt
        repeated: list[Sent] = []
        if self.retransmits or (reference.snd_wnd and not window):  # 3.8.6: a window that had been taken back opens again
            at_once = [piece for sent in at_once for piece in in_flight.pieces(sent)]
            repeated = [sent for sent in at_once if in_flight.repeats(sent) and sent not in reaction.segments]
            repeated += [sent for sent in later if reference.repeats(sent)]
            if repeated:
                reference.widen_window()
            at_once, later = ([sent for sent in part if sent not in repeated] for part in (at_once, later))
        throttled = self.settings.challenge_ack_limit == 0
        for line in objections(reaction, at_once, later, throttled=throttled, repeated=bool(repeated)):
            self.differences.append(f"{event}: {line}")
        state, timer = self.stack.state()
        self._expect(f"{event}: state", state, reference.state)
        if reference.state not in ("CLOSED", "LISTEN") and timer not in reference.timers():
            self.differences.append(f"{event}: timer {timer!r}, not {reference.timers()}")
        self._compare_variables(event)

    def _compare_variables(self, event: str) -> None:
        """What TCP_INFO tells of the variables of 3.3.1."""
        reference = self.reference
        half_open = reference.state == "SYN-RECEIVED" and reference.passive
        if self.stack.socket is None or half_open or reference.state in ("CLOSED", "LISTEN", "SYN-SENT", "TIME-WAIT"):
            return
        info = self.stack.socket.info()
        self._expect(f"{event}: SND.NXT-SND.UNA", info.unacked, (reference.snd_nxt - reference.snd_una) % MODULO)
        self._expect(f"{event}: SND.WND", info.snd_wnd, reference.snd_wnd)
        self._expect(f"{event}: RCV.WND", info.rcv_wnd, reference.rcv_wnd)
        self._expect(f"{event}: unread", info.unread, len(reference.readable))
        self._expect(f"{event}: urgent", info.urgent_unread, reference.urgent())

    def _expect(self, what: str, got: object, expected: object) -> None:
        if got != expected:
            self.differences.append(f"{what}: {got}, not {expected}")


def objections(reaction: Reaction, at_once: list[Sent], later: list[Sent], *, throttled: bool, repeated: bool) -> Iterator[str]:
    """What of the packets sent is not what the reaction asks for. ``repeated``: a retransmission went out as well."""
    expected = merged(reaction.segments)
    got = merged([sent for sent in at_once if not is_bare_ack(sent)])
    if got != expected:
        yield f"sent {got}, not {expected}"
    if others := [sent for sent in later if not is_bare_ack(sent)]:
        yield f"sent {others} late"
    acks = [sent for sent in (*at_once, *later) if is_bare_ack(sent)]
    wanted = [] if reaction.ack is None or (reaction.challenge and throttled) else [reaction.ack]
    carried = bool(wanted) and (repeated or any(sent.ctl in ("A", "FA") for sent in expected))
    if acks != wanted and not (carried and not acks):
        yield f"acknowledged {acks}, not {wanted}"
    if acks and not reaction.delayed and not any(is_bare_ack(sent) for sent in at_once):
        yield "acknowledged late"


def name_of(value: bytes | int) -> str:
    """What a call gave, for people."""
    return repr(value) if isinstance(value, bytes) else errno.errorcode.get(value, str(value))
