"""The transmission control block: every variable of one connection, by the names of RFC 9293 3.3.1.

Sequence numbers are unwrapped (see ``seq``), times are nanoseconds, sizes octets. ``calls``, ``arrives`` and ``output`` are the
functions that work on it.
"""

from functools import lru_cache
from typing import Final

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.tcp import ecn, uto
from userstack.tcp.challenge import ChallengeThrottle
from userstack.tcp.chronograph import IDLE, NEVER_BUSY
from userstack.tcp.congestion.base import CongestionControl
from userstack.tcp.congestion.reno import Reno
from userstack.tcp.delayed_ack import NOTHING_ARRIVED
from userstack.tcp.delivery import NOTHING_DELIVERED
from userstack.tcp.ecn import Ecn
from userstack.tcp.fastopen import FastOpen
from userstack.tcp.isn import IsnGenerator
from userstack.tcp.lowerlevel import LowerLevel
from userstack.tcp.mark import UrgentMark
from userstack.tcp.md5sig import OPTION_OCTETS as SIGNATURE_OCTETS
from userstack.tcp.nothing_sent import NOTHING_SENT
from userstack.tcp.options import default_mss, header_size
from userstack.tcp.orphancount import OrphanCount
from userstack.tcp.owed_reset import OwedReset, OwedResets
from userstack.tcp.path import Path
from userstack.tcp.probing import NOT_PROBING
from userstack.tcp.receiver_rtt import NOTHING_MEASURED
from userstack.tcp.recovery import LossRecovery
from userstack.tcp.recvbuf import ReceiveBuffer
from userstack.tcp.report import Reports
from userstack.tcp.rtt import RttEstimator
from userstack.tcp.sack import NOTHING_TO_REPORT
from userstack.tcp.segment import Segment
from userstack.tcp.sendbuf import SendBuffer
from userstack.tcp.state import State, move
from userstack.tcp.tally import NOTHING_TALLIED
from userstack.tcp.timers import Timers
from userstack.tcp.timestamps import OPTION_OCTETS, OffsetGenerator, Timestamps
from userstack.tcp.timewait import TimeWait
from userstack.tcp.uto import UserTimeoutOption
from userstack.tcp.windowscale import MAX_WINDOW, syn_window, to_field
from userstack.trace import Tracer


