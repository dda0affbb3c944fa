"""The kernel's non-blocking sockets are the reference: the same script gives the same on userstack's, step by step."""

import pytest

from tests.sim.kernel_world import kernel_records
from tests.sim.scripts import SCRIPTS
from tests.sim.virtual_world import WORLDS
from tests.sim.world import port_of

Record = list[tuple[str, str]]

DIFFERENCES: dict[tuple[str, str], tuple[str, str]] = {
    ("bind_port_in_time_wait_of_one_without_reuse", "4. bind with SO_REUSEADDR"): (
        "None",
        "socket(7): only a listener is in the way of SO_REUSEADDR. Linux asks that the socket that left the TIME-WAIT had it too",
    ),
}
"""(script, step) -> (what userstack gives instead, why). The kernel must really differ, so that no entry outlives its reason."""


@pytest.fixture(scope="module")
def kernel() -> dict[str, Record]:
    return kernel_records()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_userstack_gives_what_the_kernel_gives(name: str, world: str, kernel: dict[str, Record]) -> None:
    ours = WORLDS[world](port_of(list(SCRIPTS).index(name)))
    SCRIPTS[name](ours)
    ours.finish()

    assert ours.record == [
        (label, DIFFERENCES[name, label][0] if (name, label) in DIFFERENCES else result) for label, result in kernel[name]
    ]


@pytest.mark.parametrize(("name", "step"), DIFFERENCES)
def test_every_named_difference_is_one(name: str, step: str, kernel: dict[str, Record]) -> None:
    assert DIFFERENCES[name, step][0] not in [result for label, result in kernel[name] if label == step]
