"""TCP_INFO: what is known of a connection, by the names and in the units of Linux and of FreeBSD (``struct tcp_info``).

Law: a field is here only if userstack knows its value. A script that asks for another is skipped, since a zero would be a lie.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from userstack.config import MICROSECOND
from userstack.drill.symbols import LINUX as SYMBOLS
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.recovery import Phase
from userstack.tcp.state import State

Fields = Callable[[ConnectionInfo, int], dict[str, int]]
"""From what the connection tells, and the number of segments that carry what is not acknowledged."""


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One kernel's way to tell."""

    fields: Fields
    constants: Mapping[str, int]
    """What the values are compared with."""


_INFINITE = 1 << 30
"""``ssthresh`` from here on was never set."""
_LINUX_INFINITE = 0x7FFFFFFF
_FREEBSD_INFINITE = 65535 << 14
_FIRST_RTTVAR = 250_000
"""Linux begins with a mean deviation of one second, and tells a quarter of it."""
_TIMESTAMP_OCTETS = 12
_OPT_TIMESTAMPS, _OPT_SACK, _OPT_WSCALE, _OPT_ECN = 1, 2, 4, 8
_PHASES = {
    Phase.OPEN: "TCP_CA_Open",
    Phase.DISORDER: "TCP_CA_Disorder",
    Phase.RECOVERY: "TCP_CA_Recovery",
    Phase.LOSS: "TCP_CA_Loss",
}

_LINUX_STATES = {
    State.ESTABLISHED: "TCP_ESTABLISHED",
    State.SYN_SENT: "TCP_SYN_SENT",
    State.SYN_RECEIVED: "TCP_SYN_RECV",
    State.FIN_WAIT_1: "TCP_FIN_WAIT1",
    State.FIN_WAIT_2: "TCP_FIN_WAIT2",
    State.TIME_WAIT: "TCP_TIME_WAIT",
    State.CLOSED: "TCP_CLOSE",
    State.CLOSE_WAIT: "TCP_CLOSE_WAIT",
    State.LAST_ACK: "TCP_LAST_ACK",
    State.LISTEN: "TCP_LISTEN",
    State.CLOSING: "TCP_CLOSING",
}
_FREEBSD_STATES = {
    State.CLOSED: "TCPS_CLOSED",
    State.LISTEN: "TCPS_LISTEN",
    State.SYN_SENT: "TCPS_SYN_SENT",
    State.SYN_RECEIVED: "TCPS_SYN_RECEIVED",
    State.ESTABLISHED: "TCPS_ESTABLISHED",
    State.CLOSE_WAIT: "TCPS_CLOSE_WAIT",
    State.FIN_WAIT_1: "TCPS_FIN_WAIT_1",
    State.CLOSING: "TCPS_CLOSING",
    State.LAST_ACK: "TCPS_LAST_ACK",
    State.FIN_WAIT_2: "TCPS_FIN_WAIT_2",
    State.TIME_WAIT: "TCPS_TIME_WAIT",
}
"""In the order of their numbers, from 0 on."""


_SYN_UNACKED = {State.SYN_SENT, State.SYN_RECEIVED}
_FIN_ACKED = {State.FIN_WAIT_2, State.TIME_WAIT}
_FIN_RECEIVED = {State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING, State.TIME_WAIT}


