"""Ratios between contenders. Law: taken within a repetition, then the median; where one side was not measured there is none."""

import statistics
from collections.abc import Collection
from typing import NamedTuple

from userstack.bench.figures import Results


class Side(NamedTuple):
    """A figure of a contender."""

    contender: str
    figure: str


RATIOS: dict[str, tuple[Side, Side]] = {
    "bulk_in_vs_loop": (Side("userstack", "bulk_in"), Side("loop", "bulk_in")),
    "bulk_out_vs_loop": (Side("userstack", "bulk_out"), Side("loop", "bulk_out")),
    "plain_in_vs_loop": (Side("userstack-plain", "bulk_in"), Side("loop-plain", "bulk_in")),
    "plain_out_vs_loop": (Side("userstack-plain", "bulk_out"), Side("loop-plain", "bulk_out")),
    "connections_vs_loop": (Side("userstack", "connections"), Side("loop", "connections")),
    "connections_64_vs_loop": (Side("userstack", "connections_64"), Side("loop", "connections_64")),
    "round_trip_vs_loop": (Side("userstack", "round_trip"), Side("loop", "round_trip")),
    "veth_in_vs_gvisor": (Side("userstack-veth", "bulk_in"), Side("gvisor-veth", "bulk_in")),
    "veth_out_vs_gvisor": (Side("userstack-veth", "bulk_out"), Side("gvisor-veth", "bulk_out")),
    "connections_vs_gvisor": (Side("userstack", "connections"), Side("gvisor", "connections")),
    "connections_64_vs_gvisor": (Side("userstack", "connections_64"), Side("gvisor", "connections_64")),
    "workers_connections_64_vs_gvisor": (Side("userstack-2-workers", "connections_64"), Side("gvisor", "connections_64")),
    "workers_connections_64_vs_one": (Side("userstack-2-workers", "connections_64"), Side("userstack", "connections_64")),
    "workers_bulk_in_vs_one": (Side("userstack-2-workers", "bulk_in"), Side("userstack", "bulk_in")),
    "round_trip_vs_lwip": (Side("userstack", "round_trip"), Side("lwip", "round_trip")),
    "bulk_10000_vs_active": (Side("userstack", "bulk_10000"), Side("userstack", "bulk_100")),
    "flood_connect_vs_usual": (Side("userstack", "flood_connect"), Side("userstack", "usual_connect")),
    "uvloop_in_vs_asyncio": (Side("userstack-uvloop", "bulk_in"), Side("userstack", "bulk_in")),
    "uvloop_out_vs_asyncio": (Side("userstack-uvloop", "bulk_out"), Side("userstack", "bulk_out")),
    "uvloop_connections_vs_asyncio": (Side("userstack-uvloop", "connections"), Side("userstack", "connections")),
    "uvloop_connections_64_vs_asyncio": (Side("userstack-uvloop", "connections_64"), Side("userstack", "connections_64")),
    "uvloop_round_trip_vs_asyncio": (Side("userstack-uvloop", "round_trip"), Side("userstack", "round_trip")),
}
RATIOS |= {
    "pure_bulk_in_vs_loop": (Side("userstack-pure", "bulk_in"), Side("loop", "bulk_in")),
    "pure_bulk_out_vs_loop": (Side("userstack-pure", "bulk_out"), Side("loop", "bulk_out")),
    "pure_connections_vs_gvisor": (Side("userstack-pure", "connections"), Side("gvisor", "connections")),
    "pure_connections_64_vs_gvisor": (Side("userstack-pure", "connections_64"), Side("gvisor", "connections_64")),
    "pure_round_trip_vs_lwip": (Side("userstack-pure", "round_trip"), Side("lwip", "round_trip")),
} | {
    f"compiled_{figure}_vs_pure": (Side("userstack", figure), Side("userstack-pure", figure))
    for figure in ("bulk_in", "bulk_out", "connections", "connections_64", "round_trip")
}
"""Of times less is better, of rates more."""
BEST_PEER = {"bulk_in_vs_best_peer": "bulk_in", "bulk_out_vs_best_peer": "bulk_out"}
"""userstack over TUN beside whichever other user-space stack was best over TUN in that repetition."""
PLAIN = {"kib_per_idle_connection": Side("userstack", "kib_per_idle_connection")}
"""No ratios, but told with them."""


def ratios(results: Results, peers: Collection[str]) -> dict[str, float]:
    """Every ratio that can be told.

    Args:
        results: what was measured.
        peers: the names of the other stacks over TUN, for ``BEST_PEER``.
    """
    found: dict[str, float] = {}
    for name, (over, under) in RATIOS.items():
        _put(found, name, over, _series(results, under), results)
    for name, figure in BEST_PEER.items():
        _put(found, name, Side("userstack", figure), _best(results, peers, figure), results)
    for name, side in PLAIN.items():
        values = _series(results, side)
        if values:
            found[name] = statistics.median(values.values())
    return found


def _put(found: dict[str, float], name: str, over: Side, under: dict[int, float], results: Results) -> None:
    above = _series(results, over)
    quotients = [above[repetition] / under[repetition] for repetition in above.keys() & under.keys() if under[repetition]]
    if quotients:
        found[name] = statistics.median(quotients)


def _series(results: Results, side: Side) -> dict[int, float]:
    return results.values.get(side.contender, {}).get(side.figure, {})


def _best(results: Results, peers: Collection[str], figure: str) -> dict[int, float]:
    best: dict[int, float] = {}
    for peer in peers:
        for repetition, value in _series(results, Side(peer, figure)).items():
            best[repetition] = max(value, best.get(repetition, 0.0))
    return best
