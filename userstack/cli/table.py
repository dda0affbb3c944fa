"""The connections of a running stack as text, in the columns of ss."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from userstack.cli.infoline import format_line, format_timer
from userstack.config import MILLISECOND, SECOND
from userstack.counters import MEANINGS, in_order
from userstack.tcp.state import State

Row = dict[str, Any]
"""A connection as ``api.report`` describes it: times in nanoseconds, sizes in bytes."""

_COLUMNS = "{:<13} {:>7} {:>7}  {:<23} {:<23} {}"
HEADER = _COLUMNS.format("State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Timer")


def format_row(row: Row, *, as_ss: bool = False) -> str:
    """One line; ``as_ss``: the timer is the one that ``ss -o`` would show, in its words."""
    ends = (_endpoint(row["local"]), _endpoint(row["remote"]))
    timer = _timer_of_ss(row) if as_ss else _timer(row)
    about = f"{timer} orphan" if _is_orphan(row) else timer
    return _COLUMNS.format(row["state"], row["recv_q"], row["send_q"], *ends, about).rstrip()


def format_info(row: Row) -> str:
    """What ``ss -ti`` shows of a connection; empty where there is none any more, as for a listener."""
    info = row["info"]
    return "" if info is None else f"\t {format_line(info['tcp_info'], info['congestion'])}"


def format_counters(counters: dict[str, int], *, zeros: bool) -> Iterator[str]:
    """The lines of ``nstat``, in its order; with ``zeros`` every counter that this stack has."""
    names = in_order([*MEANINGS, *counters] if zeros else counters)
    return (f"{name:<32}{counters.get(name, 0)}" for name in names)


def format_summary(rows: list[Row]) -> str:
    """The number of connections and how many are in which state."""
    counts = Counter(row["state"] for row in rows)
    states = ", ".join(f"{state} {counts[state]}" for state in State if counts[state])
    orphans = sum(map(_is_orphan, rows))
    states += f", orphaned {orphans}" if orphans else ""
    return f"TCP: {len(rows)}" + (f" ({states})" if states else "")


def _is_orphan(row: Row) -> bool:
    """No program has it any more."""
    return row["info"] is not None and row["info"]["orphan"]


def _endpoint(endpoint: dict[str, Any] | None) -> str:
    if endpoint is None:
        return "*:*"
    address, port = endpoint["address"], endpoint["port"]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _timer_of_ss(row: Row) -> str:
    info = row["info"]
    if row["state"] == State.TIME_WAIT:
        return format_timer("timewait", row["expires_in"] or 0, 0)
    if info is None or not info["pending_timer"]:
        return ""
    again = {"on": "retransmits", "persist": "acks_expected", "keepalive": "acks_expected"}.get(info["pending_timer"])
    return format_timer(info["pending_timer"], info["pending_expires_in"], info[again] if again else 0)


def _timer(row: Row) -> str:
    if row["expires_in"] is None:
        return ""
    left = max(row["expires_in"], 0)
    text = f"{left / SECOND:.1f}s" if left >= SECOND else f"{left // MILLISECOND}ms"
    repeats = 0 if row["info"] is None else row["info"]["retransmits"]
    return f"({row['timer']},{text},{repeats})"
