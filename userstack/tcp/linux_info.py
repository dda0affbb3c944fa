"""TCP_INFO as Linux tells it: ``struct tcp_info`` of ``linux/tcp.h`` (6.18), its fields by their names, in its units.

One table for all who speak of it: ``getsockopt``, the code blocks of drill scripts, ``userstack ss -i``. Times are microseconds
(those since something happened milliseconds), windows of the sender segments, the rest octets. ``NOTHING_HERE`` names what is
always 0, and why.
"""

import struct
from typing import Final

from userstack.config import MICROSECOND, MILLISECOND
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.recovery import Phase
from userstack.tcp.state import State

STATES: Final = {
    State.ESTABLISHED: 1,
    State.SYN_SENT: 2,
    State.SYN_RECEIVED: 3,
    State.FIN_WAIT_1: 4,
    State.FIN_WAIT_2: 5,
    State.TIME_WAIT: 6,
    State.CLOSED: 7,
    State.CLOSE_WAIT: 8,
    State.LAST_ACK: 9,
    State.LISTEN: 10,
    State.CLOSING: 11,
}
PHASES: Final = {Phase.OPEN: 0, Phase.DISORDER: 1, Phase.CWR: 2, Phase.RECOVERY: 3, Phase.LOSS: 4}
OPT_TIMESTAMPS: Final = 1
OPT_SACK: Final = 2
OPT_WSCALE: Final = 4
OPT_ECN: Final = 8
OPT_ECN_SEEN: Final = 16
OPT_SYN_DATA: Final = 32

NOTHING_HERE: Final = {
    "tcpi_fastopen_client_fail": "there is no TCP Fast Open",
    "tcpi_fackets": "Linux has told 0 since 4.15: nothing is inferred from the highest SACK alone",
    "tcpi_last_ack_sent": "as in Linux: 'not remembered, sorry'",
    "tcpi_rehash": "a packet has no hash of which the path would depend",
    "tcpi_received_ce": "this and all that follows is of AccECN; RFC 3168's ECN has its marks in tcpi_delivered_ce",
    "tcpi_delivered_e1_bytes": "AccECN",
    "tcpi_delivered_e0_bytes": "AccECN",
    "tcpi_delivered_ce_bytes": "AccECN",
    "tcpi_received_e1_bytes": "AccECN",
    "tcpi_received_e0_bytes": "AccECN",
    "tcpi_received_ce_bytes": "AccECN",
    "tcpi_accecn_fail_mode": "AccECN",
    "tcpi_accecn_opt_seen": "AccECN",
}

_LAYOUT: Final = """
    B state B ca_state B retransmits B probes B backoff B options B wscales B flags I rto I ato I snd_mss I rcv_mss
    I unacked I sacked I lost I retrans I fackets I last_data_sent I last_ack_sent I last_data_recv I last_ack_recv I pmtu
    I rcv_ssthresh I rtt I rttvar I snd_ssthresh I snd_cwnd I advmss I reordering I rcv_rtt I rcv_space I total_retrans
    Q pacing_rate Q max_pacing_rate Q bytes_acked Q bytes_received I segs_out I segs_in I notsent_bytes I min_rtt
    I data_segs_in I data_segs_out Q delivery_rate Q busy_time Q rwnd_limited Q sndbuf_limited I delivered I delivered_ce
    Q bytes_sent Q bytes_retrans I dsack_dups I reord_seen I rcv_ooopack I snd_wnd I rcv_wnd I rehash H total_rto
    H total_rto_recoveries I total_rto_time I received_ce I delivered_e1_bytes I delivered_e0_bytes I delivered_ce_bytes
    I received_e1_bytes I received_e0_bytes I received_ce_bytes H accecn_fail_mode H accecn_opt_seen
"""
_CODES: Final = _LAYOUT.split()[::2]
_NAMES: Final = tuple(f"tcpi_{name}" for name in _LAYOUT.split()[1::2])
_STRUCT: Final = struct.Struct("=" + "".join(_CODES))
_MOST: Final = {"B": 0xFF, "H": 0xFFFF, "I": 0xFFFFFFFF, "Q": 0xFFFFFFFFFFFFFFFF}
_LIMITS: Final = tuple(_MOST[code] for code in _CODES)
SIZE: Final = _STRUCT.size