class Tcb:
    """One connection's variables."""

    __slots__ = (
        "ack_now", "ack_received_at", "bytes_acked", "bytes_received", "bytes_retrans", "bytes_sent", "challenge", "challenged_at",
        "chronograph", "close_requested", "config", "congestion", "cork", "counters", "data_received_at", "data_segs_in",
        "data_sent_at", "deaf", "deferred", "delayed_ack", "delivery", "ecn", "error", "fast_open", "heard_at", "irs", "isn",
        "iss", "keepalive_due", "keepalives", "local", "lower", "mark", "max_snd_wnd", "md5_key", "more", "mtu", "nodelay",
        "oob_inline", "orphan", "orphans", "outstanding_since", "override_due", "passive", "path_mtu", "peer_mss", "probe_due",
        "probing", "quiet_until", "rcv_adv", "rcv_mss", "rcv_nxt", "rcv_up", "rcv_wind_shift", "ready", "receiver_rtt", "recovery",
        "recvbuf", "released", "remote", "reopened_from", "reports", "resets", "retransmits", "retransmitted_since", "rtt",
        "sack_permitted", "sack_report", "segs_accepted", "segs_in", "segs_out", "sendbuf", "small_sent_end", "snd_mss", "snd_nxt",
        "snd_ts_ok", "snd_una", "snd_up", "snd_wind_shift", "snd_wl1", "snd_wl2", "snd_wnd", "soft_error", "state", "syn_due",
        "syn_lost", "syns_sent", "tally", "time_wait", "timers", "timestamp_offset", "timestamps", "tlp_again", "tlp_due",
        "tlp_end", "tos", "total_retrans", "trace", "ttl", "urgent_probe_due", "user_timeout", "uto", "window_scaling",
    )  # fmt: skip

    def __init__(
        self,
        local: Endpoint,
        remote: Endpoint | None,
        *,
        config: StackConfig,
        isn: IsnGenerator,
        timestamp_offset: OffsetGenerator,
        counters: Counters,
        challenge: ChallengeThrottle,
        orphans: OrphanCount,
        mtu: int,
        path: Path | None = None,
        trace: Tracer | None,
        quiet_until: int,
        reopening: TimeWait | None,
        listening: bool,
        fast_open: FastOpen,
        now: int,
    ) -> None:
        self.state = State.LISTEN if listening else State.CLOSED if reopening is None else State.TIME_WAIT
        self.local = local
        self.remote = remote if reopening is None else reopening.remote
        self.config = config
        self.isn = isn
        self.timestamp_offset = timestamp_offset
        self.counters = counters
        self.challenge = challenge
        self.orphans = orphans
        self.orphan = False
        """Counted in ``orphans``: the program has closed it, and it is not over yet."""
        self.mtu = mtu
        self.lower = LowerLevel(config, local.address, path or Path(mtu))
        self.trace = trace
        self.fast_open = fast_open
        self.quiet_until = quiet_until
        """RFC 9293 3.4.3: no SYN leaves before this time."""
        self.passive = False
        """MUST-11: SYN-RECEIVED was reached from LISTEN."""
        self.reopened_from: TimeWait | None = reopening
        """MAY-2: the record to go back to if the SYN turns out to be an old duplicate."""
        self.time_wait: TimeWait | None = None
        """From TIME-WAIT on, this record is the connection."""
        self._set_options(config)
        self.reports: Reports | None = None
        """None: nobody has asked for them."""
        self.error: OSError | None = None
        self.soft_error: OSError | None = None
        self._reset_counts()
        self.ready = self.remote is not None and reopening is None
        """All is made for the first incarnation, which ``begin`` has only to let go."""
        self.start(isn(local, self.remote, now) if self.remote is not None and self.ready else 0)

    def _set_options(self, config: StackConfig) -> None:
        """What a program may set by the options of a socket."""
        self.nodelay = not config.nagle
        self.user_timeout: int | None = None
        self.uto = UserTimeoutOption(config) if config.uto else uto.OFF
        self.cork = False
        """TCP_CORK: only full segments go out."""
        self.ttl = config.ttl_for(self.local.address)
        self.tos = config.tos_for(self.local.address)
        self.md5_key: bytes | None = None
        """What every segment is signed with (RFC 2385)."""
        self.oob_inline = True
        """SO_OOBINLINE: the last octet of urgent data stays in the stream (RFC 6093 6), else it is read apart from it."""

    def _reset_counts(self) -> None:
        self.challenged_at: int | None = None
        """When a segment that was not acceptable was last answered."""
        self.heard_at = 0
        """When the peer last sent something acceptable."""
        self.bytes_sent = self.bytes_acked = self.bytes_received = self.bytes_retrans = 0
        self.segs_in = self.segs_out = self.total_retrans = 0
        self.segs_accepted = 0
        """Of those that came, how many were acceptable (RFC 9293 3.10.7.4, first step)."""
        self.data_sent_at = 0
        self.data_segs_in = 0
        """Those with text."""
        self.data_received_at: int | None = None
        """When text came in order, and (``ack_received_at``) an ACK that was not old; at first when it was established."""
        self.ack_received_at: int | None = None
        self.tally = NOTHING_TALLIED
        self.chronograph = NEVER_BUSY

    def begin(self, remote: Endpoint, now: int) -> None:
        """A new incarnation with ``remote`` and an ISS of its own (RFC 9293 3.4.1)."""
        if not self.ready:
            self.remote = remote
            self.start(self.isn(self.local, remote, now))
        self.ready = False

    def start(self, iss: int) -> None:
        """A new incarnation with that initial send sequence number: all send and receive variables afresh."""
        self.iss = iss
        self.snd_una = self.snd_nxt = self.snd_up = iss
        self.snd_wnd = self.max_snd_wnd = self.snd_wl1 = self.snd_wl2 = 0
        self.irs = self.rcv_nxt = self.rcv_up = 0
        self.mark: UrgentMark | None = None
        self._start_options()
        self.rcv_adv = self.syn_window
        """RCV.NXT + RCV.WND: the right edge that was offered; it never moves left (SHLD-14)."""
        self._start_handshake()
        self.sendbuf = SendBuffer(iss + 1, self.config.send_buffer)
        self.recvbuf = ReceiveBuffer(self.config.receive_buffer, self.config.out_of_order_ranges)
        self.sack_report = NOTHING_TO_REPORT
        self.delivery = NOTHING_DELIVERED
        self.receiver_rtt = NOTHING_MEASURED
        self.ecn = Ecn(iss, offers=True) if self.config.ecn == 1 else ecn.OFF
        self.recovery: LossRecovery = NOTHING_SENT
        self.congestion: CongestionControl = self.begin_congestion()
        self.close_requested = False
        self.released = False
        """MAY-1: the application has gone; nobody will call again."""
        self.deaf = False
        """The application will read no more: text that comes once this end has closed is lost (SHLD-3)."""
        self.more = False
        """MSG_MORE: the last SEND announced another one."""
        self.small_sent_end = iss
        """After the last segment that was not full."""
        self._start_timers()
        self.owe_nothing()
        self.resets: OwedResets | None = None
        """None: there never was one."""

    def _start_options(self) -> None:
        """What a SYN of ours would offer."""
        self.follow_config()
        self.window_scaling = self.config.window_scaling
        """Before the peer's SYN is here: to be offered. From then on: agreed."""
        self.snd_wind_shift = self.rcv_wind_shift = 0
        """By how many bits the peer's windows and ours are shifted (RFC 7323 2.3)."""
        self.snd_ts_ok = self.config.timestamps
        """Snd.TS.OK; before the peer's SYN is here: to be offered."""
        ahead = self.timestamp_offset(self.local, self.remote) if self.remote is not None and self.snd_ts_ok else 0
        self.timestamps = Timestamps(self.config.timestamp_clock, ahead)
        self.sack_permitted = self.config.sack
        """Before the peer's SYN is here: to be offered. From then on: agreed (RFC 2018 2)."""
        self.peer_mss: int | None = None
        self.path_mtu = self.lower.path.mtu
        """What segments are cut for."""
        self.snd_mss = self._effective_mss()
        """Eff.snd.MSS (MUST-16): octets of text in a segment, the options that every segment has not counted (RFC 6691)."""

    def _start_handshake(self) -> None:
        self.syns_sent = 0
        self.syn_lost = False
        self.deferred = False
        """The peer's ACK of our SYN,ACK has come and was put off (``defer_accept``)."""

    def _start_timers(self) -> None:
        self.outstanding_since: int | None = None
        """Since when the front of what is outstanding has waited: the measure of R2 and the user timeout."""
        self.retransmits = 0
        self.retransmitted_since: int | None = None
        """When the front of what is outstanding was first sent again after a timeout."""
        self.probing = NOT_PROBING
        self.tlp_end: int | None = None
        """TLP.end_seq: after the tail loss probe that is on its way."""
        self.tlp_again = False
        """TLP.is_retrans."""
        self.keepalives = 0
        """Keep-alives that nobody has answered."""
        self.rtt = RttEstimator(self.config)
        self.timers = Timers()
        self.delayed_ack = NOTHING_ARRIVED

    def owe_nothing(self) -> None:
        """Forget what processing has promised to send."""
        self.ack_now = self.syn_due = self.probe_due = self.urgent_probe_due = False
        self.keepalive_due = self.tlp_due = self.override_due = False

    @property
    def address(self) -> bytes:
        """An address of the connection's family, even while the local one is a wildcard."""
        return self.local.address if self.remote is None else self.remote.address

    @property
    def rcv_wnd(self) -> int:
        """RCV.WND: what the last window sent still offers."""
        return self.rcv_adv - self.rcv_nxt

    @property
    def offered_window(self) -> int:
        """What the last window sent offered when it was sent."""
        return self.rcv_adv - self.timestamps.last_ack_sent

    @property
    def rcv_edge(self) -> int:
        """The right edge of the largest window that could be offered now."""
        return self.rcv_nxt + min(self.recvbuf.free, MAX_WINDOW << self.rcv_wind_shift)

    @property
    def syn_window(self) -> int:
        """The window of a SYN, which is never scaled."""
        stamped = self.snd_ts_ok and self.timestamps.recent is not None
        return syn_window(self.config, self.rcv_mss - (OPTION_OCTETS if stamped else 0))

    @property
    def first_space(self) -> int:
        """What a peer may be expected to send in its first round trip: what the window allows, or ten segments (RFC 6928)."""
        return min(self.rcv_wnd, _FIRST_SEGMENTS * self.advertised_mss)

    @property
    def initial_cwnd(self) -> int:
        """IW of RFC 6928 2: one segment where the SYN or SYN,ACK had to be repeated more than once."""
        if self.total_retrans > 1:
            return self.snd_mss
        config = self.config
        return common(min(config.initial_window * self.snd_mss, max(2 * self.snd_mss, config.initial_window_octets)))

    def begin_congestion(self) -> CongestionControl:
        """Congestion control at its start."""
        config = self.config
        return Reno(self.snd_mss, self.initial_cwnd, limit=config.abc_limit, validate=config.cwnd_validation)

    @property
    def signature_octets(self) -> int:
        """What the signature takes of every segment, SYNs included (RFC 2385)."""
        return 0 if self.md5_key is None else SIGNATURE_OCTETS

    @property
    def option_octets(self) -> int:
        """What the agreed options take of every segment."""
        octets = OPTION_OCTETS if self.snd_ts_ok and self.timestamps.recent is not None else 0
        return octets if self.md5_key is None else octets + SIGNATURE_OCTETS

    def update_mss(self) -> None:
        """The peer's MSS, the path MTU or what was agreed has changed."""
        self.snd_mss = self._effective_mss()
        self.congestion.set_mss(self.snd_mss)

    def _effective_mss(self) -> int:
        config, address = self.config, self.local.address if self.remote is None else self.remote.address
        offered = default_mss(address) if self.peer_mss is None else max(self.peer_mss, config.min_snd_mss)  # MUST-15
        most = min(offered, self.path_mtu - header_size(address), config.max_segment or 65535)
        return common(max(most - self.lower.option_octets - self.option_octets, 1))

    def follow_config(self) -> None:
        """Take from the settings, which may be others now, what the data path asks for with every segment."""
        address = self.local.address if self.remote is None else self.remote.address
        self.rcv_mss = common(min(self.mtu - header_size(address), self.config.max_segment or 65535))
        """The MSS that this end offers: MTU less the fixed headers (MUST-67)."""

    def follow_path(self) -> None:
        """Cut segments for what the path takes now, which another connection may have learned, or the time have undone."""
        if self.lower.path.mtu != self.path_mtu:
            self.path_mtu = self.lower.path.mtu
            self.update_mss()

    @property
    def segment_limit(self) -> int:
        """What counts as a full segment: Eff.snd.MSS, or less towards a peer with a small window (``half_window_segments``)."""
        if not self.config.half_window_segments or self.max_snd_wnd >= 2 * self.snd_mss:
            return self.snd_mss
        half = self.max_snd_wnd // 2 if self.max_snd_wnd > _SMALL_WINDOW else self.max_snd_wnd
        return min(max(half, _LEAST_TEXT), self.snd_mss)

    @property
    def advertised_mss(self) -> int:
        """The same less what the agreed options take of every segment."""
        return max(self.rcv_mss - self.option_octets, 1)

    def segments_in(self, octets: int) -> int:
        """How many segments so much text was on the wire: with offload a device hands over what it has put together."""
        return 1 if octets <= self.mtu else -(-octets // self.advertised_mss)

    @property
    def unsent(self) -> int:
        """Octets that the application gave and that never went out."""
        unsent = self.sendbuf.end - self.snd_nxt
        return unsent if unsent > 0 else 0

    @property
    def waiting(self) -> bool:
        """Something of ours is not acknowledged or has not gone out."""
        if self.snd_nxt != self.snd_una:
            return True
        unsent = self.sendbuf.end - self.snd_nxt
        return unsent > 0 or (unsent == 0 and self.close_requested)

    @property
    def acceptable_seq(self) -> int:
        """The SEQ of a segment without data: SND.NXT, but not beyond the peer's window.

        Note: behind an octet that was only a probe, or a window that shrank, SND.NXT would be unacceptable to the peer, and its
        answer to us likewise: each would answer the other for ever. Linux sends the same.
        """
        return min(self.snd_nxt, self.snd_una + self.snd_wnd) if self.syn_acked else self.snd_nxt

    @property
    def urgent(self) -> bool:
        """The peer has not acknowledged all urgent data (RFC 9293 3.8.5)."""
        return self.snd_up > self.snd_una

    @property
    def flight(self) -> int:
        """SND.NXT - SND.UNA."""
        return self.snd_nxt - self.snd_una

    @property
    def syn_acked(self) -> bool:
        """The peer has acknowledged our SYN."""
        return self.snd_una > self.iss

    @property
    def embryonic(self) -> bool:
        """A passive open that may vanish without a word: what the application has by Fast Open, it has to be told of."""
        return self.state is State.SYN_RECEIVED and self.passive and not self.fast_open.accepted

    @property
    def early(self) -> bool:
        """RFC 7413 4.2.2: the peer has not acknowledged our SYN, and text may go out all the same."""
        return self.fast_open.accepted and not self.syn_acked and self.state in _BEFORE_ACK

    @property
    def text_una(self) -> int:
        """SND.UNA, but not below the first octet of text: where the SYN is outstanding still, it takes no window."""
        return max(self.snd_una, self.iss + 1)

    @property
    def fin_sent(self) -> bool:
        """Our FIN has gone out at least once."""
        return self.snd_nxt > self.sendbuf.end

    @property
    def fin_acked(self) -> bool:
        """The peer has acknowledged our FIN."""
        return self.snd_una > self.sendbuf.end

    def send_challenge_ack(
        self, now: int, counter: str = "TcpExtTCPChallengeACK", *, skipped: str = "TcpExtTCPACKSkippedChallenge"
    ) -> None:
        """Owe an ACK, unless the throttle of RFC 5961 7, or the connection's own, says no; how each is counted."""
        if self.challenged_at is not None and now - self.challenged_at < self.config.invalid_ratelimit:
            self.counters.add(skipped)
        elif self.challenge.allow(now):
            self.challenged_at = now
            if counter:
                self.counters.add(counter)
            self.ack_now = True
        else:
            self.counters.add(skipped)

    def answer_reset(self, segment: Segment, reset: tuple[int, int | None], port: int | None = None) -> None:
        """Owe ``segment`` a RST with that SEQ and, unless it is None, that ACK, to the remote port or to ``port``."""
        echo = self.config.rst_echoes_timestamp and segment.timestamps is not None
        self._owe(OwedReset(port, *reset, (0, segment.timestamps[0]) if echo and segment.timestamps else None))

    def send_reset(self, now: int) -> None:
        """Owe the RST that the peer accepts: this end gives up (RFC 9293 3.10.5)."""
        stamp = (self.timestamps.value(now), self.timestamps.recent or 0) if self.snd_ts_ok else None  # RFC 7323 5.2
        if self.config.kernel_resets:
            window = to_field(self.rcv_wnd, self.recvbuf.free, self.rcv_wind_shift)
            self._owe(OwedReset(None, self.acceptable_seq, self.rcv_nxt, stamp, window))
        else:
            self._owe(OwedReset(None, self.acceptable_seq, None, stamp))

    def _owe(self, reset: OwedReset) -> None:
        if self.resets is None:
            self.resets = OwedResets(self.counters)
        self.resets.owe(reset)

    def flush(self) -> None:
        """All queues but what is in order for the application; all timers; all that is owed but a RST."""
        self.end_orphan()
        self.timers.stop()
        self.fast_open.ended(heard=self.bytes_received > 0)
        self.sendbuf.clear()
        self.delivery.forget()
        self.probing.unanswered_since = None
        self.recvbuf.drop_islands()
        self.outstanding_since = None
        self.owe_nothing()

    def end_orphan(self) -> None:
        """It is over, and no more to be counted."""
        if self.orphan:
            self.orphan = False
            self.orphans.count -= 1

    def die(self, error: OSError | None, *, cause: str, clause: str, now: int) -> None:
        """Flush, remember why, enter CLOSED."""
        self.flush()
        self.chronograph.switch(IDLE, now)
        if self.error is None:
            self.error = error
        move(self, State.CLOSED, cause=cause, clause=clause, now=now)


@lru_cache(256)
def common(number: int) -> int:
    """The same object for the same number: of these connections have a few between them, and would keep one each."""
    return number


_BEFORE_ACK: Final = frozenset({State.SYN_RECEIVED, State.FIN_WAIT_1})
_FIRST_SEGMENTS: Final = 10
_SMALL_WINDOW: Final = 536
"""Linux: a window up to here is not halved."""
_LEAST_TEXT: Final = 28
"""What an IP packet of 68 octets has room for beside its headers (RFC 791)."""
