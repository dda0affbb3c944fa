"""Whether the tests of a requirement miss it: each mutation is put into a copy of the package, and a test of its must fail.

    python -m tests.ledger.mutants [REQUIREMENT ...]       prints as JSON how many were killed; exit code 1 where one was not

Law: killed is a test that fails. A mutant that cannot be imported, that breaks the collection of tests or outlasts ``LIMIT`` proves
nothing. All tests pass on the unchanged copy first, and the quickest runs first; one process imports what is slow to import and is
forked for every mutant.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.ledger.mutations import MUTATIONS, Mutation
from tests.ledger.rows import Outcomes

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 60.0
"""Seconds for the tests of one mutant."""
TEST_LIMIT = 20
"""Seconds for one test: whoever waits for ever has failed."""
MOST = 40
"""Tests of one requirement that are tried, the quickest first."""
SLOW_TO_IMPORT = ("hypothesis", "scapy.all", "pyroute2", "rich.console", "typer", "lark")


class Verdict(NamedTuple):
    """What became of a mutant."""

    mutation: Mutation
    killed: bool
    by: str
    """The test that failed, or why none did."""


def examine(mutations: Sequence[Mutation], outcomes: Outcomes | None = None, jobs: int = 2) -> Iterator[Verdict]:
    """Try every mutation; ``outcomes`` are those of the unchanged package, if they are known."""
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        known = outcomes if outcomes is not None else _unchanged(Path(folder))
        waiting = list(enumerate(mutations))
        running: dict[int, _Attempt] = {}
        while waiting or running:
            while waiting and len(running) < jobs:
                number, mutation = waiting.pop(0)
                tests = tests_of(mutation.requirement, known)
                if not tests:
                    yield Verdict(mutation, False, "it has no test that passes")
                    continue
                attempt = _Attempt(Path(folder) / str(number), mutation)
                running[attempt.start(tests)] = attempt
            if running:
                yield from _ended(running)


def tests_of(requirement: str, outcomes: Outcomes) -> list[str]:
    """The tests of a requirement, the quickest first; none where one of them fails as it is."""
    own = [(test["seconds"], case) for case, test in outcomes.items() if requirement in test["requirement"]]
    if any(outcomes[case]["outcome"] != "passed" for _, case in own):
        return []
    return [case for _, case in sorted(own)][:MOST]


class _Attempt:
    """One copy of the package, and the process that tests it."""

    def __init__(self, folder: Path, mutation: Mutation | None) -> None:
        self.folder = folder
        self.mutation = mutation
        self.target = folder / "outcomes.json"
        self.deadline = time.monotonic() + LIMIT
        shutil.copytree(ROOT / "userstack", folder / "userstack", ignore=shutil.ignore_patterns("__pycache__"))
        if mutation is not None:
            mutation.apply(folder)

    def start(self, tests: Sequence[str]) -> int:
        """Fork; the child's process id."""
        child = os.fork()
        if child == 0:
            code: int = pytest.ExitCode.INTERNAL_ERROR
            try:
                code = self._test(tests)
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                sys.stderr.flush()
                os._exit(code)
        return child

    def _test(self, tests: Sequence[str]) -> int:
        with (self.folder / "output").open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        sys.path.insert(0, str(self.folder))
        os.environ["PYTHONPATH"] = f"{self.folder}{os.pathsep}{ROOT}"
        os.chdir(ROOT)
        # Before pytest puts the checkout in front: from now on every part of the package comes from the copy.
        if str(self.folder) not in str(importlib.import_module("userstack").__file__):
            return pytest.ExitCode.INTERNAL_ERROR
        options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", f"--timeout={TEST_LIMIT}", f"--outcomes={self.target}"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # hypothesis has been imported on purpose
        if self.mutation is None:
            return int(pytest.main([*options, "-m", "requirement", *tests]))
        return int(pytest.main([*options, "-x", *tests]))

    def outcomes(self) -> Outcomes:
        """What became of each test."""
        found: Outcomes = json.loads(self.target.read_text()) if self.target.exists() else {}
        return found

    def verdict(self, code: int) -> Verdict:
        """By the exit code of the child."""
        assert self.mutation is not None
        failed = [case for case, test in self.outcomes().items() if test["outcome"] == "failed"]
        if code == pytest.ExitCode.TESTS_FAILED and failed:
            return Verdict(self.mutation, True, failed[0])
        return Verdict(
            self.mutation, False, "its tests pass" if code == pytest.ExitCode.OK else f"pytest ended with {code}: {self.tail()}"
        )

    def tail(self) -> str:
        """The last that the child has said."""
        return " / ".join((self.folder / "output").read_text(errors="replace").splitlines()[-3:])


def _ended(running: dict[int, _Attempt]) -> Iterator[Verdict]:
    """Wait for one of the children, and end those that have had their time."""
    child, status = os.waitpid(-1, os.WNOHANG)
    if child in running:
        attempt = running.pop(child)
        yield attempt.verdict(os.waitstatus_to_exitcode(status))
        shutil.rmtree(attempt.folder)
        return
    for pid, attempt in running.items():
        if time.monotonic() > attempt.deadline:
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.01)


def _unchanged(folder: Path) -> Outcomes:
    """What the tests of all requirements say of the package as it is."""
    attempt = _Attempt(folder / "unchanged", None)
    files = [
        str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "requirement" in path.read_text()
    ]
    _, status = os.waitpid(attempt.start(files), 0)
    outcomes = attempt.outcomes()
    if os.waitstatus_to_exitcode(status) not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        sys.exit(f"the tests of the unchanged package could not be run: {attempt.tail()}")
    return outcomes


def main(names: Sequence[str]) -> int:
    """Try those of the named requirements, or all."""
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.requirement in names]
    killed = 0
    for verdict in examine(chosen):
        killed += verdict.killed
        if not verdict.killed:
            print(f"survived: {verdict.mutation.requirement} {verdict.mutation.file}: {verdict.by}", file=sys.stderr)
    print(json.dumps({"killed": killed, "total": len(chosen)}))
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