_NO_RATE: Final = _MOST["Q"]
"""A rate without a limit: nothing here is paced."""
_NEVER_MEASURED: Final = _MOST["I"]
_INFINITE_OCTETS: Final = 1 << 30
_INFINITE: Final = 0x7FFFFFFF
"""``ssthresh`` from here on was never set."""
_FIRST_RTTVAR: Final = 250_000
"""Linux begins with a mean deviation of one second, and tells a quarter of it."""
_UNOPENED: Final = ("tcpi_notsent_bytes", "tcpi_rcv_mss", "tcpi_pmtu", "tcpi_rcv_ssthresh", "tcpi_advmss", "tcpi_rcv_wnd")
"""What a socket that was never connected knows nothing of."""
_OF_LISTENERS: Final = ("tcpi_state", "tcpi_unacked", "tcpi_sacked", "tcpi_snd_cwnd", "tcpi_reordering", "tcpi_pacing_rate")
"""What Linux tells of a listener: unacked is how many wait to be accepted, sacked the backlog."""
_TIMESTAMP_OCTETS: Final = 12


def values(info: ConnectionInfo) -> dict[str, int]:
    """Every field, and the bit fields one by one."""
    told = _state(info) | _in_flight(info) | _times(info) | _sizes(info) | _counts(info) | dict.fromkeys(NOTHING_HERE, 0)
    if info.remote is None:
        told |= dict.fromkeys(_UNOPENED, 0)
    if info.state is State.LISTEN:
        kept = {name: told[name] for name in (*_OF_LISTENERS, "tcpi_max_pacing_rate")}
        return dict.fromkeys(told, 0) | kept
    return told


def pack(info: ConnectionInfo) -> bytes:
    """The struct."""
    told = values(info)
    told["tcpi_wscales"] = told["tcpi_snd_wscale"] | told["tcpi_rcv_wscale"] << 4
    told["tcpi_flags"] = told["tcpi_delivery_rate_app_limited"] | told["tcpi_fastopen_client_fail"] << 1
    return _STRUCT.pack(*(min(told[name], most) for name, most in zip(_NAMES, _LIMITS, strict=True)))


def unpack(octets: bytes) -> dict[str, int]:
    """The fields of a struct that a kernel gave; what an older one does not have is 0."""
    told = dict(zip(_NAMES, _STRUCT.unpack(octets[:SIZE].ljust(SIZE, b"\0")), strict=True))
    wscales, flags = told.pop("tcpi_wscales"), told.pop("tcpi_flags")
    told |= {"tcpi_snd_wscale": wscales & 15, "tcpi_rcv_wscale": wscales >> 4}
    return told | {"tcpi_delivery_rate_app_limited": flags & 1, "tcpi_fastopen_client_fail": flags >> 1 & 3}


def options(info: ConnectionInfo) -> int:
    """The bits of what was agreed, and of what was seen."""
    bits = {
        OPT_TIMESTAMPS: info.timestamps,
        OPT_SACK: info.sack_permitted,
        OPT_WSCALE: info.snd_wscale is not None,
        OPT_ECN: info.ecn,
        OPT_ECN_SEEN: info.ecn_seen,
        OPT_SYN_DATA: info.syn_data,
    }
    return sum(bit for bit, there in bits.items() if there)


def _state(info: ConnectionInfo) -> dict[str, int]:
    return {
        "tcpi_state": STATES[info.state],
        "tcpi_ca_state": PHASES[info.phase],
        "tcpi_retransmits": info.retransmits,
        "tcpi_probes": info.acks_expected,
        "tcpi_backoff": max(info.backoffs, info.probes),
        "tcpi_options": options(info),
        "tcpi_snd_wscale": info.snd_wscale or 0,
        "tcpi_rcv_wscale": info.rcv_wscale or 0,
        "tcpi_delivery_rate_app_limited": int(info.rate_app_limited),
    }


