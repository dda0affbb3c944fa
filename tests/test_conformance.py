"""scripts/conformance: what it takes for a passed row, and that the markers of this suite name rows that exist."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from tests.ledger.rows import Outcome, Outcomes, Row, enter, read_requirements, read_transitions

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def conformance() -> ModuleType:
    """The script as a module."""
    loader = SourceFileLoader("conformance", str(ROOT / "scripts" / "conformance"))
    spec = importlib.util.spec_from_loader("conformance", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["conformance"] = module
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def collected(conformance: ModuleType) -> Outcomes:
    """Every marked test of this suite; none was run."""
    found: Outcomes = conformance.outcomes(["--collect-only"])
    return found


def ran(outcome: str, *, transition: tuple[str, ...] = (), requirement: tuple[str, ...] = ()) -> Outcome:
    return Outcome(outcome=outcome, seconds=0.1, transition=list(transition), requirement=list(requirement))


# --- the rows ---


def test_the_state_machine() -> None:
    rows = read_transitions()
    assert len(rows) == 306
    assert all("MLS only" in row.name for row in rows.values() if row.reason is not None)
    assert [row.name for row in rows.values() if "MLS only" in row.name and row.reason is None] == []
    assert rows["LISTEN | CLOSE |  | CLOSED"].section == "3.10.4; Fig.5"


def test_the_requirements() -> None:
    rows = read_requirements()
    assert len(rows) == 119
    assert sum(row.level in ("MUST", "MUST NOT") for row in rows.values()) == 69
    assert [row.name for row in rows.values() if row.level.startswith("MUST") and row.reason is not None] == []


def test_every_marker_names_a_row_and_every_row_has_a_test_or_a_reason(collected: Outcomes) -> None:
    for rows, marker in ((read_transitions(), "transition"), (read_requirements(), "requirement")):
        assert enter(rows, collected, marker) == []
        assert [row.name for row in rows.values() if row.reason is None and not row.cases] == []
        assert [row.name for row in rows.values() if row.reason is not None and row.cases] == []


def test_the_ledger_in_the_documentation_is_this_one(conformance: ModuleType, collected: Outcomes) -> None:
    rows = read_requirements()
    enter(rows, collected, "requirement")
    assert (ROOT / "docs" / "ledger.md").read_text() == conformance.ledger(rows), "./scripts/conformance --ledger > docs/ledger.md"


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ({}, "none"),
        ({"t::a": "passed"}, "passed"),
        ({"t::a[1]": "passed", "t::a[2]": "passed"}, "passed"),
        ({"t::a[1]": "passed", "t::a[2]": "failed"}, "failed"),
        ({"t::a": "skipped"}, "failed"),
        ({"t::a": "not run"}, "failed"),
    ],
)
def test_result(outcomes: dict[str, str], result: str) -> None:
    rows = {"X": Row("X", "3.1")}
    assert enter(rows, {case: ran(outcome, requirement=("X",)) for case, outcome in outcomes.items()}, "requirement") == []
    assert rows["X"].result == result


def test_a_reason_stands_for_tests_and_not_beside_them() -> None:
    assert Row("X", "3.1", reason="because").result == "reasoned"
    assert Row("X", "3.1", reason="because", cases={"t::a": "passed"}).result == "failed"


def test_markers_that_name_no_row_come_back() -> None:
    rows = {"A | b |  | C": Row("A | b |  | C", "3.1")}
    found = {"t::a": ran("passed", transition=("A|b||C",)), "t::b": ran("passed", transition=("A | b | | D",))}
    assert enter(rows, found, "transition") == ["t::b: A | b |  | D"]
    assert rows["A | b |  | C"].functions == ["t::a"]


def test_scripts_are_told_by_their_names() -> None:
    runner = "tests/drill/test_scripts.py::test_what_is_right_passes"
    row = Row("X", "3.1", cases={f"{runner}[pass/requirements/must-1-a.pkt]": "passed", "t::a[1]": "passed", "t::a[2]": "passed"})
    assert row.tests == ["t::a", "tests/drill/pass/requirements/must-1-a.pkt"]
    assert row.functions == ["t::a", runner]


# --- the verdict ---


def test_counts_by_level(conformance: ModuleType) -> None:
    rows = {
        "MUST-1": Row("MUST-1", "3.1", level="MUST", cases={"t::a": "passed"}),
        "MUST-2": Row("MUST-2", "3.1", level="MUST NOT", cases={"t::b": "failed"}),
        "SHLD-1": Row("SHLD-1", "3.1", level="SHOULD"),
        "MAY-1": Row("MAY-1", "3.1", level="MAY", reason="never"),
    }
    assert conformance.by_level(rows) == {
        "MUST": {"tested": 1, "total": 2, "not_done": 0},
        "SHOULD": {"tested": 0, "total": 1, "not_done": 0},
        "MAY": {"tested": 0, "total": 1, "not_done": 1},
    }


@pytest.mark.parametrize(
    ("row", "whole"),
    [
        (Row("MUST-1", "3.1", level="MUST", cases={"t::a": "passed"}), True),
        (Row("MUST-1", "3.1", level="MUST", cases={"t::a": "failed"}), False),
        (Row("MUST-1", "3.1", level="MUST"), False),
        (Row("MUST-1", "3.1", level="MUST NOT", reason="never"), False),
        (Row("MAY-1", "3.1", level="MAY", reason="never"), True),
        (Row("A | b |  | C", "3.1", level="stay", reason="never"), True),
    ],
)
def test_what_is_whole(conformance: ModuleType, row: Row, whole: bool) -> None:
    assert conformance.is_whole({row.name: row}) is whole


@pytest.mark.parametrize(
    ("group", "name", "value", "conforms"),
    [
        ("drill", "skipped", 5, True),
        ("oracle", "differences", 1, False),
        ("oracle", "combinations", 0, False),
        ("drill", "failed", 1, False),
        ("drill", "passed", 0, False),
        ("mutations", "killed", 6, False),
    ],
)
def test_conforms(conformance: ModuleType, group: str, name: str, value: int, conforms: bool) -> None:
    report = {
        "oracle": {"combinations": 9, "differences": 0},
        "drill": {"passed": 9, "failed": 0, "skipped": 1},
        "mutations": {"killed": 7, "total": 7},
    }
    assert conformance.conforms(report)
    report[group][name] = value
    assert conformance.conforms(report) is conforms


def test_numbers_are_taken_from_what_a_program_prints(conformance: ModuleType) -> None:
    program = ("-c", 'print(\'{"passed": 3, "failed": 0, "more": []}\'); raise SystemExit(1)')
    assert conformance.counted(program, ("passed", "failed")) == {"passed": 3, "failed": 0}


@pytest.mark.parametrize("program", ["raise SystemExit(2)", "print('{}')", "print('nothing')"])
def test_a_program_without_its_numbers_is_no_success(conformance: ModuleType, program: str) -> None:
    with pytest.raises(SystemExit, match="without its numbers"):
        conformance.counted(("-c", program), ("passed",))


def test_the_oracle_tells_its_numbers(conformance: ModuleType) -> None:
    told = conformance.counted((*conformance.ORACLE, "CLOSED"), ("combinations", "differences"))
    assert told["combinations"] > 100
    assert told["differences"] == 0


def test_the_scripts_of_our_own_are_run(conformance: ModuleType) -> None:
    *arguments, passing, skipped = conformance.DRILL
    told = conformance.counted((*arguments, f"{passing}/states", skipped), ("passed", "failed", "skipped"))
    assert told["passed"] > 10
    assert told["failed"] == 0
    assert told["skipped"] > 0
