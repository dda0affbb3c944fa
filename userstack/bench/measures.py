"""The measures: each runs the client against a contender that serves, and gives figures by name."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from userstack.bench.contender import Contender
from userstack.bench.figures import ACTIVE, GROWTH
from userstack.bench.process import Group, run_client
from userstack.bench.world import OWN, SPARE, World

PATIENCE = 60.0
"""Seconds beyond its own that a measure may take: a slow stack has megabytes in the kernel's buffer to drain."""
FLOOD_PATIENCE = 1800.0
CLIENTS = 64


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how much is measured."""

    seconds: float
    """Of each bulk, connection and round-trip measure."""
    idle: int
    """Idle connections whose memory is weighed."""
    growth: tuple[int, ...] = GROWTH
    syns: int = 1_000_000
    """Of the flood."""
    once: tuple[str, ...] = ("flood",)
    """What is measured in the first repetition alone, for it takes long."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A contender that serves."""

    contender: Contender
    group: Group
    world: World
    plan: Plan
    seed: int
    """Of what is random in the client."""

    def client(
        self, measure: str, *, limit: float = PATIENCE, held: Callable[[], None] | None = None, **settings: object
    ) -> dict[str, float]:
        """Run the client."""
        return run_client(self.world.kernel, measure, OWN, limit=limit + self.plan.seconds, held=held, **settings)


Figures = dict[str, float]
Measure = Callable[[Subject], Figures]


def measure_round_trip(subject: Subject) -> Figures:
    """One byte and its echo."""
    measured = subject.client("round_trip", seconds=subject.plan.seconds)
    return {"round_trip": measured["median"], "round_trip_p99": measured["p99"]}


def measure_round_trip_on_one_processor(subject: Subject) -> Figures:
    """The same with both ends on one: no other has to be woken."""
    processors = os.sched_getaffinity(0)
    one = max(processors)
    subject.group.pin({one})
    try:
        measured = subject.client("round_trip", seconds=subject.plan.seconds, processor=one)
    finally:
        subject.group.pin(processors)
    return {"round_trip_one_cpu": measured["median"], "round_trip_one_cpu_p99": measured["p99"]}


def measure_connections(subject: Subject) -> Figures:
    """Connections a second, one after another."""
    measured = subject.client("one_after_another", seconds=subject.plan.seconds, spare=SPARE)
    return {"connections": measured["connections"] / measured["seconds"]}


def measure_connections_at_once(subject: Subject) -> Figures:
    """Connections a second, 64 at once."""
    measured = subject.client("many_at_once", seconds=subject.plan.seconds, spare=SPARE, clients=CLIENTS)
    return {"connections_64": measured["connections"] / measured["seconds"]}


def measure_bulk_in(subject: Subject) -> Figures:
    """What the contender receives."""
    return _bulk(subject, "in")


def measure_bulk_out(subject: Subject) -> Figures:
    """What it sends."""
    return _bulk(subject, "out")


def measure_bulk_both(subject: Subject) -> Figures:
    """Both at once, added up."""
    return _bulk(subject, "both")


def _bulk(subject: Subject, direction: str) -> Figures:
    before = subject.group.cpu_seconds()
    measured = subject.client(f"bulk_{direction}", seconds=subject.plan.seconds)
    used = subject.group.cpu_seconds() - before
    gigabits = measured["octets"] * 8 / 1e9
    return {f"bulk_{direction}": gigabits / measured["seconds"], f"cpu_{direction}": used / gigabits}


def measure_idle(subject: Subject) -> Figures:
    """Memory for each connection that does nothing."""
    connections = min(subject.plan.idle, subject.contender.most_connections)
    if not subject.contender.own_memory:
        return {}
    weights: list[float] = []
    subject.client("hold", connections=connections, held=lambda: weights.append(subject.group.memory_kib()))
    return {"kib_per_idle_connection": (weights[1] - weights[0]) / connections}


def measure_growth(subject: Subject) -> Figures:
    """Bulk over ever more established connections, of which 100 send."""
    figures: Figures = {}
    for connections in subject.plan.growth:
        if connections <= subject.contender.most_connections:
            active = min(connections, ACTIVE)
            measured = subject.client("bulk_among", seconds=subject.plan.seconds, connections=connections, active=active)
            figures[f"bulk_{connections}"] = measured["octets"] * 8 / 1e9 / measured["seconds"]
    return figures


def measure_flood(subject: Subject) -> Figures:
    """A SYN flood: what a real client notices of it, and the memory that it takes."""
    before = subject.group.memory_kib()
    syns, device = subject.plan.syns, subject.world.kernel_device
    measured = subject.client("flood", limit=FLOOD_PATIENCE, syns=syns, device=device, seed=subject.seed)
    figures = {
        "usual_connect": measured["usual"],
        "flood_connect": measured["meanwhile"],
        "flood_connect_p99": measured["meanwhile_p99"],
        "flood_rate": measured["rate"],
    }
    if subject.contender.own_memory:
        figures["flood_memory"] = subject.group.memory_kib() - before
    return figures


MEASURES: dict[str, Measure] = {
    "round_trip": measure_round_trip,
    "round_trip_one_cpu": measure_round_trip_on_one_processor,
    "connections": measure_connections,
    "connections_64": measure_connections_at_once,
    "bulk_in": measure_bulk_in,
    "bulk_out": measure_bulk_out,
    "bulk_both": measure_bulk_both,
    "idle": measure_idle,
    "growth": measure_growth,
    "flood": measure_flood,
}
"""In the order in which they are taken: the flood, which may leave something behind in the contender, last."""
