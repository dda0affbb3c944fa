"""Processes of a contender: what they use, and that they end whole."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from userstack.bench.process import Group, MeasureFailed, started
from userstack.bench.undisturbed import undisturbed


@contextmanager
def shell(script: str) -> Iterator[Group]:
    with started(None, ["bash", "-c", script]) as group:
        yield group


def test_helpers_count_and_end_with_their_leader() -> None:
    with shell("sleep 60 & sleep 60 & echo ready; wait") as group:
        assert group.line(5) == "ready"
        assert len(list(group.processes())) == 3
        assert group.memory_kib() > 0
    assert not any((entry / "exe").exists() for entry in group.processes())  # a zombie has none


def test_whoever_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("userstack.bench.process.GRACE", 0.2)
    with shell("trap '' TERM; echo ready; while :; do sleep 0.05; done") as group:
        assert group.line(5) == "ready"
    assert not group.is_alive()


def test_cpu_time_of_the_whole_group() -> None:
    with shell("(while :; do :; done) & echo ready; wait") as group:
        group.line(5)
        deadline = time.monotonic() + 20
        while group.cpu_seconds() < 0.05 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert group.cpu_seconds() >= 0.05


def test_every_process_is_pinned() -> None:
    one = {max(os.sched_getaffinity(0))}
    with shell("sleep 60 & echo ready; wait") as group:
        group.line(5)
        group.pin(one)
        assert [os.sched_getaffinity(int(entry.name)) for entry in group.processes()] == [one, one]


def test_silence_and_death_are_told() -> None:
    with shell("sleep 60") as group, pytest.raises(MeasureFailed, match=r"^no word for"):
        group.line(0.05)
    with shell("echo first >&2; echo the reason >&2; exit 3") as group, pytest.raises(MeasureFailed, match=r"^the reason$"):
        group.line(5)
    with shell("exit 3") as group, pytest.raises(MeasureFailed, match=r"^ended with exit code 3$"):
        group.line(5)


def test_a_signal_waits_until_an_undisturbed_step_is_over() -> None:
    steps = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            steps.append("done")
        steps.append("never")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert steps == ["done"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
