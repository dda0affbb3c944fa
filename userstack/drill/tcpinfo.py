"""TCP_INFO: what is known of a connection, by the names and in the units of Linux and of FreeBSD (``struct tcp_info``).

Linux's fields are those of ``tcp.linux_info``. A script that asks for a field that is not here is skipped: a zero would be a lie.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from userstack.config import MICROSECOND
from userstack.drill.symbols import LINUX as SYMBOLS
from userstack.tcp import linux_info
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.state import State

Fields = Callable[[ConnectionInfo], dict[str, int]]
"""From what the connection tells."""


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """One kernel's way to tell."""

    fields: Fields
    constants: Mapping[str, int]
    """What the values are compared with."""


_INFINITE = 1 << 30
"""``ssthresh`` from here on was never set."""
_FREEBSD_INFINITE = 65535 << 14
_TIMESTAMP_OCTETS = 12
_SHARED_OPTIONS = 15
"""The bits that both kernels have: timestamps, SACK, window scale and ECN."""

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


def _freebsd(info: ConnectionInfo) -> dict[str, int]:
    """Sizes in octets, times in microseconds. Note: its MSS is the one agreed, without what the timestamps take of it."""
    mss = info.snd_mss + (_TIMESTAMP_OCTETS if info.timestamps else 0)
    return {
        "tcpi_state": list(_FREEBSD_STATES).index(info.state),
        "tcpi_options": linux_info.options(info) & _SHARED_OPTIONS,
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
_STATES = """
    TCP_ESTABLISHED TCP_SYN_SENT TCP_SYN_RECV TCP_FIN_WAIT1 TCP_FIN_WAIT2 TCP_TIME_WAIT TCP_CLOSE TCP_CLOSE_WAIT TCP_LAST_ACK
    TCP_LISTEN TCP_CLOSING
"""
LINUX = TcpInfo(
    linux_info.values,
    {name: SYMBOLS[name] for name in SYMBOLS if name.startswith("TCP_CA_") or name in _STATES.split()} | _OPTIONS,
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
