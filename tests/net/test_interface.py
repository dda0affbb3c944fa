"""Interfaces as people write them, and which addresses a packet may come from."""

import pytest

from userstack.address import format_address, pack_address
from userstack.errors import InvalidArgument
from userstack.net.interface import Interface, is_multicast, is_unicast, is_valid_source


@pytest.mark.parametrize(
    ("text", "network", "broadcast"),
    [
        ("10.9.0.2/24", "10.9.0.0", "10.9.0.255"),
        (" 192.168.77.1/16 ", "192.168.0.0", "192.168.255.255"),
        ("10.9.0.6/30", "10.9.0.4", "10.9.0.7"),
        ("10.0.0.1/0", "0.0.0.0", "255.255.255.255"),
        ("10.9.0.2/31", "10.9.0.2", None),
        ("10.9.0.2/32", "10.9.0.2", None),
        ("fd3d::1/64", "fd3d::", None),
        ("fd3d::1/128", "fd3d::1", None),
    ],
)
def test_an_interface_knows_its_network(text: str, network: str, broadcast: str | None) -> None:
    interface = Interface.parse(text)
    assert str(interface) == text.strip()
    assert format_address(interface.network) == network
    assert interface.broadcast == (None if broadcast is None else pack_address(broadcast))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10.9.0.2", "'10.9.0.2' has no prefix: write 10.9.0.2/24 if that is its network"),
        ("fd3d::1", "'fd3d::1' has no prefix: write fd3d::1/64 if that is its network"),
        ("10.9.0.2/", "'10.9.0.2/': the prefix must be a number of bits from 0 to 32, as in 10.9.0.2/24"),
        ("10.9.0.2/33", "'10.9.0.2/33': the prefix must be a number of bits from 0 to 32, as in 10.9.0.2/24"),
        ("10.9.0.2/-1", "'10.9.0.2/-1': the prefix must be a number of bits from 0 to 32, as in 10.9.0.2/24"),
        ("10.9.0.2/255.255.255.0", "'10.9.0.2/255.255.255.0': the prefix must be a number of bits from 0 to 32, as in 10.9.0.2/24"),
        ("fd3d::1/129", "'fd3d::1/129': the prefix must be a number of bits from 0 to 128, as in fd3d::1/64"),
        ("10.9.0/24", "'10.9.0/24' is no IP address: write address and prefix, as in 10.9.0.2/24 or fd3d::1/64"),
        ("", "'' is no IP address: write address and prefix, as in 10.9.0.2/24 or fd3d::1/64"),
        ("10.9.0.0/24", "10.9.0.0/24 is its network's own address: take a host's, as in 10.9.0.1/24"),
        ("10.9.0.255/24", "10.9.0.255/24 is its network's broadcast address: take a host's, as in 10.9.0.1/24"),
        ("fd3d::/64", "fd3d::/64 is its network's own address: take a host's, as in fd3d::1/64"),
        ("224.0.0.1/4", "224.0.0.1/4 cannot be a host's address: take a unicast address that is not loopback"),
        ("127.0.0.1/8", "127.0.0.1/8 cannot be a host's address: take a unicast address that is not loopback"),
        ("0.0.0.0/0", "0.0.0.0/0 cannot be a host's address: take a unicast address that is not loopback"),
        ("::1/128", "::1/128 cannot be a host's address: take a unicast address that is not loopback"),
    ],
)
def test_what_cannot_be_an_interface_is_refused_with_what_to_write(text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        Interface.parse(text)
    assert refusal.value.strerror == complaint


@pytest.mark.parametrize(
    ("interface", "address", "inside"),
    [
        ("10.9.0.2/24", "10.9.0.77", True),
        ("10.9.0.2/24", "10.9.1.2", False),
        ("10.9.0.2/24", "fd3d::1", False),
        ("10.9.0.2/32", "10.9.0.2", True),
        ("10.9.0.2/32", "10.9.0.3", False),
        ("10.9.0.2/0", "203.0.113.9", True),
        ("fd3d::1/64", "fd3d::2:0:0:1", True),
        ("fd3d::1/64", "fd3d:0:0:1::1", False),
        ("fd3d::1/64", "10.9.0.2", False),
    ],
)
def test_contains(interface: str, address: str, inside: bool) -> None:
    assert Interface.parse(interface).contains(pack_address(address)) is inside


@pytest.mark.parametrize(
    ("address", "multicast", "unicast", "source"),
    [
        ("10.9.0.1", False, True, True),
        ("203.0.113.9", False, True, True),
        ("240.0.0.1", False, True, True),
        ("0.0.0.0", False, False, False),
        ("0.1.2.3", False, True, False),
        ("127.0.0.1", False, True, False),
        ("223.255.255.255", False, True, True),
        ("224.0.0.1", True, False, False),
        ("239.255.255.250", True, False, False),
        ("255.255.255.255", False, False, False),
        ("10.9.0.255", False, True, False),
        ("10.9.0.0", False, True, False),
        ("10.9.1.255", False, True, True),
        ("fd3d::2", False, True, True),
        ("fe80::1", False, True, True),
        ("::", False, False, False),
        ("::1", False, True, False),
        ("ff02::1", True, False, False),
    ],
)
@pytest.mark.requirement("MUST-63")
def test_which_addresses_a_packet_may_come_from(address: str, multicast: bool, unicast: bool, source: bool) -> None:
    """RFC 1122 3.2.1.3 (a) to (g), with an interface 10.9.0.2/24 whose broadcasts are known."""
    interfaces = [Interface.parse("10.9.0.2/24"), Interface.parse("fd3d::1/64")]
    packed = pack_address(address)
    assert is_multicast(packed) is multicast
    assert is_unicast(packed) is unicast
    assert is_valid_source(packed, interfaces) is source


def test_a_network_of_two_has_no_broadcast() -> None:
    """RFC 3021: both addresses of a /31 are hosts'."""
    pair = Interface.parse("10.0.0.1/31")
    assert not pair.is_broadcast(pack_address("10.0.0.0"))
    assert is_valid_source(pack_address("10.0.0.0"), [pair])
    assert pair.is_broadcast(pack_address("255.255.255.255"))


def test_a_zone_is_refused_rather_than_dropped() -> None:
    with pytest.raises(InvalidArgument, match="zone"):
        Interface.parse("fe80::1%eth0/64")
