"""The proof of the ledger: with a behaviour taken away, a test of its requirement fails.

A warm process, which has imported what neither userstack nor its tests are, forks once for each mutation. The child imports a copy
of the package that holds the mutation, runs the tests of that one requirement and stops at the first that fails.

A mutant is killed by a test that fails in its body, by an assertion or by an error that the stack raises on purpose. It is not by
a test that cannot be collected or set up, nor by an error that says the mutant's code is broken (``_BROKEN``), nor by time: one
that hangs has shown nothing, for a machine that is busy looks the same.
"""

import gc
import importlib
import json
import os
import pickle
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.ledger.mutation import Mutation
from tests.ledger.rows import Outcome, Outcomes, Row

ROOT = Path(__file__).resolve().parents[2]
KILLED, SURVIVED, BROKEN, OVERDUE = "killed", "survived", "broken", "overdue"
TIME_LIMIT = 30.0
"""Seconds that the tests of one mutation may take; they take well below one."""
_BROKEN = (NameError, AttributeError, ImportError, SyntaxError, TypeError)
_WARM = ("asyncio", "hypothesis", "lark", "multiprocessing", "pytest_asyncio.plugin", "pyroute2", "scapy.layers.inet6")
"""What the tests take long to import and no mutation touches."""
_OPTIONS = (
    *("-q", "--tb=native", "-p", "no:cacheprovider", "-p", "no:xdist", "--import-mode=append"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # its plugins are warm
)
_BEING_WRITTEN = shutil.ignore_patterns("*.pyc.*")
"""What another process has just compiled goes by such a name for a moment."""
_SCRIPTS = "tests/drill/test_scripts.py"
"""Takes long to collect: hundreds of scripts."""
_NEED_A_KERNEL = ("tests/interop/", "tests/cli/")
"""Too slow to be run for every mutation; used where a requirement has no other test."""


class Proof(NamedTuple):
    """What became of a mutation; ``detail`` is the test that killed it, or what went wrong."""

    mutation: Mutation
    verdict: str
    detail: str


def batches_of(row: Row) -> list[list[str]]:
    """Its tests, without their parameters, in the order in which they are tried: those that take long only where others pass."""
    quick = [test for test in row.functions if not test.startswith((*_NEED_A_KERNEL, _SCRIPTS))]
    scripts = [test for test in row.functions if test.startswith(_SCRIPTS)]
    kernel = [] if quick or scripts else row.functions
    return [batch for batch in (quick, scripts, kernel) if batch]


def prove(rows: dict[str, Row], mutations: Sequence[Mutation], time_limit: float = TIME_LIMIT) -> Iterator[Proof]:
    """Try every mutation, each as soon as the one before is done."""
    for module in _WARM:
        importlib.import_module(module)
    gc.freeze()  # pytest collects garbage ten times at its end: each child would go through all of this
    with TemporaryDirectory(prefix="userstack-ledger-") as name:
        pristine = Path(name) / "pristine"
        shutil.copytree(ROOT / "userstack", pristine / "userstack", ignore=_BEING_WRITTEN)
        for mutation in mutations:
            try:
                mutation.applied((pristine / "userstack" / mutation.file).read_text())
            except ValueError as error:
                yield Proof(mutation, BROKEN, str(error))
                continue
            verdict, detail = SURVIVED, "no test"
            with _mutant(pristine, mutation, Path(name) / "mutant") as mutant:
                for tests in batches_of(rows[mutation.requirement]):
                    verdict, detail = in_child(mutant, tests, mutation.requirement, time_limit)
                    if verdict != SURVIVED:
                        break
            yield Proof(mutation, verdict, detail)


def unchanged(time_limit: float) -> Outcomes:
    """What the tests of all requirements make of a copy without any mutation, but those that need a kernel and are collected only.

    Raises:
        RuntimeError: they cannot be run.
    """
    files = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if "requirement" in path.read_text()
    ]
    with TemporaryDirectory(prefix="userstack-ledger-") as name:
        shutil.copytree(ROOT / "userstack", Path(name) / "userstack")
        outcomes: dict[str, Outcome] = {}
        for number, (tests, options) in enumerate(
            (
                ([file for file in files if not file.startswith(_NEED_A_KERNEL)], ()),
                ([file for file in files if file.startswith(_NEED_A_KERNEL)], ("--collect-only",)),
            )
        ):
            told = Path(name) / f"{number}.json"
            verdict, detail = in_child(Path(name), tests, None, time_limit, ("-m", "requirement", f"--outcomes={told}", *options))
            found: Outcomes = json.loads(told.read_text()) if told.exists() else {}
            if not found:
                raise RuntimeError(f"{verdict}: {detail}")
            outcomes |= found
        return outcomes


