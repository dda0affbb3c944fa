"""The timer wheel against a sorted list, at the edges of its slots, and by what it costs."""

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.support.examples import examples
from userstack.errors import InvalidArgument
from userstack.net import wheel as wheel_module
from userstack.net.wheel import Timer, TimerWheel

SECOND = 1_000_000_000
YEAR = 365 * 24 * 3600 * SECOND

delays = st.one_of(
    st.integers(-300, 300),
    st.integers(0, 10 * SECOND),
    st.builds(lambda level, slot, off: (slot << 8 * level) + off, st.integers(0, 6), st.integers(0, 127), st.integers(-2, 2)),
)


class AgainstSortedList(RuleBasedStateMachine):
    """Whatever is armed, moved and cancelled: the wheel fires what a sorted list would, and names the same deadline."""

    @initialize(start=st.integers(0, 2**60))
    def begin(self, start: int) -> None:
        self.now = start
        self.wheel = TimerWheel(start)
        self.timers = [Timer(n) for n in range(120)]
        self.model: dict[Timer, tuple[int, int]] = {}
        self.order = itertools.count()

    def arm_one(self, timer: Timer, deadline: int) -> None:
        self.wheel.arm(timer, deadline)
        self.model[timer] = (deadline, next(self.order))

    def cancel_one(self, timer: Timer) -> None:
        self.wheel.cancel(timer)
        self.model.pop(timer, None)
        assert timer.deadline is None

    @rule(n=st.integers(0, 119), delay=delays)
    def arm(self, n: int, delay: int) -> None:
        self.arm_one(self.timers[n], self.now + delay)

    @rule(first=st.integers(0, 119), count=st.integers(2, 100), delay=delays, apart=st.sampled_from([0, 1, 100, 70_000, SECOND]))
    def arm_many(self, first: int, count: int, delay: int, apart: int) -> None:
        for i in range(count):
            self.arm_one(self.timers[(first + i) % 120], self.now + delay + i * apart)

    @rule(n=st.integers(0, 119))
    def cancel(self, n: int) -> None:
        self.cancel_one(self.timers[n])

    @precondition(lambda self: self.model)
    @rule(count=st.integers(1, 50))
    def cancel_earliest(self, count: int) -> None:
        for timer in sorted(self.model, key=self.model.__getitem__)[:count]:
            self.cancel_one(timer)
            self.look()

    @rule(delay=delays)
    def advance(self, delay: int) -> None:
        self.go(self.now + delay)

    @precondition(lambda self: self.model)
    @rule(short=st.integers(-1, 1))
    def advance_to_earliest(self, short: int) -> None:
        self.go(min(self.model.values())[0] + short)

    @rule()
    def look(self) -> None:
        assert self.wheel.next_deadline() == min((deadline for deadline, _ in self.model.values()), default=None)

    def go(self, now: int) -> None:
        self.now = max(self.now, now)
        due = sorted((timer for timer in self.model if self.model[timer][0] <= self.now), key=self.model.__getitem__)
        for timer in due:
            del self.model[timer]
        assert [timer.owner for timer in self.wheel.advance(now)] == [timer.owner for timer in due]
        assert all(timer.deadline is None for timer in due)
        assert len(self.wheel) == len(self.model)

    def teardown(self) -> None:
        if hasattr(self, "wheel"):
            self.go(self.now + 2**62)
            assert not self.model


