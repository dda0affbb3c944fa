r"""One connection, sans-I/O: the facade over the transmission control block and the functions that work on it.

Whoever drives a connection does this, with ``now`` from any clock that does not go backwards::

    connection.on_segment(segment, now=now)          # or a call, or on_deadline
    while (out := connection.poll_transmit(now=now)) is not None:
        ...                                          # give it to the network
    wake_me_at(connection.next_deadline())

>>> from userstack.address import Endpoint
>>> from userstack.config import SECOND, StackConfig
>>> from userstack.counters import Counters
>>> c = Connection(Endpoint(bytes(4), 1), config=StackConfig(), isn=lambda *_: 100, counters=Counters())
>>> c.open_active(Endpoint(b"\x0a\x00\x00\x01", 80), now=0)
>>> c.state, c.poll_transmit(now=0).seq, c.poll_transmit(now=0), c.next_deadline() == SECOND
(<State.SYN_SENT: 'SYN-SENT'>, 100, None, True)
"""

from typing import Final, Self

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.tcp import arrives, calls, icmp, output, status, timeouts
from userstack.tcp import urgent as urgent_data
from userstack.tcp.challenge import ChallengeThrottle
from userstack.tcp.fastopen import NO_FAST_OPEN, FastOpen
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.isn import IsnGenerator
from userstack.tcp.lowerlevel import LowerLevel
from userstack.tcp.orphancount import OrphanCount
from userstack.tcp.path import Path
from userstack.tcp.report import Reports
from userstack.tcp.settings import Settings
from userstack.tcp.state import CAN_SEND, State
from userstack.tcp.tcb import Tcb
from userstack.tcp.timestamps import OffsetGenerator
from userstack.tcp.timewait import TimeWait
from userstack.trace import Tracer
from userstack.wire.ip import Buffer
from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import TcpSegment

_ENDED: Final = frozenset({State.CLOSED, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK, State.TIME_WAIT})
"""Where the peer sends no more."""
_OPENING: Final = frozenset({State.LISTEN, State.SYN_SENT, State.SYN_RECEIVED})


