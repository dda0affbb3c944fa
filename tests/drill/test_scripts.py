"""The scripts beside this file: those in ``pass`` hold, those in ``fail`` do not, those in ``skip`` cannot be run.

Each script in ``fail`` is one of ``pass`` with one change, and names in its first line what must be complained about; those in
``skip`` name the reason. What the scripts in ``pass`` expect is held against the Linux kernel too.
"""

import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.support.kernel_system import run_on_kernel
from tests.support.netns import nothing_left_behind
from userstack.drill import shell
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.parser import load
from userstack.drill.script import Command
from userstack.drill.settings import Variant
from userstack.drill.suite import Case, Manner, run_case

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent
OF_IPV4 = ("AF_INET", "SOL_IP", "icmp ", "--ip_version", "--mtu", "--local_ip")
"""What is in a script that speaks of one IP version."""
OF_FREEBSD = "net.inet."
OF_THE_MACHINE = "tcp_max_orphans"
"""A setting that no network namespace has of its own: not held against the kernel."""
OF_THE_RFC = "// Not held against Linux: "
"""The script's second line where it takes too long for a real clock, or Linux does otherwise; what follows is which."""
TRIES = 3
"""The kernel's clock is real, and the machine may be busy; what is not true fails every time."""


def scripts(directory: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / directory).rglob("*.pkt"))


def pins(name: str) -> ParameterSet:
    """A script of pass/requirements is a test of the requirement that its name begins with: must-30-urgent.pkt of MUST-30."""
    path = Path(name)
    of = "-".join(path.stem.split("-")[:2]).upper()
    return pytest.param(name, marks=[pytest.mark.requirement(of)] if path.parent.name == "requirements" else [])


PASS, FAIL, SKIP = scripts("pass"), scripts("fail"), scripts("skip")
OF_ANY_VERSION = [name for name in PASS if not any(word in (ROOT / name).read_text() for word in OF_IPV4)]
OF_LINUX = [
    name for name in PASS if not any(word in (ROOT / name).read_text() for word in (OF_FREEBSD, OF_THE_MACHINE, OF_THE_RFC))
]


def run(name: str, variant: Variant | None = None) -> Outcome:
    return run_case(Case(ROOT / name, variant), Manner()).outcome


def expected(name: str) -> str:
    """What the first line says."""
    first = (ROOT / name).read_text().partition("\n")[0]
    assert first.startswith("// expect: ")
    return first.removeprefix("// expect: ")


@pytest.mark.parametrize("name", [pins(name) for name in PASS])
def test_what_is_right_passes(name: str) -> None:
    outcome = run(name)
    assert outcome.verdict is Verdict.PASSED, outcome


@pytest.mark.parametrize("variant", [Variant.IPV6, Variant.MAPPED], ids=["ipv6", "mapped"])
@pytest.mark.parametrize("name", [pins(name) for name in OF_ANY_VERSION])
def test_what_is_right_passes_over_the_other_ip_versions(name: str, variant: Variant) -> None:
    outcome = run(name, variant)
    assert outcome.verdict is Verdict.PASSED, outcome


@pytest.mark.parametrize("name", FAIL)
def test_what_is_wrong_fails_for_its_own_reason(name: str) -> None:
    outcome = run(name)
    assert outcome.verdict is Verdict.FAILED, outcome
    assert expected(name) in outcome.message


@pytest.mark.parametrize("name", SKIP)
def test_what_cannot_be_honoured_is_skipped_with_the_reason(name: str) -> None:
    outcome = run(name)
    assert (outcome.verdict, outcome.message) == (Verdict.SKIPPED, expected(name))


@pytest.mark.parametrize("name", FAIL)
def test_what_is_wrong_differs_in_one_thing_from_what_is_right(name: str) -> None:
    lines = (ROOT / name).read_text().split("\n")
    sibling = re.fullmatch(r"// As (pass/.*\.pkt), with one change\.", lines[1])
    assert sibling is not None
    right, wrong = steps((ROOT / sibling[1]).read_text().split("\n")), steps(lines)
    assert 0 < changed(right, wrong) <= 2


def steps(lines: list[str]) -> list[str]:
    """The lines but the comments that begin a script."""
    return lines[sum(1 for _ in takewhile(lambda line: line.startswith("//"), lines)) :]


def changed(before: list[str], after: list[str]) -> int:
    """How many lines there are between the ones at the beginning and at the end that are the same."""
    first = same(before, after)
    last = same(before[first:][::-1], after[first:][::-1])
    return max(len(before), len(after)) - first - last


def same(before: list[str], after: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))


def test_there_is_a_wrong_script_for_every_right_one() -> None:
    siblings = {(ROOT / name).read_text().split("\n")[1] for name in FAIL}
    assert [name for name in PASS if f"// As {name}, with one change." not in siblings] == []


@pytest.mark.once
@pytest.mark.parametrize("name", OF_LINUX)
def test_what_is_right_is_true_of_linux(name: str) -> None:
    script = load(ROOT / name)
    leading = [event.action for event in takewhile(lambda event: isinstance(event.action, Command), script.events)]
    commands = [command for command in [*script.initial, *leading] if isinstance(command, Command)]
    settings = [setting for command in commands for setting in shell.read_settings(command.text, ROOT)]
    script = replace(script, events=script.events[len(leading) :])
    with nothing_left_behind():
        outcomes = (run_on_kernel(script, settings, Hooks()) for _ in range(TRIES))
        outcome = next((one for one in outcomes if one.verdict is Verdict.PASSED), None)
    assert outcome is not None, run_on_kernel(script, settings, Hooks())


class Hooks(CodeBlocks):
    """Code blocks, and no commands: those within the scripts come before the first event."""

    def command(self, text: str) -> None:
        raise AssertionError(text)
