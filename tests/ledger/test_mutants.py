"""What counts as killed, and that every mutation of the list is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ledger.mutations import MUTATIONS, Mutation
from tests.ledger.rows import Outcome, Outcomes

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
CASE = "tests/tcp/test_transitions_timers.py::test_time_wait_ends_after_two_msl[30-record]"


def known(case: str, outcome: str = "passed") -> Outcomes:
    return {case: Outcome(outcome=outcome, seconds=0.1, transition=[], requirement=["MUST-13"])}


TWO_MSL = "self.deadline = now + 2 * config.msl"


@pytest.mark.parametrize(
    ("new", "killed", "why"),
    [
        ("self.deadline = now + config.msl", True, "::"),
        ("self.deadline = now + 2 * config.msl + 0", False, "its tests pass"),
        ("self.deadline = now + )", False, "pytest ended with"),
    ],
    ids=["missed", "the same", "no Python"],
)
def test_killed_is_what_a_test_misses(new: str, killed: bool, why: str) -> None:
    verdict = tried(Mutation("MUST-13", "tcp/timewait.py", TWO_MSL, new), known(CASE))
    assert verdict["killed"] is killed
    assert why in str(verdict["by"])


@pytest.mark.parametrize("outcomes", [{}, known(CASE, "failed"), known(CASE, "skipped")])
def test_nothing_is_killed_by_tests_that_do_not_pass_without_it(outcomes: Outcomes) -> None:
    verdict = tried(Mutation("MUST-13", "tcp/timewait.py", TWO_MSL, "self.deadline = now"), outcomes)
    assert verdict == {"killed": False, "by": "it has no test that passes"}


@pytest.mark.parametrize("old", ["nowhere to be found", "self"])
def test_a_mutation_whose_text_is_not_there_once_says_so(old: str, tmp_path: Path) -> None:
    (tmp_path / "userstack").mkdir()
    (tmp_path / "userstack" / "file.py").write_text("self.self = 1\n")
    with pytest.raises(ValueError, match="times, not once"):
        Mutation("MUST-13", "file.py", old, "other").apply(tmp_path)


@pytest.mark.timeout(600)
def test_the_tests_of_each_requirement_miss_it() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.ledger.mutants"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert (told["killed"], done.returncode) == (told["total"], 0), done.stderr
    assert told["total"] == len(MUTATIONS)


def tried(mutation: Mutation, outcomes: Outcomes) -> dict[str, object]:
    """The verdict, from a process in which nothing of the package has been imported yet."""
    program = (
        "import json, sys; from tests.ledger.mutants import examine; from tests.ledger.mutations import Mutation; "
        "mutation, outcomes = json.loads(sys.argv[1]); "
        "(verdict,) = examine([Mutation(*mutation)], outcomes); print(json.dumps({'killed': verdict.killed, 'by': verdict.by}))"
    )
    command = [sys.executable, "-c", program, json.dumps([mutation, outcomes])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    verdict: dict[str, object] = json.loads(done.stdout)
    return verdict
