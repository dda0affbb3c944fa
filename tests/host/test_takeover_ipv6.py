"""What ``take_addresses`` takes of IPv6, and gives back exactly."""

import re
import time
from socket import AF_INET, AF_INET6

import pytest

from tests.host.equipped import OURS, THEIRS, device_with, ip, tell
from tests.support.confined import with_read_only_settings
from tests.support.netns import KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.errors import SetupError
from userstack.host.commands import command_of
from userstack.host.entries import KernelTables, Kind
from userstack.host.inside import read_sysctl, write_sysctl
from userstack.host.links import set_link, wait_until_running
from userstack.host.takeover import addresses_taken, give_back, take_addresses

ADDRESS = "address add fd78::2/64 dev DEV nodad"
VIA = "via fd78::1"
ODDITIES = {
    "several": [f"address add fd78::{number}/64 dev DEV nodad" for number in (5, 3, 4)],
    "peer": ["address add fd84::2 peer fd84::9/128 dev DEV nodad", "-6 route add fd80::/64 via fd84::9"],
    "noprefixroute": ["address add fd84::2/64 dev DEV nodad noprefixroute", "-6 route add fd84::/64 dev DEV proto kernel metric 9"],
    "address metric": ["address add fd84::2/64 dev DEV nodad metric 77"],
    "default by a link-local": ["-6 route add default via fe80::5 dev DEV pref high mtu 1400"],
    "onlink": ["-6 route add fd86::/64 via fd99::1 dev DEV onlink"],
    "other table": [f"-6 route add fd80::/64 {VIA} table 1000", "-6 route add default dev DEV table 7"],
    "types": ["-6 route add local fd81::/64 dev DEV", "-6 route add anycast fd82::1 dev DEV", "-6 route add fd83::/64 dev lo"],
    "multipath": [f"-6 route add fd80::/64 nexthop {VIA} dev DEV weight 3 nexthop via fd78::9 dev DEV"],
    "multipath over two": ["address add fd79::1/64 dev OTHER nodad", f"-6 route add fd80::/64 nexthop {VIA} nexthop via fd79::9"],
    "next hop object": [f"nexthop add id 5 {VIA} dev DEV", "-6 route add fd80::/64 nhid 5"],
    "two alike": [f"-6 route add fd80::/64 {VIA} metric 5", "-6 route append fd80::/64 via fd78::9 metric 5"],
    "source elsewhere": ["-6 route add fd80::/64 dev OTHER src fd78::2"],
    "source": ["address add fd78::3/64 dev DEV nodad", f"-6 route add fd80::/64 {VIA} src fd78::3"],
    "from": [f"-6 route add fd80::/64 from fd78::/64 {VIA} dev DEV"],
    "kernel's route removed": ["-6 route del fd78::/64 dev DEV"],
    "local route removed": ["-6 route del local fd78::2 dev DEV table local"],
    "neighbours": [
        "neighbour add fd78::1 lladdr 02:00:00:00:00:01 nud permanent dev DEV",
        "neighbour add proxy fd78::50 dev DEV",
    ],
}


def settled(kernel: KernelNamespace, lines: list[str]) -> None:
    """A device with IPv6, its own link-local address included, of which the kernel is sure at once."""
    for name in ("all", "default"):
        write_sysctl(f"net/ipv6/conf/{name}/accept_dad", "0", namespace=kernel.name)
    device_with(kernel, [])
    for line in (ADDRESS, *lines):
        wait_until_settled(kernel)
        tell(kernel, line)
    if not any("route del" in line for line in lines):
        wait_until_settled(kernel)


