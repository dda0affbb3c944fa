"""A connection under test, driven as RFC 9293 talks about it: relative numbers, milliseconds, flags as text.

Law: nothing happens but by a real call, a real segment or the clock; no private attribute is touched. SEQ of the machine and ACK of
the peer count from ISS, SEQ of the peer and ACK of the machine from IRS, so that a SYN is 0 and the first octet 1. The default
initial sequence numbers lie just below 2**32: nearly every test crosses the wrap.
"""

import itertools
import re
import struct
from dataclasses import dataclass
from typing import Self, assert_never

from tests.support.tso import apart
from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, StackConfig
from userstack.counters import Counters
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.tcp.timewait import TimeWait
from userstack.trace import Event, Transition
from userstack.wire import tcp
from userstack.wire.tcp import Option, TcpSegment, flag_names

ISS = 2**32 - 2
IRS = 2**32 - 3
LOCAL = Endpoint(pack_address("10.9.0.2"), 8080)
REMOTE = Endpoint(pack_address("10.9.0.1"), 40000)
WINDOW = 65535
MASK = 0xFFFFFFFF
BITS = {name: bit for bit, name in tcp.FLAG_NAMES}


def flag_bits(text: str) -> int:
    """``"SYN,ACK"`` as bits; ``""`` is none."""
    return sum(BITS[name] for name in text.split(",") if name)


def signed(difference: int) -> int:
    """A 32-bit difference of sequence numbers as the nearer of its two meanings."""
    return (difference + 2**31 & MASK) - 2**31


def mss_option(value: int) -> Option:
    """The MSS option of RFC 9293 3.2."""
    return Option(tcp.MSS, struct.pack("!H", value))


def stamp(tsval: int, tsecr: int = 0) -> Option:
    """The Timestamps option of RFC 7323 3.2."""
    return Option(tcp.TIMESTAMPS, struct.pack("!II", tsval & MASK, tsecr & MASK))


def sack_option(*blocks: tuple[int, int]) -> Option:
    """The SACK option of RFC 2018 3."""
    return Option(tcp.SACK, b"".join(struct.pack("!I", edge & MASK) for block in blocks for edge in block))


@dataclass(frozen=True, slots=True)
class Sent:
    """A segment that the machine sent; ``seq`` is relative to ISS, ``ack`` to IRS (None without the bit), ``time`` in ns."""

    time: int
    flags: str
    seq: int
    ack: int | None
    data: bytes
    window: int
    raw: TcpSegment

    @property
    def end(self) -> int:
        """The sequence number after the last octet or control of the segment, relative to ISS."""
        return self.seq + len(self.data) + bool(self.raw.flags & tcp.SYN) + bool(self.raw.flags & tcp.FIN)

    @property
    def mss(self) -> int | None:
        """The value of the MSS option, or None where there is none."""
        return self.number(tcp.MSS)

    @property
    def scale(self) -> int | None:
        """The shift of the window scale option, or None where there is none."""
        return self.number(tcp.WINDOW_SCALE)

    @property
    def timestamps(self) -> tuple[int, int] | None:
        """TSval and TSecr, or None where there is no such option."""
        number = self.number(tcp.TIMESTAMPS)
        return None if number is None else (number >> 32, number & MASK)

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """The SACK blocks as they stand on the wire."""
        data = b"".join(option.data for option in self.raw.options if option.kind == tcp.SACK)
        return [struct.unpack_from("!II", data, at) for at in range(0, len(data), 8)]

    def number(self, kind: int) -> int | None:
        """The data of the option of that kind as a number, or None where there is none."""
        values = [option.data for option in self.raw.options if option.kind == kind]
        return int.from_bytes(values[0], "big") if values else None


