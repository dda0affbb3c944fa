import re
from socket import AF_INET

import pytest

from tests.host.equipped import OURS, THEIRS, device_with, ip
from tests.support.confined import without_capabilities
from tests.support.netns import KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.addresses import add_address, add_route, list_addresses
from userstack.host.commands import command_of
from userstack.host.links import create_veth, remove_link, set_link, wait_until_running
from userstack.host.netns import remove_namespace
from userstack.host.quiet import allow_forwarding, stop_forwarding
from userstack.host.takeover import addresses_taken, give_back, take_addresses


def addresses_of(device: str, kernel: KernelNamespace) -> list[str]:
    return [entry.address for entry in list_addresses(namespace=kernel.name) if entry.device == device and "." in entry.address]


IPV4 = [AF_INET]


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


def test_taken_addresses_are_told_and_given_back_exactly() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        container_like(kernel)
        before = state_of(kernel)
        with addresses_taken(OURS, namespace=kernel.name, families=IPV4) as taken:
            assert [entry.address for entry in taken.addresses] == ["10.78.0.2/24", "10.78.0.3/24"]
            assert taken.gateway(AF_INET) == "10.79.0.1"
            assert b"10.7" not in state_of(kernel)[1]
            assert (taken.link.mtu, len(taken.link.mac or b"")) == (1500, 6)
            assert taken.forwarding
            assert addresses_of(OURS, kernel) == []
        assert state_of(kernel) == before
        give_back(taken)
        assert state_of(kernel) == before
        assert take_addresses(OURS, namespace=kernel.name, families=IPV4) == taken


def test_taken_addresses_are_given_back_when_the_block_fails() -> None:
    with kernel_namespace() as kernel:
        container_like(kernel)
        before = state_of(kernel)
        with pytest.raises(ZeroDivisionError), addresses_taken(OURS, namespace=kernel.name, families=IPV4):
            raise ZeroDivisionError
        assert state_of(kernel) == before


def test_nothing_to_take_is_said_and_changes_nothing() -> None:
    with kernel_namespace() as kernel:
        create_veth(OURS, THEIRS, namespace=kernel.name)
        before = state_of(kernel)
        with pytest.raises(SetupError, match=f"the device {OURS} has no address to take over: give one"):
            take_addresses(OURS, namespace=kernel.name)
        assert state_of(kernel) == before


@pytest.mark.parametrize("addresses", [[], ["10.78.0.2/24"]])
def test_address_need_not_be_there_when_the_caller_has_one(addresses: list[str]) -> None:
    with kernel_namespace() as kernel:
        device_with(kernel, [f"address add {address} dev DEV" for address in addresses])
        before = state_of(kernel)
        with addresses_taken(OURS, namespace=kernel.name, families=IPV4, need_address=False) as taken:
            assert [entry.address for entry in taken.addresses] == addresses
            assert taken.gateway(AF_INET) is None
            assert addresses_of(OURS, kernel) == []
        assert state_of(kernel) == before


def test_device_without_frames_is_refused_untouched() -> None:
    with kernel_namespace() as kernel:
        device = kernel.tun("10.77.0.1/24")
        with pytest.raises(SetupError, match=f"the device {device.name} has no hardware address: choose an Ethernet device"):
            take_addresses(device.name, namespace=kernel.name)
        assert addresses_of(device.name, kernel) == ["10.77.0.1/24"]


@pytest.mark.parametrize("gone", ["device", "namespace"])
def test_nothing_can_be_given_back_to_what_is_gone(gone: str) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        container_like(kernel)
        taken = take_addresses(OURS, namespace=kernel.name, families=IPV4)
        if gone == "device":
            remove_link(OURS, namespace=kernel.name)
        else:
            remove_namespace(kernel.name)
        give_back(taken)