def wait_until_settled(kernel: KernelNamespace) -> None:
    """The kernel finishes what it makes of a link and of an address a moment later."""
    deadline = time.monotonic() + 20
    while not is_settled(ip(kernel, "-6 -o address show"), ip(kernel, "-6 route show table all")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_settled(told: str, routes: str) -> bool:
    addresses = re.findall(r"^\d+: (\S+) +inet6 ([^ /]+)", told, re.MULTILINE)
    known = all(f"local {address} dev {device} " in routes for device, address in addresses)
    both = {device for device, address in addresses if address.startswith("fe80:")} >= {OURS, THEIRS}
    return known and both and "tentative" not in told and "linkdown" not in routes


def state_of(kernel: KernelNamespace) -> tuple[str, list[str], list[str]]:
    routes = ip(kernel, "-6 route show table all").replace("\n\t", " ").splitlines()
    neighbours = [ip(kernel, f"-6 neighbour show {which} dev {OURS}") for which in ("nud permanent", "proxy")]
    return ip(kernel, f"-6 address show dev {OURS}"), sorted(routes), neighbours


def of_device(kernel: KernelNamespace) -> list[str]:
    """What is left of IPv6 on it."""
    addresses, routes, neighbours = state_of(kernel)
    return [*re.findall("inet6 .*", addresses), *(line for line in routes if f"dev {OURS}" in line), *filter(None, neighbours)]


@pytest.mark.parametrize("lines", ODDITIES.values(), ids=ODDITIES.keys())
def test_whatever_was_there_is_given_back_exactly(lines: list[str]) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        settled(kernel, lines)
        before = state_of(kernel)
        with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET6]) as taken:
            assert of_device(kernel) == []
        assert state_of(kernel) == before
        give_back(taken)
        assert state_of(kernel) == before


def test_the_kernel_speaks_no_ipv6_meanwhile() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        settled(kernel, [])
        with addresses_taken(OURS, namespace=kernel.name) as taken:
            assert [entry.address for entry in taken.addresses] == ["fd78::2/64"]
            assert taken.ipv6
            assert read_sysctl(f"net/ipv6/conf/{OURS}/disable_ipv6", namespace=kernel.name) == "1"
        assert read_sysctl(f"net/ipv6/conf/{OURS}/disable_ipv6", namespace=kernel.name) == "0"


def test_where_it_was_off_it_stays_off() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device_with(kernel, ["address add 10.78.0.2/24 dev DEV"])
        write_sysctl(f"net/ipv6/conf/{OURS}/disable_ipv6", "1", namespace=kernel.name)
        with addresses_taken(OURS, namespace=kernel.name) as taken:
            assert [entry.address for entry in taken.addresses] == ["10.78.0.2/24"]
        assert read_sysctl(f"net/ipv6/conf/{OURS}/disable_ipv6", namespace=kernel.name) == "1"


def test_both_families_and_the_gateway_of_each() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        ways = ["route add default via 10.78.0.1", "-6 route add default via fe80::5 dev DEV metric 7"]
        settled(kernel, ["address add 10.78.0.2/24 dev DEV", *ways, "-6 route add default via fd78::1 metric 9"])
        before = state_of(kernel), ip(kernel, "-4 route show table all")
        with addresses_taken(OURS, namespace=kernel.name) as taken:
            assert [entry.address for entry in taken.addresses] == ["10.78.0.2/24", "fd78::2/64"]
            assert (taken.gateway(AF_INET), taken.gateway(AF_INET6)) == ("10.78.0.1", "fe80::5")
            assert of_device(kernel) == []
        assert (state_of(kernel), ip(kernel, "-4 route show table all")) == before


def test_one_family_alone_is_taken() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        settled(kernel, ["address add 10.78.0.2/24 dev DEV"])
        six, four = state_of(kernel), ip(kernel, f"-4 address show dev {OURS}")
        with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET]):
            assert state_of(kernel) == six
        with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET6]):
            assert ip(kernel, f"-4 address show dev {OURS}") == four


def test_an_address_that_was_in_use_is_in_use_again_at_once() -> None:
    """The kernel would look for a duplicate, and have it as tentative for more than a second."""
    with nothing_left_behind(), kernel_namespace() as kernel:
        device_with(kernel, [ADDRESS])
        with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET6]):
            pass
        told = ip(kernel, f"-6 address show dev {OURS} scope global")
        assert "fd78::2/64" in told
        assert "tentative" not in told


