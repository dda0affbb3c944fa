import pytest

from tests.support.confined import with_read_only_settings
from tests.support.netns import KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.addresses import (
    add_address,
    add_addresses,
    add_route,
    list_addresses,
    parse_interface,
    remove_address,
    require_free_address,
)
from userstack.host.inside import write_sysctl


def addresses_of(device: str, kernel: KernelNamespace, sign: str = ".") -> list[str]:
    return [entry.address for entry in list_addresses(namespace=kernel.name) if entry.device == device and sign in entry.address]


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


def test_address_of_the_kernels_is_not_free() -> None:
    with kernel_namespace() as kernel:
        device = kernel.tun("fd77::1/64")
        for address in ("fd77::1", "fd77:0::0:1"):
            with pytest.raises(SetupError, match=f"the address {address} is taken by the device {device.name}; .*ip address del"):
                require_free_address(address, namespace=kernel.name)
        require_free_address("fd77::2", namespace=kernel.name)


def test_ipv6_wants_a_larger_mtu() -> None:
    with kernel_namespace() as kernel, pytest.raises(SetupError, match=r"invalid argument; IPv6 wants an MTU of at least 1280"):
        kernel.tun("fd77::1/64", mtu=1279)


def test_ipv6_that_is_off_is_told_with_the_mend_and_on_for_a_device_of_our_own() -> None:
    with kernel_namespace() as kernel:
        write_sysctl("net.ipv6.conf.default.disable_ipv6", "1", namespace=kernel.name)
        device = kernel.tap(None)
        with pytest.raises(
            SetupError, match=rf"permission denied; IPv6 is off there: .*sysctl net.ipv6.conf.{device.name}.disable"
        ):
            add_address(device.name, "fd77::1/64", namespace=kernel.name)
        with pytest.raises(SetupError, match="IPv6 is off there"):
            with_read_only_settings(lambda: add_addresses(device.name, ["fd77::1/64"], namespace=kernel.name))
        add_addresses(device.name, ["10.77.0.1/24"], namespace=kernel.name)
        assert addresses_of(device.name, kernel, ":") == []
        add_addresses(device.name, ["fd77::1/64"], namespace=kernel.name)
        assert "fd77::1/64" in addresses_of(device.name, kernel, ":")


def test_route_that_cannot_be_is_refused_with_the_mend() -> None:
    with kernel_namespace() as kernel:
        device = kernel.tun("10.77.0.1/24")
        with pytest.raises(SetupError, match="give the device an address in the gateway's network first"):
            add_route("10.0.0.0/8", device=device.name, gateway="192.0.2.1", namespace=kernel.name)
        add_route("10.0.0.0/8", device=device.name, gateway="10.77.0.2", namespace=kernel.name)
        with pytest.raises(SetupError, match=r"there is one already: see it with: ip route show 10\.0\.0\.0/8"):
            add_route("10.0.0.0/8", device=device.name, gateway="10.77.0.2", namespace=kernel.name)


def test_a_link_local_address_is_taken_on_its_own_device_alone() -> None:
    with kernel_namespace() as kernel:
        first, second = kernel.tun("fe80::1/64"), kernel.tun("fe80::1/64")
        with pytest.raises(SetupError, match=f"the address fe80::1 is taken by the device {second.name}"):
            add_address(second.name, "fe80::1/64", namespace=kernel.name)
        assert "fe80::1/64" in addresses_of(first.name, kernel, ":")


def test_an_ipv6_address_is_in_use_at_once() -> None:
    """Also on Ethernet, where the kernel would look for a duplicate, and not use it for a second or two."""
    with kernel_namespace() as kernel:
        device = kernel.tap("fd77::1/64")
        told = kernel.run(["ip", "-6", "address", "show", "dev", device.name, "scope", "global"]).stdout
        assert b"fd77::1/64" in told
        assert b"tentative" not in told