def _linux(info: ConnectionInfo, segments: int) -> dict[str, int]:
    """Sizes in segments where Linux counts segments, times in microseconds."""
    told = {
        "tcpi_state": SYMBOLS[_LINUX_STATES[info.state]],
        "tcpi_retransmits": info.retransmits,
        "tcpi_probes": info.probes,
        "tcpi_backoff": info.backoffs,
        "tcpi_snd_wscale": info.snd_wscale or 0,
        "tcpi_rcv_wscale": info.rcv_wscale or 0,
        "tcpi_rto": info.rto // MICROSECOND,
        "tcpi_snd_mss": info.snd_mss,
        "tcpi_unacked": segments,
        "tcpi_pmtu": info.path_mtu,
        "tcpi_rtt": (info.srtt or 0) // MICROSECOND,
        "tcpi_rttvar": _FIRST_RTTVAR if info.srtt is None else info.rttvar // MICROSECOND,
        "tcpi_snd_ssthresh": _LINUX_INFINITE if info.ssthresh >= _INFINITE else info.ssthresh // info.snd_mss,
        "tcpi_snd_cwnd": info.cwnd // info.snd_mss,
        "tcpi_advmss": info.rcv_mss - (_TIMESTAMP_OCTETS if info.timestamps else 0),
        "tcpi_total_retrans": info.total_retrans,
        "tcpi_notsent_bytes": info.unsent,
        "tcpi_bytes_sent": info.bytes_sent - info.unsent + info.bytes_retrans,
        "tcpi_bytes_retrans": info.bytes_retrans,
        "tcpi_snd_wnd": info.snd_wnd,
        "tcpi_rcv_wnd": info.rcv_wnd,
    }
    if info.state is not State.CLOSED:  # what has become of the FINs is not known any more
        # A client's SYN counts as well as every FIN.
        told["tcpi_bytes_acked"] = (
            info.bytes_acked + (info.state not in _SYN_UNACKED and not info.passive) + (info.state in _FIN_ACKED)
        )
        told["tcpi_bytes_received"] = info.bytes_received + (info.state in _FIN_RECEIVED)
    if not info.ecn:  # of which is not known whether marks have been seen, nor that the window was reduced for one
        told |= {"tcpi_options": _options(info), "tcpi_ca_state": SYMBOLS[_PHASES[info.phase]]}
    if info.phase in {Phase.OPEN, Phase.DISORDER}:
        told |= {"tcpi_lost": 0, "tcpi_retrans": 0}
    if info.sack_permitted and info.sacked % info.snd_mss == 0:
        told["tcpi_sacked"] = info.sacked // info.snd_mss
    return told


def _options(info: ConnectionInfo) -> int:
    agreed = {
        _OPT_TIMESTAMPS: info.timestamps,
        _OPT_SACK: info.sack_permitted,
        _OPT_WSCALE: info.snd_wscale is not None,
        _OPT_ECN: info.ecn,
    }
    return sum(bit for bit, there in agreed.items() if there)


def _freebsd(info: ConnectionInfo, _: int) -> dict[str, int]:
    """Sizes in octets, times in microseconds. Note: its MSS is the one agreed, without what the timestamps take of it."""
    mss = info.snd_mss + (_TIMESTAMP_OCTETS if info.timestamps else 0)
    return {
        "tcpi_state": list(_FREEBSD_STATES).index(info.state),
        "tcpi_options": _options(info),
        "tcpi_snd_wscale": info.snd_wscale or 0,
        "tcpi_rcv_wscale": info.rcv_wscale or 0,
        "tcpi_rto": info.rto // MICROSECOND,
        "tcpi_snd_mss": mss,
        "tcpi_rcv_mss": mss,
        "tcpi_rtt": (info.srtt or 0) // MICROSECOND,
        "tcpi_rttvar": info.rttvar // MICROSECOND,
        "tcpi_snd_ssthresh": _FREEBSD_INFINITE if info.ssthresh >= _INFINITE else info.ssthresh,
        "tcpi_snd_cwnd": info.cwnd,
        "tcpi_snd_wnd": info.snd_wnd,
        "tcpi_rcv_space": info.rcv_wnd,
    }


_OPTIONS = {name: SYMBOLS[name] for name in SYMBOLS if name.startswith("TCPI_OPT_") and SYMBOLS[name] < 1 << 32}
LINUX = TcpInfo(
    _linux,
    {name: SYMBOLS[name] for name in SYMBOLS if name.startswith("TCP_CA_") or name in _LINUX_STATES.values()} | _OPTIONS,
)
FREEBSD = TcpInfo(
    _freebsd,
    {name: number for number, name in enumerate(_FREEBSD_STATES.values())}
    | {
        "TCPI_OPT_TIMESTAMPS": 1,
        "TCPI_OPT_SACK": 2,
        "TCPI_OPT_WSCALE": 4,
        "TCPI_OPT_ECN": 8,
        "TCPI_OPT_TOE": 16,
        "TCPI_OPT_TFO": 32,
    },
)
