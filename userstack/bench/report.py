"""The report: tables in Markdown for people, JSON for programs."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from userstack.bench.figures import FIGURES, GROWTH, Summary

Summaries = Mapping[str, Mapping[str, Summary]]
Machine = Mapping[str, str | int | float]

TABLES: dict[str, tuple[str, ...]] = {
    "Bulk": ("bulk_in", "bulk_out", "bulk_both", "cpu_in", "cpu_out", "cpu_both"),
    "Connections and memory": ("connections", "connections_64", "kib_per_idle_connection"),
    "Round trip of one byte": ("round_trip", "round_trip_p99", "round_trip_one_cpu", "round_trip_one_cpu_p99"),
    "Bulk over so many established connections, of which at most 100 send": tuple(f"bulk_{number}" for number in GROWTH),
    "SYN flood": ("usual_connect", "flood_connect", "flood_connect_p99", "flood_memory", "flood_rate"),
}


def to_json(summaries: Summaries, ratios: Mapping[str, float], machine: Machine) -> str:
    """The report for programs."""
    figures = {
        contender: {name: dataclasses.asdict(summary) for name, summary in row.items()} for contender, row in summaries.items()
    }
    report: dict[str, Any] = {"figures": figures, "ratios": dict(ratios), "machine": dict(machine)}
    return json.dumps(report, indent=2) + "\n"


def to_markdown(
    summaries: Summaries, ratios: Mapping[str, float], machine: Machine, *, descriptions: Mapping[str, str], notes: Sequence[str]
) -> str:
    """The report for people: the median, and least to most beside it where there is more than one repetition.

    Args:
        summaries: what was measured.
        ratios: between contenders.
        machine: what it was measured on.
        descriptions: of the contenders, in one line each.
        notes: what was not measured, and why.
    """
    parts = [_figures(title, names, summaries) for title, names in TABLES.items()]
    if ratios:
        parts.append(_table("Ratios", ["", "median"], [[name, number(value)] for name, value in ratios.items()]))
    parts.append(_table("Machine", ["", ""], [[name, str(value)] for name, value in machine.items()]))
    parts.append("\n".join(["## Contenders", "", *(f"- {name}: {descriptions[name]}" for name in summaries)]))
    if notes:
        parts.append("\n".join(["## Not measured", "", *(f"- {note}" for note in notes)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _figures(title: str, names: Sequence[str], summaries: Summaries) -> str:
    shown = [name for name in names if any(name in row for row in summaries.values())]
    rows = [
        [contender, *(cell(row.get(name)) for name in shown)]
        for contender, row in summaries.items()
        if any(name in row for name in shown)
    ]
    return _table(title, ["", *(f"{FIGURES[name].title}, {FIGURES[name].unit}" for name in shown)], rows) if rows else ""


def cell(summary: Summary | None) -> str:
    """A figure in a table."""
    if summary is None:
        return ""
    if len(summary.values) < 2:
        return number(summary.median)
    return f"{number(summary.median)} ({number(summary.low)} to {number(summary.high)})"


def number(value: float) -> str:
    """Three digits that say something, and no power of ten."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or not value else f"{value:.4f}"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, so that it reads as text too; all but the first stand to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]) + " |"

    return "\n".join([f"## {title}", "", line(head), "| " + " | ".join(rule) + " |", *map(line, rows)])
