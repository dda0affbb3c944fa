"""What ``userstack bench`` refuses, in one line and before anything is measured."""

import sys

import pytest

from userstack.bench import run as running
from userstack.cli.app import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "run", None)


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (1, ["--only", "lwipp"], "there is no contender lwipp: there are userstack, "),
        (1, ["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json: No such file or directory"),
        (1, ["--plot", "/proc/pictures"], "/proc/pictures: No such file or directory"),
        (2, ["--quick", "--peers"], "--quick measures no peers: leave out one of --quick and --peers"),
        (2, ["--repeat", "0"], "Invalid value for '--repeat': "),
        (2, ["--seconds", "0"], "Invalid value for '--seconds': "),
        (2, ["--loop", "curio"], "Invalid value for '--loop': "),
    ],
)
def test_wrong_usage(capsys: Capture, code: int, arguments: list[str], words: str) -> None:
    assert run(["bench", *arguments]) == code
    output, told = capsys.readouterr()
    assert output == ""
    assert told.startswith("userstack bench: ")
    assert words in told
    assert told.count("\n") == 1


def test_pictures_without_matplotlib(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run(["bench", "--plot", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told == "userstack bench: matplotlib is missing: install it with pip install 'userstack[plot]'\n"
