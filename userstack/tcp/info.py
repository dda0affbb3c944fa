"""What can be asked about a connection: the STATUS call of RFC 9293 3.10.6, with the fields of ``ss -ti``."""

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
    phase: Phase
    sacked: int
    """Octets of what is outstanding that the peer has SACKed."""
    unacked: int
    """Sent and not acknowledged."""
    unsent: int
    """Given by the application and not yet sent."""
    unread: int
    """Received in order and not yet read."""
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
    timer: str
    """The next deadline's name, empty where there is none."""
    timer_expires: int | None
