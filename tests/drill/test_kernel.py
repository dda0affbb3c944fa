"""What scripts expect is true of the Linux kernel too: the same runner, the same scripts, real sockets, a real clock."""

import pytest

from tests.drill.running import OPEN
from tests.drill.test_runner_calls import RIGHT
from tests.support.kernel_system import run_on_kernel
from tests.support.netns import nothing_left_behind
from userstack.drill.outcome import Verdict
from userstack.drill.parser import parse

pytestmark = pytest.mark.once


@pytest.mark.parametrize("call", RIGHT)
def test_the_kernel_returns_the_same(call: str) -> None:
    with nothing_left_behind():
        outcome = run_on_kernel(parse(f"{OPEN}+0 {call}\n"))
    assert outcome.verdict is Verdict.PASSED, outcome