def test_without_privilege_nothing_is_taken() -> None:
    with kernel_namespace() as kernel:
        container_like(kernel)
        before = state_of(kernel)
        with pytest.raises(SetupError, match=r"operation not permitted; .*SYS_ADMIN"):
            without_capabilities(lambda: take_addresses(OURS, namespace=kernel.name))
        assert state_of(kernel) == before


VIA = "via 10.78.0.1"
ODDITIES = {
    "onlink": ["route add default via 172.31.1.1 dev DEV onlink"],
    "metrics": [f"route add 10.80.0.0/16 {VIA} mtu 1400 advmss 1300 rto_min 20ms congctl cubic"],
    "tos": [f"route add 10.80.0.0/16 {VIA} tos 0x10", f"route add 10.80.0.0/16 {VIA}"],
    "other table": [f"route add 10.80.0.0/16 {VIA} table 1000", "route add default dev DEV table 7"],
    "types": ["route add local 10.81.0.0/16 dev DEV", "route add broadcast 10.82.0.0/24 dev DEV", "route add 10.83.0.0/16 dev lo"],
    "multipath": ["route add 10.80.0.0/16 nexthop via 10.78.0.1 dev DEV weight 3 nexthop via 10.99.0.9 dev DEV onlink"],
    "multipath over two": ["route add 10.80.0.0/16 nexthop via 10.78.0.1 dev DEV nexthop dev OTHER"],
    "next hop object": [f"nexthop add id 5 {VIA} dev DEV", "route add 10.80.0.0/16 nhid 5"],
    "next hop group": [
        f"nexthop add id 5 {VIA} dev DEV",
        "nexthop add id 6 dev OTHER",
        "nexthop add id 7 group 5/6",
        "route add 10.80.0.0/16 nhid 7",
    ],
    "two alike": [f"route add 10.80.0.0/16 {VIA}", "route append 10.80.0.0/16 via 10.78.0.9", "route append 10.80.0.0/16 dev DEV"],
    "gateway behind a route": ["route add 10.85.0.0/16 dev DEV", "route add 10.80.0.0/16 via 10.85.0.1"],
    "source elsewhere": ["route add 10.80.0.0/16 dev OTHER src 10.78.0.2"],
    "kernel's route removed": ["route del 10.78.0.0/24"],
    "broadcast removed": ["route del broadcast 10.78.0.255 dev DEV table local"],
    "a manager's own": [
        "address add 10.84.0.2/24 dev DEV noprefixroute",
        "route add 10.84.0.0/24 dev DEV proto kernel scope link src 10.84.0.2 metric 100",
    ],
    "address metric": ["address add 10.84.0.2/24 dev DEV metric 77"],
    "label, scope, broadcast": ["address add 10.84.0.2/24 brd 10.84.0.127 dev DEV label DEV:1 scope link"],
    "peer": ["address add 10.84.0.2 peer 10.84.0.9/32 dev DEV", "route add 10.80.0.0/16 via 10.84.0.9"],
    "secondaries": [
        f"address add {address} dev DEV" for address in ("10.84.0.2/24", "10.78.0.3/24", "10.84.0.3/24", "10.78.0.2/16")
    ],
    "neighbours": [
        "neighbour add 10.78.0.1 lladdr 02:00:00:00:00:01 nud permanent dev DEV",
        "neighbour add proxy 10.78.0.50 dev DEV",
    ],
}


def neighbours_of(kernel: KernelNamespace) -> list[str]:
    return [ip(kernel, f"neighbour show {which} dev {OURS}") for which in ("nud permanent", "proxy")]


@pytest.mark.parametrize("lines", ODDITIES.values(), ids=ODDITIES.keys())
def test_whatever_was_there_is_given_back_exactly(lines: list[str]) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device_with(kernel, ["address add 10.78.0.2/24 dev DEV", *lines])
        before = state_of(kernel), ip(kernel, "route show table main"), neighbours_of(kernel)
        with addresses_taken(OURS, namespace=kernel.name, families=IPV4):
            assert addresses_of(OURS, kernel) == []
            assert not [
                line for line in state_of(kernel)[1].splitlines() if f"dev {OURS}".encode() in line and b"nexthop" not in line
            ]
        assert (state_of(kernel), ip(kernel, "route show table main"), neighbours_of(kernel)) == before


