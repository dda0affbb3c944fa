"""The proof: what counts as killed, and what does not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.mutation import Mutation
from tests.ledger.mutations import MUTATIONS
from tests.ledger.proof import BROKEN, KILLED, OVERDUE, ROOT, SURVIVED
from tests.ledger.rows import read_requirements

pytestmark = pytest.mark.once

PASSES = "assert True"


def verdict(tmp_path: Path, body: str, *, head: str = "", name: str = "test_it", time_limit: float = 60) -> Any:
    """What a test with that body makes of the package as it is."""
    file = tmp_path / "test_it.py"
    file.write_text(f"import time\nimport pytest\n{head}\n@pytest.mark.requirement('MUST-1')\ndef test_it() -> None:\n    {body}\n")
    return asked(f"proof.in_child(proof.ROOT, [{f'{file}::{name}'!r}], 'MUST-1', {time_limit})")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (PASSES, SURVIVED),
        ("assert False", KILLED),
        ("raise ConnectionResetError", KILLED),
        ("pytest.skip('not today')", SURVIVED),
        ("raise AttributeError('a slip of the mutation')", BROKEN),
        ("import nowhere", BROKEN),
    ],
)
def test_only_a_test_that_fails_kills(tmp_path: Path, body: str, expected: str) -> None:
    assert verdict(tmp_path, body)[0] == expected


def test_a_test_that_cannot_be_collected_kills_nothing(tmp_path: Path) -> None:
    assert verdict(tmp_path, PASSES, head="import nowhere")[0] == BROKEN
    assert verdict(tmp_path, PASSES, name="test_other")[0] == BROKEN


def test_a_test_that_cannot_be_set_up_kills_nothing(tmp_path: Path) -> None:
    head = "@pytest.fixture(autouse=True)\ndef broken() -> None:\n    assert False\n"
    assert verdict(tmp_path, PASSES, head=head)[0] == BROKEN


def test_a_mutant_that_hangs_is_not_killed(tmp_path: Path) -> None:
    assert verdict(tmp_path, "time.sleep(600)", time_limit=3)[0] == OVERDUE


def test_the_tests_meet_the_mutant_and_the_next_ones_do_not(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(
        "import pytest\n"
        "from userstack.tcp import seq\n"
        "@pytest.mark.requirement('MUST-1')\n"
        "def test_it() -> None:\n"
        "    assert seq.wrap(1 << 32) == 0\n"
    )
    row = f"Row('MUST-1', '3.1', cases={{{f'{file}::test_it'!r}: 'passed'}})"
    texts = [("return MASK & number", SURVIVED), ("return number", KILLED), ("return MASK & number", SURVIVED)]
    mutations = ", ".join(f"Mutation('MUST-1', 'wrap', 'tcp/seq.py', 'return number & MASK', {new!r})" for new, _ in texts)
    verdicts = asked(f"[one.verdict for one in proof.prove({{'MUST-1': {row}}}, [{mutations}])]")
    assert verdicts == [expected for _, expected in texts]


@pytest.mark.early
@pytest.mark.timeout(900)
def test_the_tests_of_each_requirement_miss_it() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.ledger"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert (told["killed"], done.returncode) == (told["total"], 0), done.stderr
    assert told["total"] == len(MUTATIONS)


def test_every_must_has_a_mutation() -> None:
    named = {mutation.requirement for mutation in MUTATIONS}
    rows = read_requirements()
    assert [row.name for row in rows.values() if row.level.startswith("MUST") and row.name not in named] == []
    assert sorted(named - rows.keys()) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.requirement} {mutation.name}")
def test_a_mutation_is_a_change_of_the_source_as_it_is(mutation: Mutation) -> None:
    text = (ROOT / "userstack" / mutation.file).read_text()
    changed = mutation.applied(text)
    assert changed != text
    compile(changed, mutation.file, "exec")


def asked(expression: str) -> Any:
    """The value of an expression, from a process that has no threads and in which nothing of the package has been imported."""
    head = (
        "import json; from tests.ledger import proof; from tests.ledger.mutation import Mutation; from tests.ledger.rows import Row"
    )
    program = f"{head}; print(json.dumps({expression}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
