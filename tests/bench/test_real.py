"""A real run, as short as can be: every measure gives something, and nothing is left behind."""

import json
import os
import signal

import pytest

from tests.cli.running import running
from userstack.bench.contenders import BASIC, LOOP, choose
from userstack.bench.machine import describe
from userstack.bench.measures import MEASURES, Plan
from userstack.bench.ratios import ratios
from userstack.bench.report import to_json
from userstack.bench.run import run
from userstack.host.netns import list_namespaces

PLAN = Plan(0.02, idle=32, growth=(1, 10), syns=320)
FIGURES_OF = {
    "round_trip": {"round_trip", "round_trip_p99"},
    "round_trip_one_cpu": {"round_trip_one_cpu", "round_trip_one_cpu_p99"},
    "bulk_in": {"bulk_in", "cpu_in"},
    "bulk_out": {"bulk_out", "cpu_out"},
    "bulk_both": {"bulk_both", "cpu_both"},
    "connections": {"connections"},
    "connections_64": {"connections_64"},
    "idle": {"kib_per_idle_connection"},
    "growth": {"bulk_1", "bulk_10"},
    "flood": {"usual_connect", "flood_connect", "flood_connect_p99", "flood_rate", "flood_memory"},
}
MAY_BE_NOTHING = {"cpu_in", "cpu_out", "cpu_both", "kib_per_idle_connection", "flood_memory"}
"""Counted in ticks of 10 ms and in whole pages: too coarse for so short a run."""


def of(*measures: str) -> set[str]:
    return {figure for measure in measures for figure in FIGURES_OF[measure]}


@pytest.mark.once
def test_a_run_has_every_figure() -> None:
    chosen = choose(loop="asyncio", peers=False, only=["userstack", "userstack-veth", "loop", "loop-plain", "kernel"])
    told: list[str] = []
    results = run(chosen, PLAN, repeat=1, tell=told.append)
    assert results.notes == []
    assert len(told) == len(chosen)
    report = json.loads(to_json(results.summaries(), ratios(results, []), describe()))
    assert report.keys() == {"figures", "ratios", "machine"}
    assert {name: set(row) for name, row in report["figures"].items()} == {
        "userstack": of(*MEASURES),
        "userstack-veth": of(*BASIC),
        "loop": of(*LOOP),
        "loop-plain": of("bulk_in", "bulk_out"),
        "kernel": of(*MEASURES) - {"kib_per_idle_connection", "flood_memory"},
    }
    for row in report["figures"].values():
        for name, figure in row.items():
            assert figure["median"] > 0 or name in MAY_BE_NOTHING, name
            assert figure.keys() == {"median", "low", "high", "unit", "values"}
    assert report["ratios"].keys() >= {"bulk_in_vs_loop", "bulk_out_vs_loop", "connections_vs_loop"}
    assert report["machine"]["processors"] == len(os.sched_getaffinity(0))
    assert left_by(os.getpid()) == []


@pytest.mark.once
def test_ctrl_c_leaves_nothing_behind() -> None:
    with running("bench", "--quick", "--seconds", "5", "--only", "loop-plain", "--only", "kernel") as command:
        while not left_by(command.process.pid):
            assert command.process.poll() is None
        command.process.send_signal(signal.SIGINT)
        assert command.process.wait(30) == 130
        assert command.stderr.read() == b""
    assert left_by(command.process.pid) == []


def left_by(process: int) -> list[str]:
    """Namespaces of a run. A process that was left in one, or its device, would keep nothing else alive."""
    return [name for name in list_namespaces() if name.startswith(f"usbench-{process}-")]