def test_lifetime_goes_on_where_it_stood() -> None:
    with kernel_namespace() as kernel:
        device_with(kernel, ["address add 10.78.0.2/24 dev DEV valid_lft 5000 preferred_lft 3000"])
        with addresses_taken(OURS, namespace=kernel.name, families=IPV4):
            pass
        told = re.search(r"valid_lft (\d+)sec preferred_lft (\d+)sec", ip(kernel, f"address show {OURS}"))
        assert told
        assert 4900 < int(told[1]) <= 5000
        assert 2900 < int(told[2]) <= 3000


def test_gateway_is_that_of_the_best_default_route_of_the_device() -> None:
    with kernel_namespace() as kernel:
        lines = [f"route add default via 10.78.0.{metric} metric {metric}" for metric in (9, 7, 8)]
        lines += [f"route add default {VIA} table 1000", "route add default dev OTHER", "route add blackhole default metric 6"]
        device_with(kernel, ["address add 10.78.0.2/24 dev DEV", *lines])
        with addresses_taken(OURS, namespace=kernel.name, families=IPV4) as taken:
            assert taken.gateway(AF_INET) == "10.78.0.7"


@pytest.mark.parametrize(
    "name", ["onlink", "tos", "other table", "types", "multipath", "next hop object", "neighbours", "two alike"]
)
def test_what_cannot_be_given_back_is_told_as_commands_and_all_else_is_restored(name: str) -> None:
    """A device that is down takes addresses and no routes."""
    with kernel_namespace() as kernel:
        device_with(kernel, ["address add 10.78.0.2/24 brd 10.78.0.255 dev DEV", *ODDITIES[name]])
        allow_forwarding(OURS, namespace=kernel.name)
        before = sorted_routes(kernel), neighbours_of(kernel)
        taken = take_addresses(OURS, namespace=kernel.name, families=IPV4)
        set_link(OURS, namespace=kernel.name, up=False)
        kernel.run(["ip", "nexthop", "flush"])
        with pytest.raises(SetupError, match=f"cannot give {OURS} back all that it had; run by hand: ip route append ") as caught:
            give_back(taken)
        assert "\n" not in str(caught.value)
        assert addresses_of(OURS, kernel) == ["10.78.0.2/24"]
        assert stop_forwarding(OURS, namespace=kernel.name)
        set_link(OURS, namespace=kernel.name, up=True)
        wait_until_running(OURS, namespace=kernel.name)
        if name == "next hop object":
            ip(kernel, f"nexthop add id 5 {VIA} dev {OURS}")
        for command in re.findall(r"ip ([^;]*) \(", str(caught.value)):
            kernel.run(["ip", *command.split()])  # those of the kernel's own routes have become needless
        assert (sorted_routes(kernel), neighbours_of(kernel)) == before


def sorted_routes(kernel: KernelNamespace) -> list[str]:
    return sorted(ip(kernel, "-4 route show table all").splitlines())


@pytest.mark.parametrize(
    "name", ["address metric", "label, scope, broadcast", "peer", "neighbours", "a manager's own", "two alike"]
)
def test_commands_make_what_was_there(name: str) -> None:
    with kernel_namespace() as kernel:
        device_with(kernel, ["address add 10.78.0.2/24 dev DEV", *ODDITIES[name]])
        before = state_of(kernel), neighbours_of(kernel)
        taken = take_addresses(OURS, namespace=kernel.name, families=IPV4)
        for entry in taken.entries:
            kernel.run(command_of(entry, OURS, taken.link.index).split())
        assert (state_of(kernel), neighbours_of(kernel)) == before
