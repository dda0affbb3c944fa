"""Every number that a stack can be given, with its unit, its source and, where it is a limit, the reason for it."""

from dataclasses import dataclass, fields
from typing import Final

from userstack.errors import InvalidArgument

MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
FOREVER: Final = 1 << 62
"""ns: longer than anything runs. As a time after which a connection is given up: never (RFC 9293 3.8.3 (d))."""

FAST_OPEN_CLIENT: Final = 0x1
FAST_OPEN_SERVER: Final = 0x2
FAST_OPEN_UNASKED: Final = 0x4
FAST_OPEN_WITHOUT_COOKIE: Final = 0x200
FAST_OPEN_EVERY_LISTENER: Final = 0x400
"""The bits of ``fast_open``, as in Linux's tcp_fastopen: clients may; servers may; clients send text without a cookie; servers
take it without one; listeners need not ask for it."""

SEND_BUFFER: Final = 256 * 1024
SEND_BUFFER_MAX: Final = 4 * 1024 * 1024
RECEIVE_BUFFER: Final = 512 * 1024
RECEIVE_BUFFER_MAX: Final = 6 * 1024 * 1024
"""Octets: what the buffers are at first, and what they grow to where nobody has set them."""

OPTION_LAYOUTS: Final = ("freebsd", "linux")
"""The names of the tables in ``tcp/layout.py``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackConfig:
    """The settings of one stack. Times are in nanoseconds, sizes in bytes.

    Raises:
        InvalidArgument: a value cannot be; the text names the field.
    """

    # --- time ---
    msl: int = 30 * SECOND
    """Maximum segment lifetime. RFC 9293 3.4.2 takes two minutes; 30 s is what Linux's 60 s of TIME-WAIT amounts to."""
    quiet_time: bool = False
    """RFC 9293 3.4.3: after start assign no sequence number for one MSL."""
    rto_initial: int = 1 * SECOND
    """RFC 6298 (2.1)."""
    rto_min: int = 1 * SECOND
    """RFC 6298 (2.4): SHOULD be one second. Linux takes 200 ms."""
    rto_max: int = 60 * SECOND
    """RFC 6298 (2.5): at least 60 s."""
    rto_slop: int = 0
    """Added to every RTO that was measured (FreeBSD net.inet.tcp.rexmit_slop)."""
    clock_granularity: int = 1 * MILLISECOND
    """G of RFC 6298 4: the variance term of the RTO is never below it. Linux in effect takes its least RTO, 200 ms."""
    r1: int = 3
    """RFC 9293 3.8.3, SHLD-10: retransmissions after which the application is told."""
    r2: int = 100 * SECOND
    """SHLD-11: how long data or FIN is retransmitted before the connection is closed; ``FOREVER``: never (MUST-21)."""
    give_up_as_linux: bool = False
    """Linux: R2 and the user timeout count from the first retransmission on, and R2 is looked at when another one is due."""
    r2_syn: int = 180 * SECOND
    """MUST-23: the same for a SYN, at least three minutes."""
    syn_linear_timeouts: int = 0
    """So many timeouts of a SYN do not double the next (Linux tcp_syn_linear_timeouts; its default is 4 from 6.5 on)."""
    r2_synack: int = 180 * SECOND
    """The same for a SYN,ACK."""
    delayed_ack: int = 40 * MILLISECOND
    """How long an ACK may wait for a second segment or for data to ride on (MUST-40: below 500 ms)."""
    quick_acks: int = 0
    """Linux, 16: so many ACKs at the start and after trouble go out at once; then the delay adapts, and full segments count."""
    fin_timeout: int = 60 * SECOND
    """How long a connection that the application has closed waits in FIN-WAIT-2 for the peer's FIN (Linux tcp_fin_timeout), at
    least 3.5 RTO; 0: not at all, it is reset (TCP_LINGER2 below 0)."""
    orphan_retries: int = 0
    """So many retransmissions or probes without success end a connection that the program has closed, where that is before R2;
    0 stands for 8, as long as the RTO is below ``rto_max`` (Linux tcp_orphan_retries)."""
    keepalive_time: int = 7200 * SECOND
    """MUST-28: idle time before the first keep-alive, where they are asked for (Linux tcp_keepalive_time)."""
    keepalive_intvl: int = 75 * SECOND
    """Between keep-alives that nobody answers (Linux tcp_keepalive_intvl)."""
    keepalive_probes: int = 9
    """So many without an answer end the connection (Linux tcp_keepalive_probes)."""
    keepalive_garbage: bool = False
    """MAY-6: a keep-alive carries one octet that the peer has had already, for those that answer no segment without data."""
    override_timeout: int = 200 * MILLISECOND
    """RFC 9293 3.8.6.2.1: how long the sender's silly window avoidance may hold data back (0.1 to 1 s)."""

    # --- sizes ---
    send_buffer: int = SEND_BUFFER
    """Bytes that SEND takes before it pushes back."""
    send_buffer_max: int | None = None
    """What it grows to as the congestion window does; None: 4 MiB (Linux tcp_wmem), unless ``send_buffer`` was set: then that."""
    receive_buffer: int = RECEIVE_BUFFER
    """The largest window offered, and with it the most that is kept for the application."""
    receive_buffer_max: int | None = None
    """What it grows to as the application reads more in a round trip; None: 6 MiB (Linux tcp_rmem), unless ``receive_buffer`` was
    set: then that. In segments of 1460 octets it fits into the queue of a TUN device."""
    initial_window: int = 10
    """Initial congestion window in segments (RFC 6928)."""
    initial_window_octets: int = 14600
    """RFC 6928: nor more than so many octets, where that is not less than two segments."""
    syn_window_in_segments: bool = False
    """Linux: the window of a SYN is rounded down to whole segments."""
    double_socket_buffers: bool = True
    """Linux: SO_SNDBUF and SO_RCVBUF read as twice what was set, for the kernel needs memory beside the octets."""
    rcvbuf_limits_scale: bool = False
    """Linux: where SO_RCVBUF is set, the window scale is chosen for it alone, whatever ``window_scale`` says."""

    offload: bool = False
    """The link cuts TCP segments and finishes checksums itself, as Linux's TSO does: packets of up to 64 KiB go out as one. A stack
    on a device goes by what the device can."""

    # --- TCP options ---
    window_scaling: bool = True
    """Window scale, RFC 7323 2 (Linux tcp_window_scaling)."""
    window_scale: int | None = None
    """The shift that is offered, 0 to 14; None takes the least that lets the whole receive buffer be offered."""
    timestamps: bool = True
    """Timestamps, RFC 7323 3 (Linux tcp_timestamps)."""
    timestamp_clock: int = 1 * MILLISECOND
    """One tick of TSval; RFC 7323 5.4 takes 1 ms to 1 s."""
    tolerate_missing_ts: bool = True
    """Take a segment that lacks the option though it was agreed (FreeBSD's name), as Linux does. RFC 7323 3.2 SHOULD drop it, but
    there are peers, and boxes between, that leave it out on the third ACK or from some moment on: they would wait for ever."""
    rst_echoes_timestamp: bool = True
    """RFC 7323 5.2: a RST that answers a segment echoes its timestamp. The kernels do not."""
    sack: bool = True
    """Selective acknowledgement, RFC 2018 and RFC 6675 (Linux tcp_sack)."""
    dsack: bool = True
    """Report what has arrived twice, RFC 2883 (Linux tcp_dsack)."""
    rack: bool = False
    """With SACK, tell losses by time, probe for those at the end (RACK-TLP, RFC 8985), reduce the window in proportion (RFC 6937),
    as Linux does; else recover after RFC 6675."""
    ecn: int = 2
    """RFC 3168: 0 never, 1 ask for it, 2 only when asked (Linux tcp_ecn)."""
    option_layout: str = "linux"
    """Whose order and padding the options of a SYN have: "linux" or "freebsd"."""

    uto: bool = False
    """User Timeout Option, RFC 5482: ENABLED of connections that do not ask. No kernel has it."""
    uto_advertise: int | None = None
    """ADV_UTO; None: the connection's user timeout, or R2."""
    uto_changeable: bool = True
    """CHANGEABLE: the peer's option may change the user timeout, unless the application has set it."""
    uto_lower: int = 100 * SECOND
    """L_LIMIT of RFC 5482 3.1: SHOULD be at least 100 s; nor is it ever below the RTO."""
    uto_upper: int = 3600 * SECOND
    """U_LIMIT: what a peer can make this end wait at most, for it costs memory (RFC 5482 6; the RFC leaves the number open)."""

    # --- Fast Open, RFC 7413 ---
    fast_open: int = FAST_OPEN_CLIENT
    """Who may use it: the sum of ``FAST_OPEN_CLIENT`` and the other bits (Linux tcp_fastopen). Sockets have to ask for it too."""
    fast_open_key: bytes | None = None
    """16 octets that cookies are made with, or 32: the former key, which is still good, comes second (Linux tcp_fastopen_key).
    None: a key from the host's secret."""
    fast_open_no_cookie: bool = False
    """TCP_FASTOPEN_NO_COOKIE: send text without a cookie, and take it without one."""
    fast_open_backoff: int = 60 * SECOND
    """RFC 7413 4.1.3.1: how long a server that made nothing of Fast Open is spared it. Linux tries again at once."""
    fast_open_blackhole_timeout: int = 0
    """How long clients do without, at first, where something swallows it (Linux tcp_fastopen_blackhole_timeout_sec); 0: never."""
    fast_open_cache: int = 1024
    """Servers of which cookies, and as many of which negative answers, are remembered (UserstackFastOpenForgotten): a program that
    connects to the whole world must not fill the memory with cookies."""

    # --- limits (each with a counter that shows when it was hit) ---
    max_connections: int = 65536
    """Connections at once. Beyond it a SYN is dropped (TcpExtListenDrops) and an active open gives ENOBUFS."""
    max_orphans: int = 8192
    """Connections that no program has any more and that are not in TIME-WAIT; beyond it they are reset (TcpExtTCPAbortOnMemory):
    nobody is there to notice that a peer keeps their data from leaving (Linux tcp_max_orphans)."""
    syncookies: int = 1
    """RFC 4987 3.6: 1 answers a SYN that finds the SYN queue full with a SYN cookie (TcpExtTCPReqQFullDoCookies), 0 drops it
    (TcpExtTCPReqQFullDrop), 2 keeps no SYN at all (Linux tcp_syncookies)."""
    syn_backlog: int = 1024
    """Half-open connections of one listener where there are no SYN cookies: three quarters of it are used, as in Linux, which
    keeps the last for peers that it knows (tcp_max_syn_backlog). The listener's backlog is a limit in any case."""
    somaxconn: int = 4096
    """The most that a listener's backlog can be, and with it what its SYN queue and its accept queue hold, as in Linux."""
    time_wait_max: int = 65536
    """TIME-WAIT records; beyond it a connection is freed at once (TcpExtTCPTimeWaitOverflow), as Linux does."""
    out_of_order_ranges: int = 256
    """Islands beyond RCV.NXT of one connection; beyond it a segment is dropped (TcpExtTCPOFODrop): each costs a walk."""
    sack_ranges: int = 512
    """Ranges that a peer's SACK blocks make this end remember; beyond it the highest is forgotten (TcpExtTCPSACKDiscard)."""
    challenge_ack_limit: int = 100
    """Challenge ACKs of the whole stack in a second, at most (RFC 5961 7); each second draws its share of them."""
    md5_keys: int = 256
    """Keys of one socket for signatures (RFC 2385); each is looked at for every SYN, so beyond it setting one gives ENOMEM."""
    neighbor_max: int = 1024
    """Neighbours of each family (as Linux gc_thresh3); who only spoke to us goes first, a gateway never."""
    neighbor_queue: int = 16
    """Packets that wait for one neighbour's answer; the oldest is dropped, RFC 1122 2.3.2.2 wants at least one kept."""
    neighbor_reachable: int = 60 * SECOND
    """RFC 1122 2.3.2.1: how long an ARP entry is trusted."""
    nd_reachable: int = 30 * SECOND
    """BaseReachableTime of RFC 4861 10: an IPv6 neighbour is trusted for half to one and a half of it, at random."""
    neighbor_stale: int = 60 * SECOND
    """How long a neighbour that nobody needs is remembered after it was trusted last (Linux gc_stale_time)."""
    neighbor_delay: int = 5 * SECOND
    """DELAY_FIRST_PROBE_TIME of RFC 4861 10: the time that TCP has to prove a neighbour alive before it is asked."""
    neighbor_retry: int = 1 * SECOND
    """RFC 1122 2.3.2.1: at most one ARP request for a neighbour in this time; RetransTimer of RFC 4861 10."""
    neighbor_tries: int = 3
    """Requests without an answer after which the neighbour counts as unreachable (RFC 4861 10)."""
    dad_transmits: int = 1
    """DupAddrDetectTransmits of RFC 4862 5.1: how often is asked whether another node has an IPv6 address; 0: never."""
    icmp_error_rate: int = 10
    """ICMPv6 errors a second, at most (RFC 4443 2.4 (f): N = 10 for a small device)."""
    icmp_error_burst: int = 10
    """ICMPv6 errors at once, at most (RFC 4443 2.4 (f): B = 10)."""
    max_paths: int = 1024
    """Destinations whose path MTU is remembered; beyond it the one that was learned longest ago goes (IpPathMtuEvicted)."""
    error_reports: int = 64
    """Reports of one connection that nobody has read; beyond it the oldest goes (TcpExtErrorReportsDropped)."""
    transmit_queue: int = 1024
    """Packets that are not a connection's (RST, ICMP, ARP) waiting for the device."""

    # --- behaviour ---
    nagle: bool = True
    """RFC 9293 3.7.4; TCP_NODELAY turns it off for one connection (MUST-17)."""
    abc_limit: int = 1
    """Segments that one ACK may add in slow start: RFC 5681 (2) says one, RFC 3465 two (FreeBSD net.inet.tcp.abc_l_var)."""
    cwnd_validation: bool = False
    """Let the congestion window grow only while what is sent needs it, as RFC 7661 argues and Linux does."""
    slow_start_after_idle: bool = True
    """RFC 5681 4.1: after an idle time longer than the RTO, begin again from the initial window (Linux's name)."""
    minshall: bool = False
    """Linux: Nagle holds a small segment back only while another small one is outstanding (Minshall's variant)."""
    half_window_segments: bool = False
    """Linux: no segment is larger than half of the largest window that the peer has offered."""
    empty_probes: bool = False
    """Linux: a zero window is probed by an empty segment before SND.UNA, and what is outstanding is sent again into it."""
    keepalive: bool = False
    """MUST-25: keep-alives of connections that do not ask (SO_KEEPALIVE)."""
    max_segment: int | None = None
    """The most that either end's segments may have (TCP_MAXSEG); None: what the link takes."""
    min_snd_mss: int = 48
    """What a peer's MSS counts as at least, so that none has every octet sent alone (CVE-2019-11479; Linux tcp_min_snd_mss)."""
    defer_accept: int = 0
    """TCP_DEFER_ACCEPT: for how many SYN,ACKs a connection that brings no data is not yet established."""
    invalid_ratelimit: int = 0
    """The least time between two ACKs by which one connection answers what it does not accept (Linux tcp_invalid_ratelimit)."""
    repeat_synack: bool = False
    """The kernels: a SYN that comes again is answered by the SYN,ACK again; RFC 9293 3.10.7.4 says by an ACK."""
    disordered_acks: bool = False
    """Linux: an ACK that was overtaken is no old duplicate, though its timestamp is older; R1 of RFC 7323 5.3 says it is one."""
    drop_synfin: bool = False
    """Ignore a SYN that carries a FIN (FreeBSD's name; Linux does)."""
    insecure_rst: bool = False
    """Accept a RST anywhere in the window, as before RFC 5961 (FreeBSD's name)."""
    kernel_resets: bool = False
    """Reset as the kernels do: the RST of ABORT has an ACK and a window, that for text after CLOSE takes its SEQ from SEG.ACK."""
    stdurg: bool = False
    """The urgent pointer that comes is the last urgent octet's, as in RFC 1122 (Linux tcp_stdurg), not the next one's (MUST-62)."""
    insecure_syn: bool = False
    """Reset on a SYN in the window, as before RFC 5961 (FreeBSD's name)."""
    abort_on_overflow: bool = False
    """Reset a connection whose handshake ends while the accept queue is full (TcpExtListenOverflows); else the peer tries on, as
    if its ACK had been lost (Linux tcp_abort_on_overflow)."""
    tw_reuse: int = 2
    """When an active open takes a pair of sockets out of TIME-WAIT, where timestamps make it safe: 0 never, 1 after
    ``tw_reuse_delay``, 2 only where the peer is this host itself (Linux tcp_tw_reuse, which means loopback)."""
    tw_reuse_delay: int = 1 * SECOND
    """How old the last timestamp of the old incarnation must be at the least (Linux tcp_tw_reuse_delay)."""
    rfc1337: bool = False
    """Ignore a RST in TIME-WAIT (RFC 1337; Linux tcp_rfc1337)."""
    path_mtu_discovery: bool = True
    """Send with DF and take "fragmentation needed" as a smaller MTU (RFC 1191)."""
    min_path_mtu: int = 552
    """IPv4: below it no path MTU goes; what does not fit then is sent without DF, for routers to cut (Linux route.min_pmtu).
    RFC 1191 3 knows paths down to 68, but so small a segment is what an attacker would ask for (RFC 5927 7)."""
    path_mtu_expires: int = 600 * SECOND
    """RFC 1191 6.3: after ten minutes the path is tried with larger packets again (Linux route.mtu_expires)."""
    icmp_ends_opening: bool = False
    """Linux: every ICMP error ends a connection that is being opened (RFC 5461 4); by RFC 9293 MUST-56 soft ones must not."""
    icmp_ends_synchronized: bool = False
    """RFC 9293 SHLD-26 to the letter: hard ICMP errors abort synchronized connections too. RFC 5927 5.2 and all kernels do not."""
    accept_source_route: bool = False
    """IPv4: take packets that a completed source route has brought, and answer along the way that they came (MUST-53). Off, as in
    Linux: who may choose the way back can pretend to be anybody (RFC 6274 3.13.2.3); what names its route is dropped."""
    min_ttl: int = 0
    """IP_MINTTL, RFC 5082: segments with a smaller TTL, which have come from farther away, are dropped (TcpExtTCPMinTTLDrop)."""
    min_hop_count: int | None = None
    """IPV6_MINHOPCOUNT: IPv6's in the place of ``min_ttl``; None for the same."""
    default_ttl: int = 64
    """MUST-49."""
    tos: int = 0
    """The Diffserv field and ECN bits of what is sent (MUST-48)."""
    hop_limit: int | None = None
    """IPv6's in the place of ``default_ttl``, from 0 on (RFC 8200 3); None for the same."""
    traffic_class: int | None = None
    """IPv6's in the place of ``tos`` (RFC 8200 7); None for the same."""
    ephemeral_ports: tuple[int, int] = (32768, 60999)
    """First and last port for active opens (RFC 6056; Linux ip_local_port_range)."""

    @classmethod
    def linux(cls) -> "StackConfig":
        """What Linux is like on the wire, with its default settings and 6 MiB as the most of tcp_rmem."""
        return cls(
            rto_min=200 * MILLISECOND,
            rto_max=120 * SECOND,
            clock_granularity=200 * MILLISECOND,
            r2=924_600 * MILLISECOND,  # tcp_retries2 = 15: the timeouts of sixteen transmissions from 200 ms on
            give_up_as_linux=True,
            r2_syn=127 * SECOND,  # tcp_syn_retries = 6
            r2_synack=63 * SECOND,  # tcp_synack_retries = 5
            send_buffer=2 << 20,  # half of tcp_wmem's 4 MiB, which it grows to
            receive_buffer=64 << 10,  # half of tcp_rmem's 128 KiB
            window_scale=7,
            rcvbuf_limits_scale=True,
            syn_window_in_segments=True,
            initial_window_octets=10 * 65535,  # segments alone count
            abc_limit=65535,  # as much as was acknowledged
            cwnd_validation=True,
            rst_echoes_timestamp=False,
            kernel_resets=True,
            quick_acks=16,
            minshall=True,
            rack=True,
            invalid_ratelimit=500 * MILLISECOND,
            repeat_synack=True,
            disordered_acks=True,
            icmp_ends_opening=True,
            drop_synfin=True,
            half_window_segments=True,
            empty_probes=True,
            fast_open_backoff=0,
            option_layout="linux",
        )

    @classmethod
    def freebsd(cls) -> "StackConfig":
        """What FreeBSD is like on the wire, with its default settings."""
        return cls(
            rto_min=30 * MILLISECOND,
            rto_max=64 * SECOND,
            rto_slop=200 * MILLISECOND,
            r2=373 * SECOND,  # twelve retransmissions from 230 ms on
            r2_syn=75 * SECOND,  # net.inet.tcp.keepinit
            r2_synack=15 * SECOND,  # three retransmissions (net.inet.tcp.syncache.rexmtlimit)
            orphan_retries=12,  # it has no less patience with them
            send_buffer=2 << 20,  # net.inet.tcp.sendbuf_max, which it grows to
            receive_buffer=64 << 10,
            window_scale=6,  # kern.ipc.maxsockbuf is 2 MiB
            abc_limit=2,
            double_socket_buffers=False,
            tolerate_missing_ts=False,
            min_snd_mss=216,  # net.inet.tcp.minmss
            rst_echoes_timestamp=False,
            kernel_resets=True,
            keepalive_probes=8,
            repeat_synack=True,
            option_layout="freebsd",
            ephemeral_ports=(10000, 65535),
        )

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(field.default) is int and type(value) is not int:
                raise InvalidArgument(f"{field.name} must be a whole number, not {value!r}")
            least = 0 if field.name in _MAY_BE_ZERO else 1
            if type(field.default) is int and value < least:
                raise InvalidArgument(f"{field.name} must be at least {least}, not {value}")
        self._check_ranges()

    def ttl_for(self, address: bytes) -> int:
        """The TTL, or hop limit, of what is sent from, or to, the packed ``address``."""
        return self.default_ttl if self.hop_limit is None or len(address) == 4 else self.hop_limit

    def tos_for(self, address: bytes) -> int:
        """The type of service octet, or traffic class, of what is sent from, or to, the packed ``address``."""
        return self.tos if self.traffic_class is None or len(address) == 4 else self.traffic_class

    def min_ttl_for(self, address: bytes) -> int:
        """The least TTL, or hop limit, of what is taken from, or at, the packed ``address``."""
        return self.min_ttl if self.min_hop_count is None or len(address) == 4 else self.min_hop_count

    @property
    def send_limit(self) -> int:
        """The most that SEND takes before it pushes back."""
        if self.send_buffer_max is not None:
            return max(self.send_buffer, self.send_buffer_max)
        return SEND_BUFFER_MAX if self.send_buffer == SEND_BUFFER else self.send_buffer

    @property
    def receive_limit(self) -> int:
        """The largest window that is ever offered."""
        if self.receive_buffer_max is not None:
            return max(self.receive_buffer, self.receive_buffer_max)
        return RECEIVE_BUFFER_MAX if self.receive_buffer == RECEIVE_BUFFER else self.receive_buffer

    def _check_ranges(self) -> None:
        if self.rto_min > self.rto_max:
            raise InvalidArgument(f"rto_min ({self.rto_min}) must not be above rto_max ({self.rto_max})")
        if self.uto_lower > self.uto_upper:
            raise InvalidArgument(f"uto_lower ({self.uto_lower}) must not be above uto_upper ({self.uto_upper})")
        if self.option_layout not in OPTION_LAYOUTS:
            raise InvalidArgument(f"option_layout must be one of {', '.join(OPTION_LAYOUTS)}, not {self.option_layout!r}")
        for name, (least, most, source) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidArgument(f"{name} must be {least} to {most} ({source}), not {value}")
        if self.fast_open_key is not None and len(self.fast_open_key) not in (16, 32):
            raise InvalidArgument(f"fast_open_key must be 16 octets, or 32 for two keys, not {len(self.fast_open_key)}")
        first, last = self.ephemeral_ports
        if not 1 <= first <= last <= 65535:
            raise InvalidArgument(f"ephemeral_ports must be two ports in order, not {first} to {last}")