TestAgainstSortedList = AgainstSortedList.TestCase
TestAgainstSortedList.settings = settings(
    max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def armed(wheel: TimerWheel, *deadlines: int) -> list[Timer]:
    timers = [Timer(deadline) for deadline in deadlines]
    for timer, deadline in zip(timers, deadlines, strict=True):
        wheel.arm(timer, deadline)
    return timers


def owners(timers: list[Timer]) -> list[Any]:
    return [timer.owner for timer in timers]


EDGES = sorted(
    {start + offset for level in range(8) for start in (1 << 8 * level, 255 << 8 * level) for offset in (-1, 0, 1)} - {0}
)


@pytest.mark.parametrize("deadline", EDGES)
@pytest.mark.parametrize("start", [0, 254, 255, 256, (1 << 24) - 1, (1 << 32) + 1])
def test_a_timer_fires_on_its_nanosecond_at_every_edge_of_a_slot(start: int, deadline: int) -> None:
    wheel = TimerWheel(start)
    (timer,) = armed(wheel, start + deadline)
    assert wheel.next_deadline() == start + deadline
    assert wheel.advance(start + deadline - 1) == []
    assert wheel.advance(start + deadline) == [timer]
    assert timer.deadline is None
    assert wheel.next_deadline() is None
    assert len(wheel) == 0


@pytest.mark.parametrize("level", range(8))
def test_timers_of_one_slot_come_down_and_fire_one_by_one(level: int) -> None:
    wheel = TimerWheel(0)
    start = 3 << 8 * level
    deadlines = [start + i * (1 << max(0, 8 * level - 7)) for i in range(100)]
    timers = armed(wheel, *reversed(deadlines))
    for deadline, timer in zip(deadlines, reversed(timers), strict=True):
        assert wheel.next_deadline() == deadline
        assert wheel.advance(deadline - 1) == []
        assert wheel.advance(deadline) == [timer]
    assert len(wheel) == 0


def test_what_is_due_together_comes_by_deadline_and_then_in_arming_order() -> None:
    wheel = TimerWheel(1000)
    first, late, second, early, past = armed(wheel, 70_000, 90_000, 70_000, 1001, 5)
    third = Timer("armed again")
    wheel.arm(third, 2000)
    wheel.advance(1000)
    wheel.arm(past, 5)
    wheel.arm(third, 70_000)
    assert wheel.advance(100_000) == [past, early, first, second, third, late]


def test_arming_order_holds_between_a_timer_that_came_down_and_one_that_was_armed_below() -> None:
    wheel = TimerWheel(0)
    deadline = 5 << 24
    (high,) = armed(wheel, deadline)
    wheel.arm(Timer(None), deadline - 70_000)
    assert len(wheel.advance(deadline - 70_000)) == 1
    (low,) = armed(wheel, deadline)
    assert wheel.advance(deadline) == [high, low]


def test_a_deadline_in_the_past_fires_at_the_next_advance_even_to_the_same_time() -> None:
    wheel = TimerWheel(500)
    (timer,) = armed(wheel, 20)
    assert wheel.next_deadline() == 20
    assert wheel.advance(500) == [timer]
    armed(wheel, 499)
    assert owners(wheel.advance(0)) == [499]


def test_the_clock_does_not_run_backwards() -> None:
    wheel = TimerWheel(0)
    wheel.advance(1000)
    (timer,) = armed(wheel, 1500)
    assert wheel.advance(10) == []
    assert wheel.advance(1500) == [timer]
    (late,) = armed(wheel, 1400)
    assert wheel.advance(3) == [late]


def test_arming_an_armed_timer_moves_it() -> None:
    wheel = TimerWheel(0)
    (timer,) = armed(wheel, 10)
    wheel.arm(timer, 5 * SECOND)
    assert len(wheel) == 1
    assert wheel.advance(4 * SECOND) == []
    wheel.arm(timer, 4 * SECOND + 1)
    assert wheel.next_deadline() == 4 * SECOND + 1
    assert wheel.advance(4 * SECOND + 1) == [timer]


def test_a_timer_may_be_armed_again_as_it_fires() -> None:
    wheel = TimerWheel(0)
    (timer,) = armed(wheel, SECOND)
    for i in range(1, 100):
        assert wheel.advance(i * SECOND) == [timer]
        wheel.arm(timer, (i + 1) * SECOND)
    assert wheel.next_deadline() == 100 * SECOND


def test_cancelling_is_idempotent() -> None:
    wheel = TimerWheel(0)
    timer, other = armed(wheel, 10, 20)
    wheel.cancel(timer)
    wheel.cancel(timer)
    wheel.cancel(Timer(None))
    assert len(wheel) == 1
    assert wheel.advance(30) == [other]
    wheel.cancel(other)
    assert len(wheel) == 0


@pytest.mark.parametrize("step", [1, 1000, SECOND // 300, YEAR])
def test_mass_cancel_leaves_those_that_were_not_cancelled(step: int) -> None:
    wheel = TimerWheel(7)
    timers = armed(wheel, *(7 + i * step for i in range(1, 301)))
    assert wheel.next_deadline() == 7 + step
    for timer in timers:
        if timer.owner != 7 + 200 * step:
            wheel.cancel(timer)
    assert len(wheel) == 1
    assert wheel.next_deadline() == 7 + 200 * step
    assert owners(wheel.advance(7 + 300 * step)) == [7 + 200 * step]


def test_a_slot_that_was_opened_for_a_look_and_then_entered_empties_like_any_other() -> None:
    wheel = TimerWheel(0)
    timers = armed(wheel, *(SECOND + n * 100_000 for n in range(60)))
    assert wheel.next_deadline() == SECOND
    assert wheel.advance(SECOND) == timers[:1]
    for timer in timers:
        wheel.cancel(timer)
    assert wheel.next_deadline() is None
    armed(wheel, 2 * SECOND)
    assert wheel.next_deadline() == 2 * SECOND
    assert owners(wheel.advance(YEAR)) == [2 * SECOND]


def test_a_crowded_slot_that_is_opened_only_when_its_time_has_passed_fires_whole() -> None:
    wheel = TimerWheel(0)
    timers = armed(wheel, *[256] * 60)
    wheel.cancel(timers[0])
    assert wheel.advance(YEAR) == timers[1:]
    assert len(wheel) == 0
    assert wheel.next_deadline() is None


def test_a_jump_of_a_century_fires_everything_in_order() -> None:
    wheel = TimerWheel(0)
    deadlines = [n**9 % (100 * YEAR) for n in range(2000)]
    armed(wheel, *deadlines)
    assert owners(wheel.advance(100 * YEAR)) == sorted(deadlines)


def test_years_pass_deadline_by_deadline() -> None:
    wheel = TimerWheel(12345)
    armed(wheel, *(12345 + n * YEAR for n in range(1, 200)))
    for n in range(1, 200):
        now = wheel.next_deadline()
        assert now == 12345 + n * YEAR
        assert owners(wheel.advance(now)) == [now]


def test_a_deadline_beyond_the_reach_of_the_wheel_is_refused_and_changes_nothing() -> None:
    wheel = TimerWheel(0)
    (timer,) = armed(wheel, 50)
    with pytest.raises(InvalidArgument, match=r"too far from now \(0\)"):
        wheel.arm(timer, 1 << 64)
    assert timer.deadline == 50
    wheel.arm(timer, (1 << 64) - 1)
    assert wheel.next_deadline() == (1 << 64) - 1


def test_a_start_below_zero_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="cannot start before 0"):
        TimerWheel(-1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, SECOND)), max_size=60), st.integers(0, 2**50))
