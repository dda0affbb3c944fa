import pytest

from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.addresses import (
    TakenAddresses,
    add_address,
    add_route,
    addresses_taken,
    default_gateway,
    give_back,
    list_addresses,
    parse_interface,
    remove_address,
    take_addresses,
)
from userstack.host.links import create_veth, remove_link, set_link
from userstack.host.quiet import allow_forwarding

OURS, THEIRS = f"{DEVICE_PREFIX}o", f"{DEVICE_PREFIX}t"


def addresses_of(device: str, kernel: KernelNamespace) -> list[str]:
    return [entry.address for entry in list_addresses(namespace=kernel.name) if entry.device == device and "." in entry.address]


def container_like(kernel: KernelNamespace) -> None:
    """A device as a container engine leaves it: addresses with a broadcast address, a default route, and forwarding on."""
    create_veth(OURS, THEIRS, namespace=kernel.name)
    for device in (OURS, THEIRS):
        set_link(device, namespace=kernel.name, up=True)
    kernel.run(["ip", "address", "add", "10.78.0.2/24", "brd", "10.78.0.255", "dev", OURS])
    add_address(OURS, "10.78.0.3/24", namespace=kernel.name)
    add_route("10.79.0.0/16", device=OURS, namespace=kernel.name)
    add_route("default", device=OURS, gateway="10.79.0.1", namespace=kernel.name)
    kernel.run(["ip", "route", "add", "10.80.0.0/16", "via", "10.78.0.1", "src", "10.78.0.3", "metric", "7"])
    allow_forwarding(OURS, namespace=kernel.name)


def state_of(kernel: KernelNamespace) -> tuple[bytes, bytes]:
    routes = kernel.run(["ip", "-4", "route", "show", "table", "all"]).stdout
    return kernel.run(["ip", "-4", "address", "show", "dev", OURS]).stdout, b"\n".join(sorted(routes.splitlines()))


def test_address_comes_and_goes() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun(None)
        add_address(device.name, "10.77.0.1/24", namespace=kernel.name)
        add_address(device.name, "fd77::1/64", namespace=kernel.name)
        assert addresses_of(device.name, kernel) == ["10.77.0.1/24"]
        assert "fd77::1/64" in [entry.address for entry in list_addresses(namespace=kernel.name)]
        remove_address(device.name, "10.77.0.1/24", namespace=kernel.name)
        remove_address(device.name, "10.77.0.1/24", namespace=kernel.name)
        assert addresses_of(device.name, kernel) == []
        remove_address("nodevice", "10.77.0.1/24", namespace=kernel.name)


def test_address_that_is_taken_is_refused_wherever_it_is() -> None:
    with kernel_namespace() as kernel:
        first, second = kernel.tun("10.77.0.1/24"), kernel.tun(None)
        for device in (first, second):
            with pytest.raises(SetupError, match=rf"10\.77\.0\.1 is taken by the device {first.name}; .*ip address del"):
                add_address(device.name, "10.77.0.1/16", namespace=kernel.name)
        assert addresses_of(second.name, kernel) == []


@pytest.mark.parametrize("text", ["10.9.0.300/24", "10.9.0.2/33", "ten", "", "10.9.0.2/"])
def test_malformed_address_is_refused(text: str) -> None:
    with pytest.raises(SetupError, match=r"is no address with a prefix length: write it like 10\.9\.0\.2/24"):
        parse_interface(text)


def test_missing_prefix_length_is_refused() -> None:
    with pytest.raises(SetupError, match=r"the prefix length is missing in '10\.9\.0\.2': write it like 10\.9\.0\.2/24"):
        parse_interface("10.9.0.2")


def test_address_of_a_missing_device_is_refused() -> None:
    with kernel_namespace() as kernel, pytest.raises(SetupError, match="there is no device nodevice here"):
        add_address("nodevice", "10.77.0.1/24", namespace=kernel.name)


def test_taken_addresses_are_told_and_given_back_exactly() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        container_like(kernel)
        before = state_of(kernel)
        with addresses_taken(OURS, namespace=kernel.name) as taken:
            assert [entry.address for entry in taken.addresses] == ["10.78.0.2/24", "10.78.0.3/24"]
            assert taken.gateway == "10.79.0.1"
            assert {route.destination for route in taken.routes} == {"default", "10.79.0.0/16", "10.80.0.0/16"}
            assert (taken.link.mtu, len(taken.link.mac or b"")) == (1500, 6)
            assert taken.forwarding
            assert addresses_of(OURS, kernel) == []
            assert default_gateway(OURS, namespace=kernel.name) is None
            assert state_of(kernel) != before
        assert state_of(kernel) == before
        assert default_gateway(OURS, namespace=kernel.name) == "10.79.0.1"
        give_back(taken)
        assert state_of(kernel) == before
        assert take_addresses(OURS, namespace=kernel.name) == taken


def test_taken_addresses_are_given_back_when_the_block_fails() -> None:
    with kernel_namespace() as kernel:
        container_like(kernel)
        before = state_of(kernel)
        with pytest.raises(ZeroDivisionError), addresses_taken(OURS, namespace=kernel.name):
            raise ZeroDivisionError
        assert state_of(kernel) == before


def test_nothing_to_take_is_said_and_changes_nothing() -> None:
    with kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        before = state_of(kernel)
        with pytest.raises(SetupError, match=f"the device {OURS} has no IPv4 address to take over: give one with --address"):
            take_addresses(OURS, namespace=kernel.name)
        assert state_of(kernel) == before


def test_giving_back_to_a_device_that_is_gone_is_an_error() -> None:
    with kernel_namespace() as kernel:
        container_like(kernel)
        taken: TakenAddresses = take_addresses(OURS, namespace=kernel.name)
        remove_link(OURS, namespace=kernel.name)
        with pytest.raises(SetupError, match=f"cannot give {OURS} its addresses back"):
            give_back(taken)


def test_route_that_cannot_be_is_refused_with_the_mend() -> None:
    with kernel_namespace() as kernel:
        device = kernel.tun("10.77.0.1/24")
        with pytest.raises(SetupError, match="give the device an address in the gateway's network first"):
            add_route("10.0.0.0/8", device=device.name, gateway="192.0.2.1", namespace=kernel.name)
        add_route("10.0.0.0/8", device=device.name, gateway="10.77.0.2", namespace=kernel.name)
        with pytest.raises(SetupError, match=r"there is one already: see it with: ip route show 10\.0\.0\.0/8"):
            add_route("10.0.0.0/8", device=device.name, gateway="10.77.0.2", namespace=kernel.name)


def test_default_gateway_is_the_devices_own() -> None:
    with kernel_namespace() as kernel:
        first, second = kernel.tun("10.77.0.1/24"), kernel.tun("10.78.0.1/24")
        add_route("default", device=first.name, gateway="10.77.0.2", namespace=kernel.name)
        assert default_gateway(first.name, namespace=kernel.name) == "10.77.0.2"
        assert default_gateway(second.name, namespace=kernel.name) is None
