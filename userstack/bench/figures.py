"""What is measured, in which unit, and the statistics of it."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field

GROWTH = (1, 10, 100, 1000, 10_000)
"""Established connections."""
ACTIVE = 100
"""Of them send at most."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the report."""

    title: str
    unit: str


FIGURES: dict[str, Figure] = {
    "bulk_in": Figure("in", "Gbit/s"),
    "bulk_out": Figure("out", "Gbit/s"),
    "bulk_both": Figure("both at once", "Gbit/s"),
    "cpu_in": Figure("CPU, in", "s/Gbit"),
    "cpu_out": Figure("CPU, out", "s/Gbit"),
    "cpu_both": Figure("CPU, both", "s/Gbit"),
    "connections": Figure("one after another", "conn/s"),
    "connections_64": Figure("64 at once", "conn/s"),
    "round_trip": Figure("round trip", "us"),
    "round_trip_p99": Figure("p99", "us"),
    "round_trip_one_cpu": Figure("on one processor", "us"),
    "round_trip_one_cpu_p99": Figure("p99 there", "us"),
    "kib_per_idle_connection": Figure("idle connection", "KiB"),
    **{f"bulk_{number}": Figure(f"over {number}", "Gbit/s") for number in GROWTH},
    "usual_connect": Figure("usual connect", "us"),
    "flood_connect": Figure("connect meanwhile", "us"),
    "flood_connect_p99": Figure("p99 meanwhile", "us"),
    "flood_memory": Figure("memory it took", "KiB"),
    "flood_rate": Figure("flood", "SYN/s"),
}


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure over all repetitions."""

    median: float
    low: float
    high: float
    unit: str
    values: list[float]


@dataclass
class Results:
    """Every value of every contender, by repetition: ratios are taken within one, for the machine is not the same all day."""

    values: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What was not measured, and why; one line each."""

    def add(self, contender: str, repetition: int, figures: Mapping[str, float]) -> None:
        """Take in what one measure gave."""
        for name, value in figures.items():
            self.values.setdefault(contender, {}).setdefault(name, {})[repetition] = value

    def note(self, text: str) -> None:
        """Say once why something is missing."""
        if text not in self.notes:
            self.notes.append(text)

    def summaries(self) -> dict[str, dict[str, Summary]]:
        """Medians and spread, figures in the report's order."""
        return {
            contender: {name: summarize(figures[name], FIGURES[name].unit) for name in FIGURES if name in figures}
            for contender, figures in self.values.items()
        }


def summarize(by_repetition: Mapping[int, float], unit: str) -> Summary:
    """Median, least and most."""
    values = [by_repetition[repetition] for repetition in sorted(by_repetition)]
    return Summary(statistics.median(values), min(values), max(values), unit, values)
