import os
import select
import socket

import pytest
from scapy.layers.inet import IP, UDP

from tests.support.confined import without_capabilities, without_tun
from tests.support.netns import DEVICE_PREFIX, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.addresses import add_addresses
from userstack.host.links import create_veth, list_devices, read_link, set_link
from userstack.host.privileges import Capability, effective_capabilities, require_capability
from userstack.host.tuntap import MAX_QUEUES, open_queues, open_tuntap

NAME = f"{DEVICE_PREFIX}x"


@pytest.mark.parametrize(("level", "mac_length"), [(3, 0), (2, 6)])
def test_device_lives_as_long_as_its_descriptor(level: int, mac_length: int) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        descriptor, name = open_tuntap(NAME, level=level, namespace=kernel.name)
        try:
            assert name == NAME
            link = read_link(NAME, namespace=kernel.name)
            assert (link.kind, len(link.mac or b""), link.up) == ("tun", mac_length, False)
            assert not os.get_blocking(descriptor)
            assert not os.get_inheritable(descriptor)
        finally:
            os.close(descriptor)
        assert list_devices(namespace=kernel.name) == ["lo"]


def test_device_with_queues_lives_until_the_last_is_closed() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        descriptors, name = open_queues(NAME, 3, level=3, namespace=kernel.name, offload=True)
        assert len(set(descriptors)) == 3
        for descriptor in descriptors:
            assert list_devices(namespace=kernel.name) == ["lo", name]
            assert not os.get_blocking(descriptor)
            os.close(descriptor)
        assert list_devices(namespace=kernel.name) == ["lo"]


def test_more_queues_than_there_can_be_leave_nothing() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        with pytest.raises(SetupError, match="cannot make the device"):
            open_queues(NAME, MAX_QUEUES + 1, level=3, namespace=kernel.name)
        assert list_devices(namespace=kernel.name) == ["lo"]


@pytest.mark.once
def test_kernel_gives_a_flow_to_the_queue_that_last_wrote_of_it() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        queues, name = open_queues(NAME, 2, level=3, namespace=kernel.name)
        set_link(name, namespace=kernel.name, up=True)
        add_addresses(name, ["10.77.0.1/24"], namespace=kernel.name)
        came = set()
        for _ in range(16):
            with kernel.socket(kind=socket.SOCK_DGRAM) as sock:
                sock.connect(("10.77.0.2", 9))
                sock.send(b"there")
                first = queue_of(queues, b"there")
                came.add(first)
                back = IP(src="10.77.0.2", dst="10.77.0.1") / UDP(sport=9, dport=sock.getsockname()[1]) / b"back"
                os.write(queues[1 - first], bytes(back))
                sock.send(b"again")
                assert queue_of(queues, b"again") == 1 - first
        assert came == {0, 1}, "flows of which nothing was written are shared out by their hash"
        for queue in queues:
            os.close(queue)


def queue_of(queues: list[int], text: bytes) -> int:
    """In which queue the packet with ``text`` is."""
    while True:
        ready, _, _ = select.select(queues, [], [], 10)
        assert ready, "the packet did not come"
        for queue in ready:
            if os.read(queue, 2000).endswith(text):
                return queues.index(queue)


def test_kernel_numbers_a_name() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        made = [open_tuntap("us%d", level=3, namespace=kernel.name) for _ in range(2)]
        for descriptor, _ in made:
            os.close(descriptor)
        assert [name for _, name in made] == ["us0", "us1"]


@pytest.mark.parametrize("level", [2, 3])
def test_name_that_is_taken_is_refused_with_the_mend(level: int) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        tun = kernel.tun()
        create_veth("va", "vb", namespace=kernel.name)
        for name in (tun.name, "va"):
            with pytest.raises(SetupError, match=f"choose another name or remove it with: ip link del {name}"):
                open_tuntap(name, level=level, namespace=kernel.name)
        assert kernel.run(["ip", "link", "show", "va"]).returncode == 0


def test_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(SetupError, match="too long"):
        open_tuntap("a" * 16, level=3)


def test_missing_device_node_is_named_with_the_mend() -> None:
    with (
        nothing_left_behind(),
        pytest.raises(SetupError, match=r"cannot open /dev/net/tun: .*mknod /dev/net/tun c 10 200.*--device"),
    ):
        without_tun(lambda: open_tuntap(NAME, level=3))


def test_missing_privilege_is_named_with_the_mend() -> None:
    with nothing_left_behind(), pytest.raises(SetupError, match=f"cannot make the device {NAME}: .*sudo.*setcap.*cap_add"):
        without_capabilities(lambda: open_tuntap(NAME, level=3))


def test_capabilities_are_the_callers() -> None:
    assert effective_capabilities() == set(Capability)
    assert without_capabilities(effective_capabilities) == set()
    require_capability(Capability.NET_RAW, "open a packet socket")
    with pytest.raises(SetupError, match=r"cannot open a packet socket: the capability NET_RAW is missing; .*sudo"):
        without_capabilities(lambda: require_capability(Capability.NET_RAW, "open a packet socket"))
