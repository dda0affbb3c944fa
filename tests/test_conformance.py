"""scripts/conformance: what it takes for a passed row, and that the markers of this suite name rows that exist."""

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests" / "data"


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


def test_rows(conformance: ModuleType) -> None:
    rows = conformance.read_rows(DATA / "transitions.csv", DATA / "not_applicable.csv")
    assert len(rows) == 99
    assert sum(row.reason is not None for row in rows.values()) == 7
    assert rows["LISTEN | CLOSE |  | CLOSED"].section == "3.10.4; Fig.5"


def test_every_marker_of_this_suite_names_a_row_and_every_row_has_a_marker(conformance: ModuleType) -> None:
    rows = conformance.read_rows(DATA / "transitions.csv", DATA / "not_applicable.csv")
    assert conformance.collect(rows, ROOT / "tests", ROOT) == []
    assert [row.name for row in rows.values() if row.reason is None and not row.functions] == []
    assert [row.name for row in rows.values() if row.reason is not None and row.functions] == []


def test_markers_are_found_in_decorators_and_in_params(conformance: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(
        "import pytest\n"
        "@pytest.mark.transition('A | b |  | C')\n"
        "def test_one(): ...\n"
        "@pytest.mark.parametrize('x', [pytest.param(1, marks=pytest.mark.transition('D | e | f | G'))])\n"
        "async def test_two(x): ...\n"
        "@pytest.mark.transition('H | i | j | K')\n"
        "def helper(): ...\n"
    )
    found = list(conformance.markers_of(path, tmp_path))
    assert found == [("test_x.py::test_one", "A | b |  | C"), ("test_x.py::test_two", "D | e | f | G")]


@pytest.mark.parametrize(
    ("functions", "outcomes", "result"),
    [
        ([], {}, "none"),
        (["t::a"], {"t::a": "passed"}, "passed"),
        (["t::a"], {"t::a[1]": "passed", "t::a[2]": "passed"}, "passed"),
        (["t::a"], {"t::a[1]": "passed", "t::a[2]": "failed"}, "failed"),
        (["t::a", "t::b"], {"t::a": "passed"}, "failed"),
        (["t::a"], {"t::a": "skipped"}, "failed"),
        (["t::a"], {}, "failed"),
    ],
)
def test_result(conformance: ModuleType, functions: list[str], outcomes: dict[str, str], result: str) -> None:
    row = conformance.Row("X", "3.1", functions=functions, outcomes=outcomes)
    assert row.result == result
    row.reason = "because"
    assert row.result == "not applicable"


def test_report(conformance: ModuleType) -> None:
    rows = {
        "A": conformance.Row("A", "3.1", functions=["t::a"], outcomes={"t::a": "passed"}),
        "B": conformance.Row("B", "3.1", functions=["t::b"], outcomes={"t::b": "failed"}),
        "C": conformance.Row("C", "3.1"),
        "D": conformance.Row("D", "3.1", reason="never"),
    }
    report = conformance.report(rows, ["t::e: no such row"])
    assert report["unknown"] == ["t::e: no such row"]
    assert [report[name] for name in ("tested", "passed", "total", "not_applicable")] == [2, 1, 3, 1]
    assert [row["result"] for row in report["rows"]] == ["passed", "failed", "none", "not applicable"]


@pytest.mark.parametrize(
    ("unknown", "differences", "combinations", "failed", "passed", "conforms"),
    [
        ([], 0, 9, 0, 9, True),
        (["t::e: no such row"], 0, 9, 0, 9, False),
        ([], 1, 9, 0, 9, False),
        ([], 0, 0, 0, 9, False),
        ([], 0, 9, 1, 9, False),
        ([], 0, 9, 0, 0, False),
    ],
)
def test_conforms(
    conformance: ModuleType, unknown: list[str], differences: int, combinations: int, failed: int, passed: int, conforms: bool
) -> None:
    rows = {"A": conformance.Row("A", "3.1", functions=["t::a"], outcomes={"t::a": "passed"})}
    oracle = {"combinations": combinations, "differences": differences}
    drill = {"passed": passed, "failed": failed, "skipped": 1}
    assert conformance.conforms(rows, unknown, oracle, drill) is conforms
    rows["B"] = conformance.Row("B", "3.1")
    assert not conformance.conforms(rows, unknown, oracle, drill)


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
