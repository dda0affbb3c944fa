"""The kernel's non-blocking sockets are the reference: the same script gives the same on userstack's, step by step."""

import pytest

from tests.sim.kernel_world import kernel_records
from tests.sim.scripts import CASES
from tests.sim.virtual_world import WORLDS
from tests.sim.world import FAMILIES, IPV6, port_of

pytestmark = pytest.mark.once

Record = list[tuple[str, str]]

REUSE = "socket(7): only a listener is in the way of SO_REUSEADDR. Linux asks that the socket that left the TIME-WAIT had it too"
LOOPBACK = "a host of userstack has no loopback addresses: the unspecified address stands for one of its own, as it does in IPv4"
UNSPECIFIED = "connect_to_the_unspecified_address-ipv6"
THIS_HOST = f"{IPV6.here} {port_of(list(CASES).index(UNSPECIFIED)) + 3} flow 0 scope 0"
DIFFERENCES: dict[tuple[str, str], tuple[str, str]] = {
    **{
        (f"bind_port_in_time_wait_of_one_without_reuse-{family}", "4. bind with SO_REUSEADDR"): ("None", REUSE)
        for family in FAMILIES
    },
    (UNSPECIFIED, "4. connected: getpeername"): (THIS_HOST, LOOPBACK),
    (UNSPECIFIED, "5. accepted: getsockname"): (THIS_HOST, LOOPBACK),
}
"""(script, step) -> (what userstack gives instead, why). The kernel must really differ, so that no entry outlives its reason."""


@pytest.fixture(scope="module")
def kernel() -> dict[str, Record]:
    return kernel_records()


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", CASES)
def test_userstack_gives_what_the_kernel_gives(name: str, world: str, kernel: dict[str, Record]) -> None:
    case = CASES[name]
    ours = WORLDS[world](port_of(list(CASES).index(name)), case.names)
    case.run(ours)
    ours.finish()

    assert ours.record == [
        (label, DIFFERENCES[name, label][0] if (name, label) in DIFFERENCES else result) for label, result in kernel[name]
    ]


@pytest.mark.parametrize(("name", "step"), DIFFERENCES)
def test_every_named_difference_is_one(name: str, step: str, kernel: dict[str, Record]) -> None:
    assert DIFFERENCES[name, step][0] not in [result for label, result in kernel[name] if label == step]