_RANGES: Final = {
    "delayed_ack": (0, 500 * MILLISECOND - 1, "ns, RFC 9293 MUST-40"),
    "override_timeout": (100 * MILLISECOND, 1 * SECOND, "ns, RFC 9293 3.8.6.2.1"),
    "timestamp_clock": (59, 1 * SECOND, "ns, RFC 7323 5.4"),
    "window_scale": (0, 14, "RFC 7323 2.3"),
    "orphan_retries": (0, 255, "as tcp_orphan_retries of Linux"),
    "uto_advertise": (1, FOREVER, "ns"),
    "max_segment": (1, 65535, "RFC 9293 3.2"),
    "min_snd_mss": (1, 536, "RFC 9293 MUST-15"),
    "ecn": (0, 2, "as tcp_ecn of Linux"),
    "fast_open": (0, 0x7FFFFFFF, "as tcp_fastopen of Linux"),
    "syncookies": (0, 2, "as tcp_syncookies of Linux"),
    "tw_reuse": (0, 2, "as tcp_tw_reuse of Linux"),
    "default_ttl": (1, 255, "RFC 791"),
    "min_path_mtu": (68, 65535, "RFC 791 3.2"),
    "min_ttl": (0, 255, "RFC 5082"),
    "min_hop_count": (0, 255, "RFC 5082"),
    "tos": (0, 255, "RFC 791"),
    "hop_limit": (0, 255, "RFC 8200 3"),
    "traffic_class": (0, 255, "RFC 8200 3"),
}
_MAY_BE_ZERO: Final = frozenset(
    {
        "dad_transmits",
        "quick_acks",
        "defer_accept",
        "syn_linear_timeouts",
        "invalid_ratelimit",
        "ecn",
        "fast_open",
        "fast_open_backoff",
        "fast_open_blackhole_timeout",
        "fast_open_cache",
        "syncookies",
        "tw_reuse",
        "tw_reuse_delay",
        "rto_slop",
        "delayed_ack",
        "fin_timeout",
        "orphan_retries",
        "max_orphans",
        "somaxconn",
        "min_ttl",
        "time_wait_max",
        "out_of_order_ranges",
        "challenge_ack_limit",
        "tos",
    }
)