def test_one_that_was_tentative_is_looked_for_again() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device_with(kernel, ["address add fd78::2/64 dev DEV"])
        assert "tentative" in ip(kernel, f"-6 address show dev {OURS}")
        with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET6]):
            pass
        assert "fd78::2/64 scope global tentative" in ip(kernel, f"-6 address show dev {OURS}")


def test_lifetimes_go_on_where_they_stood() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        lines = [
            "address add fd79::2/64 dev DEV nodad valid_lft 5000 preferred_lft 3000",
            f"-6 route add fd80::/64 {VIA} expires 500",
        ]
        settled(kernel, lines)
        with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET6]):
            pass
        told = re.search(r"fd79::2.*\n.*valid_lft (\d+)sec preferred_lft (\d+)sec", ip(kernel, f"-6 address show {OURS}"))
        assert told
        assert 4900 < int(told[1]) <= 5000
        assert 2900 < int(told[2]) <= 3000
        route = re.search(r"expires (\d+)sec", ip(kernel, "-6 route show fd80::/64"))
        assert route
        assert 400 < int(route[1]) <= 500


@pytest.mark.parametrize("name", ["onlink", "types", "multipath", "next hop object", "neighbours"])
def test_what_cannot_be_given_back_is_told_as_commands(name: str) -> None:
    with kernel_namespace() as kernel:
        settled(kernel, ODDITIES[name])
        before = state_of(kernel)
        taken = take_addresses(OURS, namespace=kernel.name, families=[AF_INET6])
        set_link(OURS, namespace=kernel.name, up=False)
        kernel.run(["ip", "nexthop", "flush"])
        with pytest.raises(SetupError, match=f"cannot give {OURS} back all that it had; run by hand: ip ") as caught:
            give_back(taken)
        assert "\n" not in str(caught.value)
        set_link(OURS, namespace=kernel.name, up=True)
        for device in (OURS, THEIRS):
            wait_until_running(device, namespace=kernel.name)
        wait_until_settled(kernel)
        if name == "next hop object":
            ip(kernel, f"nexthop add id 5 {VIA} dev {OURS}")
        for command in re.findall(r"ip ([^;]*) \(", str(caught.value)):
            kernel.run(["ip", *command.split()])  # those of the kernel's own have become needless
        assert state_of(kernel)[1:] == before[1:]


@pytest.mark.parametrize("name", ["peer", "address metric", "noprefixroute", "other table", "onlink", "neighbours", "source"])
def test_commands_make_what_was_there(name: str) -> None:
    with kernel_namespace() as kernel:
        settled(kernel, ODDITIES[name])
        taken = take_addresses(OURS, namespace=kernel.name, families=[AF_INET6])
        give_back(taken)
        before = state_of(kernel)
        with KernelTables(kernel.name, AF_INET6) as tables:
            for entry in taken.entries:
                if entry.kind is not Kind.ADDRESS and not entry.is_kernels_route:
                    tables.remove(entry)
                    assert state_of(kernel) != before
                    ip(kernel, command_of(entry, OURS, taken.link.index).removeprefix("ip "))
                    assert state_of(kernel) == before
            for entry in taken.entries:
                if entry.kind is Kind.ADDRESS:
                    tables.remove(entry)
                    ip(kernel, command_of(entry, OURS, taken.link.index).removeprefix("ip "))
                    wait_until_settled(kernel)
                    assert set(state_of(kernel)[0].splitlines()) == set(before[0].splitlines())


def test_where_settings_cannot_be_written_the_addresses_go_one_by_one() -> None:
    """As in a container without privileges, whose /proc/sys is read-only."""
    with nothing_left_behind(), kernel_namespace() as kernel:
        settled(kernel, ODDITIES["several"] + ODDITIES["source elsewhere"] + ODDITIES["multipath over two"][:1])
        before = state_of(kernel)

        def take_and_give_back() -> list[str]:
            with addresses_taken(OURS, namespace=kernel.name, families=[AF_INET6]):
                return of_device(kernel)

        left = with_read_only_settings(take_and_give_back)
        assert [line for line in left if "ff00::/8" not in line] == []
        assert state_of(kernel) == before