class Connection(Settings):
    """A TCP connection. Calls raise the errors of ``errors``; what the network does never raises.

    It begins in CLOSED. With ``listening`` it begins in LISTEN, for one SYN of those that a listener gets. With ``reopening`` it
    begins in TIME-WAIT, and the SYN that ``reopening.reopens`` has approved must be its first segment (RFC 9293 3.6.1, MAY-2).
    ``fast_open`` says what of RFC 7413 it takes part in. With ``remote`` it is made for that peer, and for a SYN, or an OPEN, at
    ``now``.
    """

    __slots__ = ("__weakref__",)

    def __init__(
        self,
        local: Endpoint,
        remote: Endpoint | None = None,
        *,
        config: StackConfig,
        isn: IsnGenerator,
        timestamp_offset: OffsetGenerator = lambda local, remote: 0,
        counters: Counters,
        mtu: int = 1500,
        path: Path | None = None,
        trace: Tracer | None = None,
        challenge: ChallengeThrottle | None = None,
        orphans: OrphanCount | None = None,
        quiet_until: int = 0,
        reopening: TimeWait | None = None,
        listening: bool = False,
        fast_open: FastOpen | None = None,
        now: int = 0,
    ) -> None:
        self.tcb = Tcb(
            local,
            remote,
            config=config,
            isn=isn,
            timestamp_offset=timestamp_offset,
            counters=counters,
            challenge=challenge or ChallengeThrottle(config.challenge_ack_limit),
            orphans=orphans or OrphanCount(config.max_orphans),
            mtu=mtu,
            path=path,
            trace=trace,
            quiet_until=quiet_until,
            reopening=reopening,
            listening=listening,
            fast_open=fast_open or NO_FAST_OPEN,
            now=now,
        )

    @classmethod
    def of(cls, tcb: Tcb) -> Self:
        """The connection with these variables."""
        made = cls.__new__(cls)
        made.tcb = tcb
        return made

    # --- what it is ---

    @property
    def local(self) -> Endpoint:
        """The local socket."""
        return self.tcb.local

    @property
    def remote(self) -> Endpoint | None:
        """The remote socket; None until it is known."""
        return self.tcb.remote

    @property
    def state(self) -> State:
        """The state of RFC 9293 3.3.2."""
        return self.tcb.state if self.tcb.time_wait is None else self.tcb.time_wait.state

    @property
    def time_wait(self) -> TimeWait | None:
        """The record that the connection has become; None before TIME-WAIT."""
        return self.tcb.time_wait

    @property
    def is_released(self) -> bool:
        """The application has gone (MAY-1)."""
        return self.tcb.released

    @property
    def is_established(self) -> bool:
        """The handshake was completed, whatever has become of the connection since."""
        return self.tcb.syn_acked

    def would_be_established(self, segment: TcpSegment) -> bool:
        """True of the ACK that takes the connection from SYN-RECEIVED on (RFC 9293 3.10.7.4 step 5)."""
        return arrives.completes_handshake(self.tcb, segment)

    @property
    def owes_reset(self) -> bool:
        """A RST has still to go out."""
        return bool(self.tcb.resets) or (self.tcb.time_wait is not None and self.tcb.time_wait.owes_reset)

    @property
    def owes_ack(self) -> bool:
        """An ACK, perhaps to tell of a window that has opened, has still to go out."""
        return self.tcb.ack_now

    @property
    def error(self) -> OSError | None:
        """Why the connection died, until a call has raised it."""
        return self.tcb.error

    @property
    def soft_error(self) -> OSError | None:
        """SHLD-25, SHLD-9: the last trouble that did not end the connection."""
        return self.tcb.soft_error

    @property
    def has_text(self) -> bool:
        """Octets wait to be read, and not only one that is out of band."""
        tcb = self.tcb
        return tcb.recvbuf.size > 0 if tcb.mark is None else urgent_data.has_text(tcb)

    @property
    def readable(self) -> bool:
        """True when ``receive`` would not block: octets, the end of the stream, or an error."""
        return self.has_text or self.tcb.state in _ENDED or self.tcb.error is not None

    @property
    def writable(self) -> bool:
        """True when ``send`` would not block: room, or an error to raise."""
        tcb = self.tcb
        waits_for_text = tcb.state not in CAN_SEND and (tcb.early or tcb.fast_open.deferred)
        if (tcb.state in CAN_SEND or waits_for_text) and not tcb.close_requested:
            return tcb.sendbuf.room > 0
        return waits_for_text or tcb.state not in _OPENING

    @property
    def eof(self) -> bool:
        """True when nothing more will ever be received."""
        return self.tcb.state in _ENDED and not self.has_text

    @property
    def fin_received(self) -> bool:
        """The peer's FIN has come, whatever became of the connection afterwards."""
        return self.tcb.recvbuf.fin_seq is not None and self.tcb.rcv_nxt > self.tcb.recvbuf.fin_seq

    @property
    def urgent_end(self) -> int:
        """RCV.UP, unwrapped: it moves with every announcement of more urgent data (MUST-32)."""
        return self.tcb.rcv_up

    @property
    def urgent_remaining(self) -> int:
        """MUST-33: octets of urgent data that have not been read, be they here or on their way."""
        return urgent_data.remaining(self.tcb)

    @property
    def urgent_waits(self) -> bool:
        """The last octet of urgent data is here, and was read neither out of band nor in the stream (POLLPRI)."""
        return self.tcb.mark is not None and self.tcb.mark.is_waiting

    @property
    def at_mark(self) -> bool:
        """The next octet to read is the last one of urgent data (``sockatmark``)."""
        return urgent_data.at_mark(self.tcb)

    @property
    def unread(self) -> int:
        """Octets that can be read: those before the mark, where there is one and it is out of band (SIOCINQ)."""
        return urgent_data.unread(self.tcb)

    @property
    def lower(self) -> LowerLevel:
        """What it tells IP of its packets."""
        return self.tcb.lower

    def path_mtu(self, *, now: int) -> int:
        """IP_MTU: what the path to the peer takes, in octets, as far as it is known."""
        self.tcb.lower.path.age(now)
        return self.tcb.lower.path.mtu

    def return_route(self, route: SourceRoute) -> None:
        """MUST-53, SHLD-24: the way back of what an acceptable segment took; for passive opens alone."""
        if not self.tcb.lower.route_given and route != self.tcb.lower.route:
            self.tcb.lower.route = route
            self.tcb.update_mss()

    @property
    def reports(self) -> Reports:
        """MUST-47: the errors that it survived, once ``reports.want(True)`` asks for them (SHLD-20)."""
        tcb = self.tcb
        if tcb.reports is None:
            tcb.reports = Reports(tcb.config.error_reports, tcb.counters)
        return tcb.reports

    def info(self, *, now: int | None = None) -> ConnectionInfo:
        """RFC 9293 3.10.6, STATUS. Without ``now`` what counts time stands as of when something was last sent or received."""
        return status.of(self.tcb, now)

    # --- calls ---

    def open_passive(self, *, now: int) -> None:
        """OPEN, passive: CLOSED to LISTEN.

        Raises:
            AlreadyConnected: the connection is open.
        """
        calls.open_passive(self.tcb, now=now)

    def open_active(self, remote: Endpoint | None, *, now: int) -> None:
        """OPEN, active: CLOSED or LISTEN to SYN-SENT.

        Raises:
            AlreadyConnected: the connection is open.
            DestinationRequired: no remote socket was given.
            NetworkUnreachable: the remote address is broadcast or multicast (MUST-46).
        """
        calls.open_active(self.tcb, remote, now=now)

    def send(self, data: Buffer, *, now: int, remote: Endpoint | None = None, more: bool = False, urgent: bool = False) -> int:
        """SEND: the number of octets taken; ``remote`` turns a LISTEN active, ``more`` (MSG_MORE) says that another SEND follows.

        ``urgent`` (MSG_OOB) makes all that is sent up to the last of these octets urgent data; new programs should not (SHLD-13).

        Raises:
            BlockingIOError: the send buffer is full.
            BrokenPipe: this end has closed, or the connection is gone.
            NotConnected: it was never opened.
            OSError: what killed the connection, once.
        """
        self.tcb.more = more
        return calls.send(self.tcb, data, remote=remote, now=now, urgent=urgent)

    def receive(self, limit: int, *, now: int) -> bytes:
        """RECEIVE: up to ``limit`` octets; ``b""`` at the end of the stream.

        Raises:
            BlockingIOError: nothing is there yet.
            NotConnected: it was never opened.
            OSError: what killed the connection, once.
        """
        return calls.receive(self.tcb, limit, now=now)

    def read(self, limit: int, *, now: int) -> bytes:
        """What a RECEIVE would give at once; ``b""`` where it would have to wait, or say something else."""
        return calls.read(self.tcb, limit, now)

    def peek(self, limit: int) -> bytes:
        """What ``read`` would give, without taking it."""
        return urgent_data.peek(self.tcb, limit)

    def receive_urgent(self, *, peek: bool = False) -> bytes:
        """The last octet of urgent data, where it is out of band; ``b""`` where it will never come.

        Raises:
            InvalidArgument: there is none, or it has been read, or it is in line.
            NotConnected: the connection is gone.
            BlockingIOError: it was announced and is not here yet.
        """
        return urgent_data.read_octet(self.tcb, peek=peek)

    def receive_into(self, buffer: bytearray | memoryview, *, now: int) -> int:
        """RECEIVE into ``buffer``; the number of octets. Raises what ``receive`` raises."""
        if self.tcb.mark is None and self.tcb.recvbuf.size and len(buffer):
            return calls.read_into(self.tcb, memoryview(buffer), now)
        data = self.receive(len(buffer), now=now)
        buffer[: len(data)] = data
        return len(data)

    def close(self, *, now: int) -> None:
        """CLOSE: no more to send; receiving goes on.

        Raises:
            NotConnected: there is no connection.
            BrokenPipe: it is closing already, from both sides.
        """
        calls.close(self.tcb, now=now)

    def release(self, *, now: int) -> None:
        """The BSD ``close``: CLOSE, and no more reading (MAY-1, SHLD-3). Never raises; the connection finishes by itself."""
        calls.release(self.tcb, now=now)

    def stop_reading(self) -> None:
        """``shutdown(SHUT_RD)``: text that comes after this end has closed too is answered with a RST, as in Linux (SHLD-3)."""
        self.tcb.deaf = True

    def abort(self, *, now: int, accepted: bool = True) -> None:
        """ABORT: RST and CLOSED. ``accepted``: a program had the connection, and what it holds is lost by its own wish.

        Raises:
            NotConnected: there is no connection.
        """
        calls.abort(self.tcb, now=now, accepted=accepted)

    def give_up(self, *, cause: str, now: int) -> None:
        """A half-open connection that nobody waits for any more: CLOSED without a word, as when R2 is reached (RFC 9293 3.8.3)."""
        self.tcb.die(None, cause=cause, clause="3.8.3", now=now)

    def user_timeout_expired(self, *, now: int) -> None:
        """The user timeout of RFC 9293 3.10.8, run by the caller: CLOSED, with ``ConnectionTimedOut``."""
        calls.user_timeout(self.tcb, now=now)

    # --- the network ---

    def on_segment(self, segment: TcpSegment, *, now: int, source: bytes | None = None) -> None:
        """A segment for this connection arrives. In LISTEN ``source``, the packed address it came from, fills in the remote socket.

        Raises:
            InvalidArgument: in LISTEN without ``source``, where it was not made for one peer.
        """
        if self.tcb.state is State.LISTEN and not self.tcb.ready:
            if source is None:
                raise InvalidArgument("a segment that arrives in LISTEN needs its source address")
            self.tcb.remote = Endpoint(source, segment.source_port)
        arrives.segment_arrives(self.tcb, segment, now=now)

    def on_icmp_error(self, error: OSError, *, hard: bool, seq: int, now: int) -> None:
        """An ICMP error that quotes a segment of ours with the 32-bit sequence number ``seq`` (RFC 9293 3.9.2.2)."""
        icmp.on_error(self.tcb, error, hard=hard, wire_seq=seq, now=now)

    def on_packet_too_big(self, mtu: int, *, seq: int, now: int) -> None:
        """ICMP "fragmentation needed" with the next hop's MTU in octets, quoting ``seq`` (RFC 1191)."""
        icmp.on_packet_too_big(self.tcb, mtu, wire_seq=seq, now=now)

    def on_deadline(self, *, now: int) -> None:
        """Fire what is due; early calls do nothing."""
        if self.tcb.time_wait is not None:
            self.tcb.time_wait.on_deadline(now=now)
        else:
            timeouts.on_deadline(self.tcb, now=now)

    def poll_transmit(self, *, now: int) -> TcpSegment | None:
        """The next segment to send, or None."""
        return output.poll_transmit(self.tcb, now=now)

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has to be called, in ns; None: no timer runs."""
        tcb = self.tcb
        if tcb.time_wait is not None:
            return tcb.time_wait.next_deadline()
        return tcb.quiet_until if tcb.syn_due and tcb.quiet_until else tcb.timers.next()
