"""The connections of a running stack as text, in the columns of ss."""

from collections import Counter
from typing import Any

from userstack.config import MILLISECOND, SECOND
from userstack.tcp.state import State

Row = dict[str, Any]
"""A connection as ``api.report`` describes it: times in nanoseconds, sizes in bytes."""

_COLUMNS = "{:<13} {:>7} {:>7}  {:<23} {:<23} {}"
HEADER = _COLUMNS.format("State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Timer")


def format_row(row: Row) -> str:
    """One line."""
    ends = (_endpoint(row["local"]), _endpoint(row["remote"]))
    return _COLUMNS.format(row["state"], row["recv_q"], row["send_q"], *ends, _timer(row)).rstrip()


def format_info(row: Row) -> str:
    """What ``ss -ti`` shows of a connection; empty where there is none any more, as for a listener."""
    info = row["info"]
    if info is None:
        return ""
    rtt = "-" if info["srtt"] is None else f"{_ms(info['srtt'])}/{_ms(info['rttvar'])}"
    return (
        f"         rto:{_ms(info['rto'])} rtt:{rtt} mss:{info['snd_mss']} rcvmss:{info['rcv_mss']} cwnd:{info['cwnd']} "
        f"ssthresh:{info['ssthresh']} bytes_sent:{info['bytes_sent']} bytes_acked:{info['bytes_acked']} "
        f"bytes_received:{info['bytes_received']} segs_out:{info['segs_out']} segs_in:{info['segs_in']} "
        f"unacked:{info['unacked']} notsent:{info['unsent']} retrans:{info['retransmits']}/{info['total_retrans']} "
        f"snd_wnd:{info['snd_wnd']} rcv_wnd:{info['rcv_wnd']}"
    )


def format_summary(rows: list[Row]) -> str:
    """The number of connections and how many are in which state."""
    counts = Counter(row["state"] for row in rows)
    states = ", ".join(f"{state} {counts[state]}" for state in State if counts[state])
    return f"TCP: {len(rows)}" + (f" ({states})" if states else "")


def _endpoint(endpoint: dict[str, Any] | None) -> str:
    if endpoint is None:
        return "*:*"
    address, port = endpoint["address"], endpoint["port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _timer(row: Row) -> str:
    if row["expires_in"] is None:
        return ""
    left = max(row["expires_in"], 0)
    text = f"{left / SECOND:.1f}s" if left >= SECOND else f"{left // MILLISECOND}ms"
    repeats = 0 if row["info"] is None else row["info"]["retransmits"]
    return f"({row['timer']},{text},{repeats})"


def _ms(time: int) -> str:
    return f"{time / MILLISECOND:.3f}".rstrip("0").rstrip(".")
