"""The table of contenders, and the command lines that it gives."""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from userstack.bench import contenders
from userstack.bench.contender import Contender, Mode
from userstack.bench.contenders import choose, labelled, own_contenders
from userstack.bench.figures import Results
from userstack.bench.measures import MEASURES, Plan
from userstack.bench.ratios import RATIOS
from userstack.bench.run import run
from userstack.errors import SetupError


def nothing() -> Sequence[str]:
    return ("true",)


def missing() -> Sequence[str]:
    raise SetupError("cc is missing: apt-get install gcc")


TWO_MODES = Contender("a stack", (Mode.TUN, Mode.VETH), nothing)


def test_a_second_mode_has_a_label_of_its_own_and_only_what_a_device_can_change() -> None:
    found = labelled({"gvisor": TWO_MODES, "lwip": replace(TWO_MODES, modes=(Mode.VETH,))})
    assert {name: mode for name, (_, mode) in found.items()} == {
        "gvisor": Mode.TUN,
        "gvisor-veth": Mode.VETH,
        "lwip": Mode.VETH,
    }
    assert [contender.measures for contender, _ in found.values()] == [None, contenders.BASIC, None]


def test_measures_that_are_asked_for_exist() -> None:
    for contender, _ in labelled(own_contenders("asyncio")).values():
        assert set(contender.measures or ()) <= MEASURES.keys()


def test_ratios_of_our_own_name_contenders_that_there_are() -> None:
    ours = own_contenders("asyncio", Path(sys.executable)).keys()
    named = {side.contender for sides in RATIOS.values() for side in sides}
    assert named - ours == {"gvisor", "gvisor-veth", "lwip"}
    assert named >= ours - {"kernel"}


def test_a_compiled_userstack_is_told_from_one_that_is_not(tmp_path: Path) -> None:
    assert not contenders.is_compiled(Path(sys.executable))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho /lib/userstack/tcp/output.cpython-311-x86_64-linux-gnu.so\n")
    python.chmod(0o755)
    assert contenders.is_compiled(python)
    with pytest.raises(SetupError, match=r"python2 has no userstack: name the Python of an environment that it is installed in$"):
        contenders.is_compiled(tmp_path / "python2")


def test_only_those_that_are_named() -> None:
    assert list(choose(loop="asyncio", peers=False, only=["loop", "userstack"])) == ["userstack", "loop"]


def test_a_name_that_nobody_has_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SetupError, match=r"^there is no contender lwipp: there are userstack, userstack-plain, .*kernel"):
        choose(loop="asyncio", peers=False, only=["lwipp"])


def test_on_uvloop_it_is_not_measured_twice() -> None:
    assert "userstack-uvloop" not in choose(loop="uvloop", peers=False, only=[])
    assert own_contenders("asyncio")["userstack-uvloop"].description.endswith("on uvloop")


def test_without_uvloop_its_contender_says_how_it_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"^uvloop is missing: .*pip install 'userstack\[fast\]'$"):
        own_contenders("asyncio")["userstack-uvloop"].command()
    assert own_contenders("asyncio")["userstack"].command()[-2:] == ("--loop", "asyncio")


def test_where_nothing_can_be_run_the_reason_is_the_error() -> None:
    told: list[str] = []
    with pytest.raises(SetupError, match=r"^cc is missing: apt-get install gcc$"):
        run({"lwip": (replace(TWO_MODES, command=missing), Mode.TUN)}, Plan(0.1, 1), repeat=1, tell=told.append)
    assert told == []


def test_a_contender_that_ends_at_once_is_noted_and_the_run_goes_on() -> None:
    broken = replace(TWO_MODES, command=lambda: ("sh", "-c", "echo device >&2; echo it broke >&2; exit 3"))
    results: Results = run({"broken": (broken, Mode.TUN)}, Plan(0.1, 1), repeat=2, tell=lambda _: None)
    assert (results.values, results.notes) == ({}, ["broken: it broke"])
