"""TIME-WAIT as a record of its own: what must be remembered of a connection for 2 MSL and nothing more (RFC 9293 3.6.1)."""

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.tcp import md5sig, seq
from userstack.tcp.challenge import ChallengeThrottle
from userstack.tcp.lowerlevel import LowerLevel
from userstack.tcp.segment import Segment, from_wire
from userstack.tcp.state import State, move
from userstack.tcp.timestamps import Timestamps
from userstack.trace import TimerFired, Tracer
from userstack.wire.tcp import ACK, RST, Option, TcpSegment


class TimeWait:
    """A connection in TIME-WAIT, from its first moment until CLOSED or until a new SYN reopens it."""

    __slots__ = (
        "ack_now",
        "challenged_at",
        "config",
        "counters",
        "deadline",
        "local",
        "md5_key",
        "oldest_ack",
        "path",
        "pmtu_discovery",
        "rcv_nxt",
        "rcv_wnd",
        "remote",
        "reset_owed",
        "route",
        "snd_nxt",
        "state",
        "throttle",
        "tos",
        "trace",
        "ts_offset",
        "ts_recent",
        "ts_recent_at",
        "ttl",
        "window",
    )

    def __init__(
        self,
        local: Endpoint,
        remote: Endpoint,
        *,
        oldest_ack: int,
        snd_nxt: int,
        rcv_nxt: int,
        rcv_wnd: int,
        window: int,
        timestamps: Timestamps | None,
        config: StackConfig,
        counters: Counters,
        trace: Tracer | None,
        throttle: ChallengeThrottle,
        now: int,
        ttl: int,
        tos: int,
        lower: LowerLevel,
        md5_key: bytes | None = None,
    ) -> None:
        self.state = State.TIME_WAIT
        self.local = local
        self.remote = remote
        self.oldest_ack = oldest_ack
        """SND.UNA - MAX.SND.WND (RFC 5961 5.2)."""
        self.snd_nxt = snd_nxt
        self.rcv_nxt = rcv_nxt
        self.rcv_wnd = rcv_wnd
        self.window = window
        """RCV.WND as the window field has it."""
        self.ts_recent = None if timestamps is None else timestamps.recent
        """TS.Recent; None: timestamps were not agreed."""
        self.ts_recent_at, self.ts_offset = (0, 0) if timestamps is None else (timestamps.recent_at, timestamps.offset)
        self.config = config
        self.counters = counters
        self.trace = trace
        self.throttle = throttle
        self.ttl = ttl
        self.tos = tos
        self.path, self.pmtu_discovery, self.route = lower.path, lower.pmtu_discovery, lower.route
        self.md5_key = md5_key
        """What its segments are signed with (RFC 2385)."""
        self.ack_now = False
        self.challenged_at: int | None = None
        """When a segment that was not acceptable was last answered."""
        self.reset_owed: tuple[int, int | None] | None = None
        """SEQ and ACK of a RST to send."""
        self.deadline = now + 2 * config.msl

    @property
    def timestamps(self) -> Timestamps | None:
        """What was kept of the connection's, unfolded for the rare segment that comes; None: not agreed."""
        if self.ts_recent is None:
            return None
        timestamps = Timestamps(self.config.timestamp_clock, self.ts_offset)
        timestamps.begin(self.ts_recent, self.ts_recent_at)
        return timestamps

    @property
    def lower(self) -> LowerLevel:
        """What it tells IP of its packets, unfolded likewise."""
        lower = LowerLevel(self.config, self.local.address, self.path)
        lower.pmtu_discovery, lower.route = self.pmtu_discovery, self.route
        return lower

    def on_segment(self, wire: TcpSegment, *, now: int) -> None:
        """RFC 9293 3.10.7.4 for the TIME-WAIT state; ``reopens`` is to be asked first."""
        if self.state is not State.TIME_WAIT:
            return
        segment = from_wire(wire, near_seq=self.rcv_nxt, near_ack=self.snd_nxt)
        beyond = segment.length and not self.rcv_wnd and not segment.rst  # a probe of a zero window
        if self._is_old(segment, now) or beyond or not segment.is_acceptable(self.rcv_nxt, self.rcv_wnd):  # first step
            self._unacceptable(segment, now)
        elif segment.rst:  # second step
            self._reset(segment, now)
        elif segment.bad_options and segment.seq == self.rcv_nxt:  # MUST-7
            self.counters.add("TcpExtTCPBadOptions")
            self._close(cause=f"{segment.cause} with an option of illegal length", clause="3.1", now=now)
        elif segment.syn:  # fourth step
            self._syn(segment, now)
        elif segment.has_ack:  # fifth step
            self._acknowledges(segment, now)

    def _is_old(self, segment: Segment, now: int) -> bool:
        """R1 of RFC 7323 5.3; a segment that lacks the option is answered no more than by RFC 9293."""
        stamps = segment.timestamps
        kept = self.timestamps
        if segment.rst or stamps is None or kept is None or not kept.is_old(stamps[0], now):
            return False
        self.counters.add("TcpExtPAWSTimewait")
        return True

    def _unacceptable(self, segment: Segment, now: int) -> None:
        """First step: the ACK, through the throttle where no text or FIN asks for it; the repeated FIN restarts the 2 MSL."""
        if segment.rst:
            return
        if segment.syn or not segment.length:
            self._challenge(now)
            return
        self.ack_now = True
        if segment.fin and segment.end == self.rcv_nxt:
            self._restart(now)

    def _acknowledges(self, segment: Segment, now: int) -> None:
        """Fifth step, with RFC 5961 5, and eighth.

        Note: an acceptable bare ACK gets no answer: two ends in TIME-WAIT would answer each other for ever.
        """
        if not self.oldest_ack <= segment.ack <= self.snd_nxt:
            self._challenge(now)
            return
        self.ack_now |= bool(segment.length)
        if segment.fin:
            self._restart(now)

    def _restart(self, now: int) -> None:
        self.deadline = now + 2 * self.config.msl

    def _challenge(self, now: int) -> None:
        if self.challenged_at is not None and now - self.challenged_at < self.config.invalid_ratelimit:
            self.counters.add("TcpExtTCPACKSkippedTimeWait")
        elif self.throttle.allow(now):
            self.challenged_at = now
            self.ack_now = True
        else:
            self.counters.add("TcpExtTCPACKSkippedTimeWait")

    def _reset(self, segment: Segment, now: int) -> None:
        if self.config.rfc1337:
            self.counters.add("TcpExtTCPRfc1337Drop")
        elif segment.seq == self.rcv_nxt or self.config.insecure_rst:
            self._close(cause=segment.cause, clause="3.10.7.4 step 2", now=now)
        else:
            self._challenge(now)

    def _syn(self, segment: Segment, now: int) -> None:
        if not self.config.insecure_syn:
            self._challenge(now)
            return
        self.reset_owed = segment.reset
        self._close(cause=segment.cause, clause="3.10.7.4 step 4", now=now)

    @property
    def owes_reset(self) -> bool:
        """A RST has still to go out."""
        return self.reset_owed is not None

    @property
    def next_iss(self) -> int:
        """MAY-2 (1): where a new incarnation may begin, above all that this one used; Linux's tcp_tw_reuse steps as far."""
        return self.snd_nxt + 65537

    def reopens(self, wire: TcpSegment) -> bool:
        """MAY-2: a SYN above all that the old incarnation received may begin a new one (RFC 9293 3.6.1, RFC 6191 2)."""
        segment = from_wire(wire, near_seq=self.rcv_nxt, near_ack=self.snd_nxt)
        if not segment.syn or segment.rst or segment.has_ack or segment.bad_options:
            return False
        if segment.fin and self.config.drop_synfin:
            return False
        # RFC 6191 2: above "the sequence number corresponding to the FIN flag", which RCV.NXT is. Linux leaves that one out.
        above = segment.seq >= self.rcv_nxt
        if segment.timestamps is None or not self.config.timestamps:
            return above
        tsval, kept = segment.timestamps[0], self.timestamps
        return kept is None or kept.is_newer(tsval) or (kept.is_recent(tsval) and above)

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
        """``<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`` or the RST, if one is owed."""
        if self.reset_owed is not None:
            self.counters.add("TcpOutSegs")
            (number, ack), self.reset_owed = self.reset_owed, None
            self.counters.add("TcpOutRsts")
            return self._segment(number, ack or 0, RST if ack is None else RST | ACK, 0)
        if not self.ack_now:
            return None
        self.ack_now = False
        self.counters.add("TcpOutSegs")
        kept = self.timestamps
        options = () if kept is None else kept.padded(now)
        return self._segment(self.snd_nxt, self.rcv_nxt, ACK, self.window, options)

    def _segment(self, number: int, ack: int, flags: int, window: int, options: tuple[Option, ...] = ()) -> TcpSegment:
        segment = TcpSegment(self.local.port, self.remote.port, seq.wrap(number), seq.wrap(ack), flags, window, options=options)
        if self.md5_key is not None:
            md5sig.sign(segment, self.local.address, self.remote.address, self.md5_key)
        return segment

    def next_deadline(self) -> int | None:
        """The end of the 2 MSL."""
        return self.deadline if self.state is State.TIME_WAIT else None
