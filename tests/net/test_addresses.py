"""What a host has in addresses: who may be spoken for, who listens where, and which source a destination gets (RFC 6724)."""

from collections.abc import Sequence

import pytest

from userstack.address import format_address, pack_address
from userstack.errors import AddressNotAvailable, NetworkUnreachable
from userstack.net.addresses import Addresses
from userstack.net.interface import Interface, link_local_interface


def addresses(*texts: str, tentative: Sequence[str] = ()) -> Addresses:
    return Addresses([Interface.parse(text) for text in texts], tentative=[pack_address(text) for text in tentative])


OWN = ("2001:db8:1::1/64", "fe80::1/64", "fd3d::1/64", "2001:db8:2::1/64", "2001:db8:2:0:8000::1/65")


@pytest.mark.requirement("MUST-44")
@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("fe80::9", "fe80::1"),  # rule 2: the scope
        ("2001:db8:2::9", "2001:db8:2::1"),  # rule 8: the longest prefix
        ("2001:db8:2:0:8000::9", "2001:db8:2:0:8000::1"),
        ("2001:db8:1::9", "2001:db8:1::1"),
        ("fd3d::9", "fd3d::1"),
        ("fdff::9", "fd3d::1"),
        ("2a00::9", "2001:db8:1::1"),  # equals: the first
        ("fd3d::1", "fd3d::1"),  # rule 1: itself
        ("fe80::1", "fe80::1"),
    ],
)
def test_the_source_suits_the_destination(remote: str, source: str) -> None:
    assert format_address(addresses(*OWN).source_for(pack_address(remote))) == source


@pytest.mark.parametrize(
    ("own", "remote", "source"),
    [
        (["fe80::1/64"], "2001:db8::9", "fe80::1"),
        (["fd3d::1/64"], "fe80::9", "fd3d::1"),
        (["fe80::1/64", "fec0::1/64"], "2001:db8::9", "fec0::1"),  # none reaches: the largest scope
        (["fd3d::1/64", "fec0::1/64"], "fe80::9", "fec0::1"),  # both reach: the smallest
        (["2001:db8::1/16", "2001:db8:0:1::1/64"], "2001:db8::9", "2001:db8:0:1::1"),  # no more than the prefix counts
        (["2002:a00:1::1/48", "2001:db8::1/64"], "2003::9", "2001:db8::1"),  # rule 6 before 8: no tunnel to a native address
        (["2001:0:a00:1::1/32", "2001:db8::1/64"], "2001:4860::9", "2001:db8::1"),
        (["2001:db8::1/64", "2002:a00:1::1/48"], "2002:b00::9", "2002:a00:1::1"),
        (["2001:db8::1/64", "fd3d::1/64"], "fc00::9", "fd3d::1"),
        (["fd3d::1/64", "2001:db8::1/64"], "8000::9", "2001:db8::1"),  # nor from a local address to where none leads back
    ],
)
def test_a_source_is_found_where_none_suits_well(own: list[str], remote: str, source: str) -> None:
    assert format_address(addresses(*own).source_for(pack_address(remote))) == source


def test_the_ipv4_source_is_that_on_the_network_else_the_first() -> None:
    own = addresses("10.9.0.2/24", "fd3d::1/64", "192.0.2.1/24")
    assert format_address(own.source_for(pack_address("192.0.2.77"))) == "192.0.2.1"
    assert format_address(own.source_for(pack_address("203.0.113.5"))) == "10.9.0.2"


@pytest.mark.parametrize(("own", "remote"), [("10.9.0.2/24", "fd3d::9"), ("fd3d::1/64", "10.9.0.1")])
def test_no_source_is_of_another_family(own: str, remote: str) -> None:
    with pytest.raises(NetworkUnreachable, match="no address of the family"):
        addresses(own).source_for(pack_address(remote))


def test_a_tentative_address_is_nobodys_source() -> None:
    own = addresses("fd3d::1/64", "fd3e::1/64", tentative=["fd3d::1"])
    assert format_address(own.source_for(pack_address("fd3d::9"))) == "fd3e::1"


def test_a_host_whose_addresses_are_all_tentative_has_no_source_yet() -> None:
    own = addresses("fd3d::1/64", tentative=["fd3d::1"])
    with pytest.raises(AddressNotAvailable, match="fd3d::1 is still being checked for duplicates"):
        own.source_for(pack_address("fd3d::9"))
    own.reject(pack_address("fd3d::1"))
    with pytest.raises(AddressNotAvailable, match="another node on the link has fd3d::1 too"):
        own.source_for(pack_address("fd3d::9"))


def test_an_address_that_is_found_unique_is_ours_and_one_that_is_not_never_is() -> None:
    first, second = pack_address("fd3d::1"), pack_address("fe80::1")
    own = addresses("fd3d::1/64", "fe80::1/64", "10.9.0.2/24", tentative=["fd3d::1", "fe80::1"])
    assert own.own == {pack_address("10.9.0.2")}
    assert own.tentative == {first, second}
    assert not own.take_changed()
    own.assign(first)
    assert own.take_changed()
    assert not own.take_changed()
    own.reject(second)
    assert own.take_changed()
    assert (own.own, own.tentative, own.duplicates) == ({pack_address("10.9.0.2"), first}, set(), {second})


def test_a_host_hears_all_nodes_and_who_asks_for_its_addresses() -> None:
    groups = addresses("10.9.0.2/24", "fd3d::12:3456/64", "2001:db8::12:3456/64", "fe80::1/64").groups
    assert {format_address(group) for group in groups} == {"ff02::1", "ff02::1:ff12:3456", "ff02::1:ff00:1"}
    assert addresses("10.9.0.2/24").groups == frozenset()


def test_a_tentative_address_is_listened_for() -> None:
    assert pack_address("ff02::1:ff00:1") in addresses("fd3d::1/64", tentative=["fd3d::1"]).groups


@pytest.mark.parametrize(
    ("address", "here"),
    [("fd3d::9", True), ("fd3e::9", False), ("fe80::9", True), ("febf::9", True), ("10.9.0.9", True), ("10.9.1.9", False)],
)
def test_what_is_on_the_link_needs_no_gateway(address: str, here: bool) -> None:
    assert addresses("10.9.0.2/24", "fd3d::1/64").on_link(pack_address(address)) is here


def test_a_mac_gives_a_link_local_address() -> None:
    """RFC 2464 5, the example of its text."""
    assert str(link_local_interface(bytes.fromhex("34567890abcd"))) == "fe80::3656:78ff:fe90:abcd/64"
    assert str(link_local_interface(bytes.fromhex("020000000002"))) == "fe80::ff:fe00:2/64"