class Machine:
    """One connection (or what TIME-WAIT has left of it), its clock, and the peer's side of the conversation.

    Args:
        config: the settings; RFC defaults where None.
        iss: what the initial sequence number source answers.
        irs: the peer's initial sequence number.
        window: what the peer's segments offer unless told otherwise.
        mss: what the peer's SYN names; None leaves the option out.
        scale: the shift of the peer's window scale option; None leaves it out. ``window`` is what stands in the field.
        tsval: the peer's timestamp clock, which only the test moves; None: the peer has no timestamps.
        sack: the peer's SYN permits SACK.
        mtu: the link's, in bytes.
        rtt: how long the peer takes to answer the machine's SYN, in ms.
        start: the clock's first value, in ns.
        local: the machine's socket; its address decides between IPv4 and IPv6.
        remote: the peer's socket.
    """

    def __init__(
        self,
        *,
        config: StackConfig | None = None,
        iss: int = ISS,
        irs: int = IRS,
        window: int = WINDOW,
        mss: int | None = 1460,
        scale: int | None = None,
        tsval: int | None = None,
        sack: bool = False,
        mtu: int = 1500,
        rtt: int = 10,
        start: int = 0,
        local: Endpoint = LOCAL,
        remote: Endpoint = REMOTE,
    ) -> None:
        self.config = config or StackConfig()
        self.iss, self.irs = iss, irs
        self.window, self.mss, self.scale, self.rtt = window, mss, scale, rtt
        self.tsval, self.sack = tsval, sack
        self.now = start
        self.remote = remote
        self.counters = Counters()
        self.trace: list[Event] = []
        self.outbox: list[Sent] = []
        self.log: list[Sent] = []
        self.peer_nxt = 0
        self.sent_nxt = 0
        self.connection = Connection(
            local, config=self.config, isn=self._isn, counters=self.counters, mtu=mtu, trace=self.trace.append
        )
        self.subject: Connection | TimeWait = self.connection

    def _isn(self, local: Endpoint, remote: Endpoint, now: int) -> int:
        return self.iss

    # --- built straight into a state ---

    @classmethod
    def in_state(
        cls,
        state: State,
        *,
        passive: bool = False,
        record: bool = False,
        config: StackConfig | None = None,
        iss: int = ISS,
        irs: int = IRS,
        window: int = WINDOW,
        mss: int | None = 1460,
        scale: int | None = None,
        tsval: int | None = None,
        sack: bool = False,
        mtu: int = 1500,
        rtt: int = 10,
        local: Endpoint = LOCAL,
        remote: Endpoint = REMOTE,
    ) -> Self:
        """A machine that real segments and calls have brought to ``state``, with an empty trace and nothing left to send.

        Args:
            state: where to.
            passive: the connection came from LISTEN and not from SYN-SENT.
            record: TIME-WAIT as the compact record of the host.
            config: as in the constructor, like all that follow.
            iss: see there.
            irs: see there.
            window: see there.
            mss: see there.
            scale: see there.
            tsval: see there.
            sack: see there.
            mtu: see there.
            rtt: see there.
            local: see there.
            remote: see there.
        """
        machine = cls(
            config=config,
            iss=iss,
            irs=irs,
            window=window,
            mss=mss,
            scale=scale,
            tsval=tsval,
            sack=sack,
            mtu=mtu,
            rtt=rtt,
            local=local,
            remote=remote,
        )
        machine._reach(state, passive=passive)
        if record:
            machine.compact()
        assert machine.state is state
        machine.nothing_sent()
        machine.trace.clear()
        return machine

    def _reach(self, state: State, *, passive: bool) -> None:
        match state:
            case State.CLOSED:
                pass
            case State.LISTEN:
                self.open_passive()
            case State.SYN_SENT:
                self.open_active()
                self.expect("SYN", seq=0)
            case State.SYN_RECEIVED:
                self._reach(State.LISTEN if passive else State.SYN_SENT, passive=passive)
                self.arrives("SYN", seq=0, options=self.syn_options())
                self.expect("SYN,ACK", seq=0, ack=1)
            case State.ESTABLISHED:
                self._establish(passive=passive)
            case State.FIN_WAIT_1 | State.LAST_ACK:
                self._reach(State.ESTABLISHED if state is State.FIN_WAIT_1 else State.CLOSE_WAIT, passive=passive)
                self.close()
                self.expect("FIN,ACK", seq=1, ack=self.peer_nxt)
            case State.FIN_WAIT_2:
                self._reach(State.FIN_WAIT_1, passive=passive)
                self.arrives("ACK", seq=1, ack=2)
            case State.CLOSE_WAIT | State.CLOSING | State.TIME_WAIT:
                before = {State.CLOSE_WAIT: State.ESTABLISHED, State.CLOSING: State.FIN_WAIT_1, State.TIME_WAIT: State.FIN_WAIT_2}
                self._reach(before[state], passive=passive)
                self.arrives("FIN,ACK", seq=1, ack=2 if state is State.TIME_WAIT else 1)
                self.expect("ACK", seq=self.sent_nxt, ack=2)
            case _:
                assert_never(state)

    def _establish(self, *, passive: bool) -> None:
        self._reach(State.SYN_RECEIVED if passive else State.SYN_SENT, passive=passive)
        self.wait(self.rtt)
        if passive:
            self.arrives("ACK", seq=1, ack=1)
        else:
            self.arrives("SYN,ACK", seq=0, ack=1, options=self.syn_options())
            self.expect("ACK", seq=1, ack=1)

    def compact(self) -> None:
        """Do what the host does in TIME-WAIT: keep the small record only."""
        record = self.connection.time_wait
        assert record is not None
        self.subject = record

    def reopen(self) -> None:
        """Do what the host does for a SYN that the record lets through: a new connection in its place (MAY-2)."""
        record = self.connection.time_wait
        assert record is not None
        self.connection = self.subject = Connection(
            record.local, config=self.config, isn=self._isn, counters=self.counters, trace=self.trace.append, reopening=record
        )

    def syn_options(self) -> tuple[Option, ...]:
        """The options of the peer's SYN."""
        mss = () if self.mss is None else (mss_option(self.mss),)
        scale = () if self.scale is None else (Option(tcp.WINDOW_SCALE, bytes((self.scale,))),)
        sack = (Option(tcp.SACK_PERMITTED),) if self.sack else ()
        return mss + scale + sack + self.stamps()

    def sacked(self, *blocks: tuple[int, int]) -> tuple[Option, ...]:
        """The options of a peer's ACK with these SACK blocks, relative to ISS."""
        return *self.stamps(), sack_option(*((self.iss + start, self.iss + end) for start, end in blocks))

    def blocks(self, sent: Sent) -> list[tuple[int, int]]:
        """The SACK blocks of a segment of the machine's, relative to IRS."""
        return [(signed(start - self.irs), signed(end - self.irs)) for start, end in sent.blocks]

    def stamps(self) -> tuple[Option, ...]:
        """The peer's timestamps: its clock, and the machine's latest TSval."""
        if self.tsval is None:
            return ()
        latest = next((sent.timestamps for sent in reversed(self.log) if sent.timestamps), (0, 0))
        return (stamp(self.tsval, latest[0]),)

    # --- calls of RFC 9293 3.10.1 to 3.10.5 ---

    def open_passive(self) -> None:
        self.connection.open_passive(now=self.now)
        self._pull()

    def open_active(self) -> None:
        self.connection.open_active(self.remote, now=self.now)
        self._pull()

    def send(self, data: bytes, *, remote: Endpoint | None = None) -> int:
        taken = self.connection.send(data, now=self.now, remote=remote)
        self._pull()
        return taken

    def receive(self, limit: int = 1 << 20) -> bytes:
        data = self.connection.receive(limit, now=self.now)
        self._pull()
        return bytes(data)

    def close(self) -> None:
        self.connection.close(now=self.now)
        self._pull()

    def release(self) -> None:
        self.connection.release(now=self.now)
        self._pull()

    def abort(self) -> None:
        self.subject.abort(now=self.now)
        self._pull()

    def user_timeout_expires(self) -> None:
        self.subject.user_timeout_expired(now=self.now)
        self._pull()

    # --- what the network brings ---

    def segment(
        self,
        flags: str,
        *,
        seq: int | None = None,
        ack: int | None = None,
        data: bytes = b"",
        window: int | None = None,
        options: tuple[Option, ...] | None = None,
        bad_options: bool = False,
    ) -> TcpSegment:
        """A segment of the peer's. Left out, SEQ is the peer's next octet, ACK covers all that the machine has sent, and the
        options are the peer's timestamps where it has any."""
        bits = flag_bits(flags)
        return TcpSegment(
            source_port=self.remote.port,
            destination_port=self.connection.local.port,
            seq=self.irs + (self.peer_nxt if seq is None else seq) & MASK,
            ack=self.iss + (self.sent_nxt if ack is None else ack) & MASK if bits & tcp.ACK else 0,
            flags=bits,
            window=self.window if window is None else window,
            options=self.stamps() if options is None else options,
            payload=data,
            bad_options=bad_options,
        )

    def deliver(self, segment: TcpSegment) -> None:
        """Hand a segment over without pulling the answer (a batch of the driver's)."""
        start = signed(segment.seq - self.irs)
        if start <= self.peer_nxt and not segment.flags & tcp.RST and not (segment.flags & tcp.SYN and self.peer_nxt):
            length = len(segment.payload) + bool(segment.flags & tcp.SYN) + bool(segment.flags & tcp.FIN)
            self.peer_nxt = max(self.peer_nxt, start + length)
        if isinstance(self.subject, Connection):
            self.subject.on_segment(segment, now=self.now, source=self.remote.address)
        else:
            self.subject.on_segment(segment, now=self.now)

    def arrives(
        self,
        flags: str,
        *,
        seq: int | None = None,
        ack: int | None = None,
        data: bytes = b"",
        window: int | None = None,
        options: tuple[Option, ...] | None = None,
        bad_options: bool = False,
    ) -> None:
        """Hand over one segment of the peer's, and pull what it makes the machine send."""
        self.deliver(self.segment(flags, seq=seq, ack=ack, data=data, window=window, options=options, bad_options=bad_options))
        self._pull()

    def icmp(self, error: OSError, *, hard: bool, seq: int) -> None:
        """An ICMP error about the segment with that SEQ (relative to ISS)."""
        self.connection.on_icmp_error(error, hard=hard, seq=self.iss + seq & MASK, now=self.now)
        self._pull()

    # --- the clock ---

    def wait(self, milliseconds: float) -> None:
        """Let time pass; every deadline fires on its nanosecond."""
        until = self.now + round(milliseconds * MILLISECOND)
        while self._fire(until):
            pass
        self.now = until

    def next_sent(self, *, within: float) -> Sent:
        """Let time pass until the machine sends something of itself, at most ``within`` ms; that segment."""
        self.nothing_sent()
        until = self.now + round(within * MILLISECOND)
        while not self.outbox:
            assert self._fire(until), f"nothing sent within {within} ms"
        return self.outbox.pop(0)

    def fire(self) -> None:
        """Jump to the next deadline and let it come, but pull nothing: the device is full, or the batch is not over."""
        deadline = self.subject.next_deadline()
        assert deadline is not None
        self.now = max(self.now, deadline)
        self.subject.on_deadline(now=self.now)

    def _fire(self, until: int) -> bool:
        deadline = self.subject.next_deadline()
        if deadline is None or deadline > until:
            return False
        repeats = 0 if deadline > self.now else 1
        self.now = max(self.now, deadline)
        self.subject.on_deadline(now=self.now)
        self._pull()
        assert not (repeats and self.subject.next_deadline() == deadline), "a deadline that has fired stays armed"
        return True

    # --- what came out ---

    def _pull(self) -> None:
        for _ in range(10_000):
            segment = self.subject.poll_transmit(now=self.now)
            if segment is None:
                return
            for part in apart(segment):
                sent = self._relative(part)
                self.outbox.append(sent)
                self.log.append(sent)
                if not part.flags & tcp.RST:
                    self.sent_nxt = max(self.sent_nxt, sent.end)
        raise AssertionError("poll_transmit does not end")

    def pull(self) -> None:
        """Pull what the machine has to send now (after ``deliver`` or a call on the connection itself)."""
        self._pull()

    def _relative(self, segment: TcpSegment) -> Sent:
        ack = signed(segment.ack - self.irs) if segment.flags & tcp.ACK else None
        seq = signed(segment.seq - self.iss)
        return Sent(self.now, flag_names(segment.flags & ~tcp.PSH), seq, ack, bytes(segment.payload), segment.window, segment)

    def sent(self) -> list[Sent]:
        """All that was sent since the last look."""
        sent, self.outbox = self.outbox, []
        return sent

    def expect(self, flags: str, *, seq: int | None = None, ack: int | None = None, data: bytes = b"") -> Sent:
        """The next segment sent is this one (PSH does not count); it is taken from the outbox."""
        assert self.outbox, f"nothing was sent where {flags} was due"
        sent = self.outbox.pop(0)
        wanted = (flag_names(flag_bits(flags)), sent.seq if seq is None else seq, sent.ack if ack is None else ack, data)
        assert (sent.flags, sent.seq, sent.ack, sent.data) == wanted
        return sent

    def nothing_sent(self) -> None:
        """Nothing was sent since the last look."""
        assert self.outbox == []

    # --- what the machine says of itself ---

    @property
    def state(self) -> State:
        return self.subject.state

    @property
    def error(self) -> OSError | None:
        return self.connection.error

    @property
    def snd_una(self) -> int:
        return signed(self.connection.tcb.snd_una - self.iss)

    @property
    def snd_nxt(self) -> int:
        return signed(self.connection.tcb.snd_nxt - self.iss)

    @property
    def rcv_nxt(self) -> int:
        return signed(self.connection.tcb.rcv_nxt - self.irs)

    @property
    def transitions(self) -> list[Transition]:
        return [event for event in self.trace if isinstance(event, Transition)]

    def expect_state(self, state: State) -> None:
        """The machine is in ``state`` now (a call, because a type checker takes a property for constant)."""
        assert self.state is state

    def readable(self) -> bool:
        """``receive`` would not block."""
        return self.connection.readable

    def writable(self) -> bool:
        """``send`` would not block."""
        return self.connection.writable

    def stayed(self) -> None:
        """No transition since the machine was built (or since the trace was cleared)."""
        assert self.transitions == []

    def moved(self, *path: State, section: str) -> None:
        """The machine went along ``path`` and nowhere else; the last step was traced with a clause of RFC 9293 ``section``."""
        steps = [(step.old, step.new) for step in self.transitions]
        assert steps == list(itertools.pairwise(path))
        assert self.state is path[-1]
        last = self.transitions[-1]
        assert re.match(re.escape(section) + r"(?!\d|\.\d)", last.clause.removeprefix("RFC 9293 ")), last.clause
        assert last.cause
        assert last.time == self.now