def test_how_the_time_is_cut_changes_nothing(plan: list[tuple[int, int]], start: int) -> None:
    """In one jump, or in many steps: the same timers in the same order."""
    at_once, in_steps = TimerWheel(start), TimerWheel(start)
    armed(at_once, *(start + delay for delay, _ in plan))
    armed(in_steps, *(start + delay for delay, _ in plan))
    fired = []
    now = start
    for _, step in plan:
        now += step
        fired += owners(in_steps.advance(now))
    fired += owners(in_steps.advance(now + 3 * SECOND))
    assert fired == owners(at_once.advance(now + 3 * SECOND))


# --- what it costs: lines of the wheel's own code that run, which no machine's speed changes ---


def lines_of(call: Callable[..., object], *arguments: object) -> int:
    """How many lines of the wheel run in a call."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != wheel_module.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(*arguments)
    finally:
        sys.settrace(before)
    return count


def crowd(size: int) -> TimerWheel:
    wheel = TimerWheel(0)
    armed(wheel, *(SECOND + n * 7919 * 1000 % (60 * SECOND) for n in range(size)))
    return wheel


@pytest.mark.parametrize("size", [0, 10, 1000, pytest.param(100_000, marks=pytest.mark.once)])
def test_arming_and_cancelling_cost_the_same_in_any_crowd(size: int) -> None:
    wheel = crowd(size)
    timer = Timer(None)
    for deadline in (1, 40_000_000, SECOND, 60 * SECOND, YEAR):
        assert lines_of(wheel.arm, timer, deadline) < 50
        assert lines_of(wheel.arm, timer, deadline + SECOND) < 50
        assert lines_of(wheel.cancel, timer) < 25


@pytest.mark.parametrize("distance", [1, SECOND, YEAR, 500 * YEAR])
def test_an_empty_stretch_costs_nothing_however_long_it_is(distance: int) -> None:
    wheel = TimerWheel(12345)
    armed(wheel, 12345 + distance)
    assert lines_of(wheel.advance, 12345 + distance - 1) < 30
    assert lines_of(wheel.next_deadline) < 30
    assert lines_of(wheel.advance, 12345 + distance) < 150


@pytest.mark.once
def test_looking_again_costs_nothing() -> None:
    wheel = crowd(100_000)
    wheel.next_deadline()
    assert lines_of(wheel.next_deadline) < 10
    assert lines_of(wheel.advance, SECOND - 1) < 10


CROWD = pytest.param(20_000, marks=pytest.mark.once)  # tracing so many takes seconds


def fire_one_by_one(wheel: TimerWheel) -> None:
    while (deadline := wheel.next_deadline()) is not None:
        wheel.advance(deadline)


def cancel_one_by_one(wheel: TimerWheel, timers: list[Timer]) -> None:
    for timer in timers:
        wheel.cancel(timer)
        wheel.next_deadline()


@pytest.mark.parametrize("size", [300, 3000, CROWD])
def test_firing_costs_the_same_for_each_in_any_crowd(size: int) -> None:
    assert lines_of(fire_one_by_one, crowd(size)) / size < 250


@pytest.mark.parametrize("spread", [0, 1, 1000, 60 * SECOND // 20_000])
@pytest.mark.parametrize("size", [300, CROWD])
def test_cancelling_the_earliest_over_and_over_costs_the_same_for_each(size: int, spread: int) -> None:
    """A slot with all timers in it, of which the earliest goes and the next earliest is asked for: not a search each time."""
    wheel = TimerWheel(0)
    timers = armed(wheel, *(1000 * SECOND + n * spread for n in range(size)))
    assert lines_of(cancel_one_by_one, wheel, timers) / size < 250


# --- the benchmark ---


def test_the_benchmark_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "bench-timers"
    report = tmp_path / "figures.json"
    command = [sys.executable, str(script), "--timers", "300", "--repetitions", "2", "--json", str(report)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith("300 timers armed at once")
    assert "bytes per timer" in run.stdout
    figures = json.loads(report.read_text())
    assert figures["timers"] == 300
    for rival in ("userstack TimerWheel", "asyncio call_later"):
        assert figures["nanoseconds"][rival]["fire"]["median"] > 0
        assert figures["bytes_per_timer"][rival] > 50
