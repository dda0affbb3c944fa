"""What can be asked about a connection: the STATUS call of RFC 9293 3.10.6, with all that Linux tells (see ``linux_info``)."""

from dataclasses import dataclass

from userstack.address import Endpoint
from userstack.tcp.recovery import Phase
from userstack.tcp.state import State


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A snapshot; times in nanoseconds, sizes in octets."""

    state: State
    local: Endpoint
    remote: Endpoint | None
    passive: bool
    """The peer has opened it."""
    rto: int
    srtt: int | None
    rttvar: int
    cwnd: int
    ssthresh: int
    snd_mss: int
    rcv_mss: int
    path_mtu: int
    rcv_tos: int
    """MAY-9: the Diffserv field and ECN bits of the last acceptable segment that came, as one octet."""
    snd_wnd: int
    rcv_wnd: int
    snd_wscale: int | None
    """By how many bits the peer's windows are shifted, and (``rcv_wscale``) ours; None: window scaling was not agreed."""
    rcv_wscale: int | None
    timestamps: bool
    """The timestamps option was agreed."""
    sack_permitted: bool
    """SACK was agreed."""
    ecn: bool
    """Both ends take part in ECN."""
    syn_data: bool
    """A SYN carried data, and the SYN,ACK acknowledged it (RFC 7413)."""
    phase: Phase
    sacked: int
    """Octets of what is outstanding that the peer has SACKed."""
    unacked: int
    """Sent and not acknowledged."""
    unsent: int
    """Given by the application and not yet sent."""
    unread: int
    """Received in order and not yet read."""
    urgent_unread: int
    """Octets up to the urgent pointer that have not been read; 0: nothing urgent is known of."""
    retransmits: int
    """Retransmissions of what is outstanding now."""
    backoffs: int
    """How often the RTO has been doubled (RFC 6298 5.5) since the last round-trip time was measured."""
    probes: int
    """Zero-window probes since the window shut."""
    total_retrans: int
    bytes_sent: int
    """Taken from the application."""
    bytes_acked: int
    bytes_received: int
    bytes_retrans: int
    segs_out: int
    segs_in: int
    orphan: bool
    """The program has closed it, and it finishes by itself."""
    user_timeout: int | None
    """What was set, or adopted from the peer (RFC 5482); None: R2 counts."""
    peer_user_timeout: int | None
    """What the peer's User Timeout Option said last."""
    timer: str
    """The next deadline's name, empty where there is none."""
    timer_expires: int | None
    pending_timer: str
    """The timer that ss would show, by its word there, empty where there is none, and when it expires."""
    pending_expires: int | None
    congestion: str
    """The name of the congestion control."""
    ecn_seen: bool
    """Something came that said that it may be marked (RFC 3168)."""
    segs_unacked: int
    """Segments outstanding, SYN and FIN included; of them (``segs_sacked``) those that are known to have arrived."""
    segs_sacked: int
    segs_lost: int
    """Those that are taken as lost, and (``segs_retrans``) those that went again and are on their way."""
    segs_retrans: int
    acks_expected: int
    """Zero-window probes and keep-alives that nothing has answered."""
    ato: int
    """How long an ACK would wait now; 0 before any text has come."""
    rcv_mss_seen: int
    """What the peer's full segments seem to have."""
    last_data_sent: int | None
    """How long ago; None: never. Then the same for text, and for an ACK, that came."""
    last_data_received: int | None
    last_ack_received: int | None
    rcv_ssthresh: int
    """The window that would be offered were nothing unread."""
    rcv_wnd_offered: int
    """What the last window offered when it was sent; ``rcv_wnd`` is what is left of it."""
    reordering: int
    """How many segments long reordering was seen to be, at least three, and (``reord_seen``) how often."""
    reord_seen: int
    rcv_rtt: int
    """A round-trip time as the receiver sees it; 0: no estimate. And (``rcv_space``) how much the application reads in one."""
    rcv_space: int
    min_rtt: int | None
    thru_acked: int
    """Sequence numbers acknowledged, and (``thru_received``) received in order (RFC 4898): a FIN counts, a SYN of a client too."""
    thru_received: int
    octets_out: int
    """Text that went out, what was sent again counted again."""
    synacks_sent: int
    """Of ``segs_out``: SYN,ACKs of a listener."""
    data_segs_in: int
    """Segments with text."""
    data_segs_out: int
    delivered: int
    """Segments known to have arrived, the SYN included, and (``delivered_ce``) those whose ACK told of a mark."""
    delivered_ce: int
    delivery_rate: int
    """Octets in a second, by the last sample to be believed; 0: none yet. ``rate_app_limited``: it is what the application gave."""
    rate_app_limited: bool
    busy_time: int
    """How long there was something to send; of it how long the peer's window was in the way, and how long the send buffer."""
    rwnd_limited: int
    sndbuf_limited: int
    dsack_dups: int
    """Segments that the peer had before, as D-SACKs report."""
    ofo_segs: int
    """Segments that came beyond a hole."""
    timeouts: int
    """Retransmission timeouts, how many of them began a recovery, and how long these have taken."""
    timeout_recoveries: int
    timeout_time: int
