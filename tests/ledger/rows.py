"""Rows of a table of the RFC's, the tests that name them, and what became of those; standard library only.

A test names its rows by markers, ``requirement("MUST-13")`` and ``transition("from | event | condition | to")``, any number.
The tests are run, so that a test which no longer runs shows: its row has none.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

DATA = Path(__file__).resolve().parent.parent / "data"
COLUMNS = ("from_state", "event", "condition", "to_state")
_SCRIPT = re.compile(r"\[(pass/requirements/[^]]*\.pkt)")
LEVELS = {"MUST": "MUST", "MUST NOT": "MUST", "SHOULD": "SHOULD", "SHOULD NOT": "SHOULD", "MAY": "MAY"}


class Outcome(TypedDict):
    """What ``pytest --outcomes=FILE`` writes of a test (tests/conftest.py)."""

    outcome: str
    """``passed``, ``failed``, ``skipped``; ``not run`` where the tests were only collected."""
    seconds: float
    transition: list[str]
    requirement: list[str]


Outcomes = Mapping[str, Outcome]
"""By pytest's node id."""


@dataclass
class Row:
    """A row of the table and what is known of it."""

    name: str
    section: str
    text: str = ""
    level: str = ""
    reason: str | None = None
    """Why nothing tests it, if nothing does."""
    cases: dict[str, str] = field(default_factory=dict)
    """pytest's node id and outcome of every case that ran."""

    @property
    def result(self) -> str:
        """``passed``, ``failed``, ``none`` (no test) or ``reasoned``."""
        if self.reason is not None:
            return "failed" if self.cases else "reasoned"  # what is tested is done: one of the two is not true
        if not self.cases:
            return "none"
        return "passed" if set(self.cases.values()) == {"passed"} else "failed"

    @property
    def functions(self) -> list[str]:
        """The tests without their parameters."""
        return sorted({case.split("[")[0] for case in self.cases})

    @property
    def tests(self) -> list[str]:
        """The same for a reader, with the packetdrill scripts that are named after a requirement."""
        return sorted(
            {f"tests/drill/{script[1]}" if (script := _SCRIPT.search(case)) else case.split("[")[0] for case in self.cases}
        )


def row_name(values: Iterable[str]) -> str:
    """The stable name of a row of transitions.csv: its first four columns, joined."""
    return " | ".join(value.strip() for value in values)


def read_transitions(data: Path = DATA) -> dict[str, Row]:
    """Every row of the state machine by name; what no host of this kind can meet has its reason."""
    rows = {}
    for line in _lines(data / "transitions.csv"):
        name = row_name([line[column] for column in COLUMNS])
        rows[name] = Row(name, line["section"], line["action"], line["kind"])
    for line in _lines(data / "not_applicable.csv"):
        rows[row_name([line[column] for column in COLUMNS])].reason = line["reason"]
    return rows


def read_requirements(data: Path = DATA) -> dict[str, Row]:
    """Every requirement of Appendix B by identifier; what was decided against has its reason."""
    rows = {
        line["id"]: Row(line["id"], line["section"], line["summary"], line["level"])
        for line in _lines(data / "rfc9293-requirements.csv")
    }
    for line in _lines(data / "requirements_not_done.csv"):
        rows[line["id"]].reason = line["reason"]
    return rows


def enter(rows: dict[str, Row], outcomes: Outcomes, marker: str) -> list[str]:
    """Enter what became of each marked test into its rows; the markers that name no row come back."""
    unknown = []
    for case, test in outcomes.items():
        names = test["transition"] if marker == "transition" else test["requirement"]
        for name in (row_name(name.split("|")) for name in names):
            if name in rows:
                rows[name].cases[case] = test["outcome"]
            else:
                unknown.append(f"{case}: {name}")
    return unknown


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