def _in_flight(info: ConnectionInfo) -> dict[str, int]:
    return {
        "tcpi_unacked": info.segs_unacked,
        "tcpi_sacked": info.segs_sacked,
        "tcpi_lost": info.segs_lost,
        "tcpi_retrans": info.segs_retrans,
        "tcpi_snd_ssthresh": _INFINITE if info.ssthresh >= _INFINITE_OCTETS else info.ssthresh // info.snd_mss,
        "tcpi_snd_cwnd": info.cwnd // info.snd_mss,
        "tcpi_reordering": info.reordering,
        "tcpi_reord_seen": info.reord_seen,
    }


def _times(info: ConnectionInfo) -> dict[str, int]:
    return {
        "tcpi_rto": info.rto // MICROSECOND,
        "tcpi_ato": info.ato // MICROSECOND,
        "tcpi_last_data_sent": (info.last_data_sent or 0) // MILLISECOND,
        "tcpi_last_data_recv": (info.last_data_received or 0) // MILLISECOND,
        "tcpi_last_ack_recv": (info.last_ack_received or 0) // MILLISECOND,
        "tcpi_rtt": (info.srtt or 0) // MICROSECOND,
        "tcpi_rttvar": _FIRST_RTTVAR if info.srtt is None else info.rttvar // MICROSECOND,
        "tcpi_rcv_rtt": info.rcv_rtt // MICROSECOND,
        "tcpi_min_rtt": _NEVER_MEASURED if info.min_rtt is None else info.min_rtt // MICROSECOND,
        "tcpi_busy_time": info.busy_time // MICROSECOND,
        "tcpi_rwnd_limited": info.rwnd_limited // MICROSECOND,
        "tcpi_sndbuf_limited": info.sndbuf_limited // MICROSECOND,
        "tcpi_total_rto_time": info.timeout_time // MILLISECOND,
    }


def _sizes(info: ConnectionInfo) -> dict[str, int]:
    return {
        "tcpi_snd_mss": info.snd_mss,
        "tcpi_rcv_mss": info.rcv_mss_seen,
        "tcpi_pmtu": info.path_mtu,
        "tcpi_advmss": max(info.rcv_mss - (_TIMESTAMP_OCTETS if info.timestamps else 0), 1),
        "tcpi_rcv_ssthresh": info.rcv_ssthresh,
        "tcpi_rcv_space": info.rcv_space,
        "tcpi_pacing_rate": _NO_RATE,
        "tcpi_max_pacing_rate": _NO_RATE,
        "tcpi_delivery_rate": info.delivery_rate,
        "tcpi_snd_wnd": info.snd_wnd,
        "tcpi_rcv_wnd": info.rcv_wnd_offered,
    }


def _counts(info: ConnectionInfo) -> dict[str, int]:
    return {
        "tcpi_total_retrans": info.total_retrans,
        "tcpi_bytes_acked": info.thru_acked,
        "tcpi_bytes_received": info.thru_received,
        "tcpi_bytes_sent": info.octets_out,
        "tcpi_bytes_retrans": info.bytes_retrans,
        "tcpi_notsent_bytes": info.unsent,
        "tcpi_segs_out": info.segs_out - info.synacks_sent,  # Linux's listener sends those
        "tcpi_segs_in": info.segs_in,
        "tcpi_data_segs_in": info.data_segs_in,
        "tcpi_data_segs_out": info.data_segs_out,
        "tcpi_delivered": info.delivered,
        "tcpi_delivered_ce": info.delivered_ce,
        "tcpi_dsack_dups": info.dsack_dups,
        "tcpi_rcv_ooopack": info.ofo_segs,
        "tcpi_total_rto": info.timeouts,
        "tcpi_total_rto_recoveries": info.timeout_recoveries,
    }
