"""TIME-WAIT as a record of its own: what must be remembered of a connection for 2 MSL and nothing more (RFC 9293 3.6.1)."""

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.tcp import seq
from userstack.tcp.segment import Segment, from_wire
from userstack.tcp.state import State, move
from userstack.trace import TimerFired, Tracer
from userstack.wire.tcp import ACK, TcpSegment


class TimeWait:
    """A connection in TIME-WAIT, from its first moment until CLOSED or until a new SYN reopens it."""

    __slots__ = (
        "ack_now",
        "config",
        "counters",
        "deadline",
        "local",
        "owner",
        "rcv_nxt",
        "rcv_wnd",
        "remote",
        "snd_nxt",
        "state",
        "tos",
        "trace",
        "ttl",
    )

    def __init__(
        self,
        local: Endpoint,
        remote: Endpoint,
        *,
        snd_nxt: int,
        rcv_nxt: int,
        rcv_wnd: int,
        config: StackConfig,
        counters: Counters,
        trace: Tracer | None,
        now: int,
        ttl: int,
        tos: int,
    ) -> None:
        self.state = State.TIME_WAIT
        self.local = local
        self.remote = remote
        self.snd_nxt = snd_nxt
        self.rcv_nxt = rcv_nxt
        self.rcv_wnd = rcv_wnd
        self.config = config
        self.counters = counters
        self.trace = trace
        self.ttl = ttl
        self.tos = tos
        self.ack_now = False
        self.owner: object | None = None
        """The connection that an application still holds, for whoever wakes it."""
        self.deadline = now + 2 * config.msl

    def on_segment(self, wire: TcpSegment, *, now: int) -> None:
        """RFC 9293 3.10.7.4 for the TIME-WAIT state; ``reopens`` is to be asked first."""
        segment = from_wire(wire, near_seq=self.rcv_nxt, near_ack=self.snd_nxt)
        if segment.rst:
            self._reset(segment, now)
        elif segment.syn:
            # Fourth step with RFC 5961: whatever its SEQ, it is answered with an ACK.
            self.ack_now = True
        elif segment.fin:
            # Only a repeated FIN is expected: it is left of the window, acknowledged, and restarts the wait.
            self.ack_now = True
            if segment.end == self.rcv_nxt:
                self.deadline = now + 2 * self.config.msl
        elif segment.length or not self._in_window(segment.seq) or (segment.has_ack and segment.ack > self.snd_nxt):
            # Note: an acceptable bare ACK is not acknowledged: two ends in TIME-WAIT would do so for ever.
            self.ack_now = True

    def _in_window(self, number: int) -> bool:
        return number == self.rcv_nxt or self.rcv_nxt <= number < self.rcv_nxt + self.rcv_wnd

    def _reset(self, segment: Segment, now: int) -> None:
        if self.config.rfc1337:
            self.counters.add("TcpExtTCPRfc1337Drop")
        elif segment.seq == self.rcv_nxt or (self.config.insecure_rst and self._in_window(segment.seq)):
            self._close(cause=segment.cause, clause="3.10.7.4 step 2", now=now)
        elif self._in_window(segment.seq):
            self.ack_now = True

    def reopens(self, wire: TcpSegment) -> bool:
        """MAY-2: a SYN above all that the old incarnation received may begin a new one (RFC 9293 3.6.1)."""
        segment = from_wire(wire, near_seq=self.rcv_nxt, near_ack=self.snd_nxt)
        return segment.syn and not segment.rst and not segment.has_ack and segment.seq > self.rcv_nxt

    def on_deadline(self, *, now: int) -> None:
        """RFC 9293 3.10.8, TIME-WAIT TIMEOUT."""
        if self.state is State.TIME_WAIT and now >= self.deadline:
            if self.trace is not None:
                self.trace(TimerFired(now, self.local, self.remote, "TIME-WAIT", "2 MSL have passed"))
            self._close(cause="timer TIME-WAIT", clause="3.10.8", now=now)

    def abort(self, *, now: int) -> None:
        """RFC 9293 3.10.5: "ok", and the record is gone; no RST."""
        self._close(cause="call ABORT", clause="3.10.5", now=now)

    def user_timeout_expired(self, *, now: int) -> None:
        """RFC 9293 3.10.8, USER TIMEOUT: for any state."""
        self._close(cause="user timeout", clause="3.10.8", now=now)

    def _close(self, *, cause: str, clause: str, now: int) -> None:
        self.ack_now = False
        move(self, State.CLOSED, cause=cause, clause=clause, now=now)

    def poll_transmit(self, *, now: int) -> TcpSegment | None:
        """``<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>``, if it is owed."""
        if not self.ack_now:
            return None
        self.ack_now = False
        return TcpSegment(
            self.local.port,
            self.remote.port,
            seq.wrap(self.snd_nxt),
            seq.wrap(self.rcv_nxt),
            ACK,
            min(self.rcv_wnd, 0xFFFF),
        )

    def next_deadline(self) -> int | None:
        """The end of the 2 MSL."""
        return self.deadline if self.state is State.TIME_WAIT else None