@contextmanager
def _mutant(pristine: Path, mutation: Mutation, place: Path) -> Iterator[Path]:
    """A copy with the mutation, made of hard links but for the one file."""
    shutil.copytree(pristine, place, copy_function=os.link)
    file = place / "userstack" / mutation.file
    text = mutation.applied(file.read_text())
    file.unlink()
    file.write_text(text)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def in_child(
    package: Path, tests: Sequence[str], requirement: str | None, time_limit: float, options: Sequence[str] = ("-x",)
) -> tuple[str, str]:
    """Run the tests in a process of their own, in which ``userstack`` is the one in that directory."""
    if not tests:
        return SURVIVED, "no test"
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        os.close(reading)
        os.setpgid(0, 0)
        code = 1
        try:
            result = _run(package, [*options, *tests], requirement)
            os.write(writing, pickle.dumps(result))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    try:
        return _result_of(reading, time_limit)
    finally:
        os.close(reading)
        for end in (child, -child):  # and what its tests have started
            with suppress(ProcessLookupError):
                os.kill(end, signal.SIGKILL)
        os.waitpid(child, 0)


def _result_of(reading: int, time_limit: float) -> tuple[str, str]:
    deadline, octets = time.monotonic() + time_limit, b""
    while select.select([reading], [], [], max(deadline - time.monotonic(), 0))[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        octets += part
    else:
        return OVERDUE, f"not done after {time_limit:g} s"
    if not octets:
        return BROKEN, "the process died"
    verdict, detail = pickle.loads(octets)
    return str(verdict), str(detail)


def _run(package: Path, arguments: Sequence[str], requirement: str | None) -> tuple[str, str]:
    """In the child: pytest, quietly."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.chdir(ROOT)
    sys.dont_write_bytecode = True  # two mutants of one file may be of one second and of one size
    os.environ.update(PYTHONPATH=f"{package}{os.pathsep}{ROOT}", PYTHONDONTWRITEBYTECODE="1")
    sys.path[:0] = [str(package)]
    # From here on the whole package comes from the copy, wherever pytest puts the directory of the tests into the path.
    found = importlib.import_module("userstack").__file__
    if found != str(package / "userstack" / "__init__.py"):
        return BROKEN, f"userstack is {found}"
    witness = _Witness(requirement)
    code = pytest.main([*_OPTIONS, *arguments], plugins=[witness])
    return witness.verdict(int(code))


class _Witness:
    """Chooses the tests that carry the marker, and sees how the first one fails."""

    def __init__(self, requirement: str | None) -> None:
        self._requirement = requirement
        self._ran = 0
        self._failure: tuple[str, str] | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._requirement is not None:
            items[:] = [
                item for item in items if any(mark.args[0] == self._requirement for mark in item.iter_markers("requirement"))
            ]

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        self._ran += call.when == "call"
        if call.excinfo is None or self._failure is not None:
            return
        broken = call.when != "call" or isinstance(call.excinfo.value, _BROKEN)
        told = f"{item.nodeid}, {call.when}: {call.excinfo.exconly()}".split("\n")[0]
        self._failure = (BROKEN if broken else KILLED, told)

    def verdict(self, code: int) -> tuple[str, str]:
        """What pytest's exit code and the failure say."""
        if code == pytest.ExitCode.OK and self._ran:
            return SURVIVED, f"{self._ran} tests pass"
        if code == pytest.ExitCode.TESTS_FAILED and self._failure is not None:
            return self._failure
        return BROKEN, f"pytest ended with {code}, {self._ran} tests ran"
