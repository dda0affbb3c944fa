"""What a review of packetio found: each test states what may be expected and is not so."""

import pytest

from tests.packetio.test_veth import both_ends, probe
from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.inside import write_sysctl
from userstack.host.links import list_devices
from userstack.packetio.impairment import Impairment
from userstack.packetio.veth import VethDevice, VethPair

__all__ = ["both_ends"]

FLOOD = 3000


def test_pair_whose_name_the_kernel_completes_leaves_nothing() -> None:
    """With ``%d`` the kernel picks the name: the device is looked for under the pattern, not found, and never removed."""
    with nothing_left_behind(), kernel_namespace() as kernel:
        before = list_devices(namespace=kernel.name)
        with pytest.raises(SetupError, match="%"):
            VethPair(f"{DEVICE_PREFIX}%d", f"{DEVICE_PREFIX}x", namespace=kernel.name)
        assert list_devices(namespace=kernel.name) == before


def test_flood_of_frames_for_others_does_not_keep_read_from_returning(
    both_ends: tuple[KernelNamespace, VethPair, VethDevice],
) -> None:
    """The law is that ``read`` never blocks: one that passes over frames for as long as they come starves the loop."""
    kernel, device, other = both_ends
    write_sysctl("net.ipv6.conf.all.disable_ipv6", "1", namespace=kernel.name)  # or it sends frames of its own
    while device.read() is not None:
        pass
    before = device.counters["rx_dropped"]
    frame = bytes(probe(device, b"for others", dst="01:00:5e:00:00:05"))
    for _ in range(FLOOD):
        other.write(frame)
    assert device.read() is None
    assert device.counters["rx_dropped"] - before < FLOOD


@pytest.mark.parametrize("burst", [float("nan"), float("inf")])
def test_burst_that_is_no_number_is_refused(burst: float) -> None:
    """Other fields refuse NaN."""
    with pytest.raises(OSError, match="burst"):
        Impairment(loss=0.1, burst=burst)


@pytest.mark.parametrize("name", ["delay", "reorder_delay", "jitter"])
def test_time_that_is_no_int_is_refused(name: str) -> None:
    """Times are whole nanoseconds: 0.5 meant as seconds passes in silence, and a jitter of 0.5 fails only when packets flow."""
    fields = {"delay": 10, name: 0.5}
    with pytest.raises((OSError, TypeError), match=name):
        Impairment(**fields)  # type: ignore[arg-type]
