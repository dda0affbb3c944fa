"""The Ethernet link: frames in and out, packets sent the right way, for both families."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ethernet_wire import (
    CODEC,
    EXPERIMENTAL,
    FAMILIES,
    FAR,
    FAR6,
    LINK_LOCAL,
    NO_MAC,
    OTHER_MAC,
    OUR_MAC,
    PEER,
    PEER6,
    PEER_MAC,
    US,
    US6,
    Wire,
)
from userstack.address import pack_address
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.ethernet import EthernetLink
from userstack.net.interface import Interface
from userstack.wire.codec import make_codec
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, IPV6, multicast_mac
from userstack.wire.ip import IPPacket
from userstack.wire.nd import ALL_NODES, solicited_node
from userstack.wire.offload import finished

families = pytest.mark.parametrize("family", [4, 6])
BOTH = ["10.9.0.2/24", "fd3d::2/64"]

# --- frames in ---


@families
def test_an_ip_packet_to_our_address_is_handed_up(family: int) -> None:
    wire = Wire(family)
    packet = bytes([family << 4]) + b"packet"
    assert wire.hear(packet, ethertype=wire.places.ethertype) == packet


@pytest.mark.parametrize(
    ("family", "destination", "ethertype", "counter"),
    [
        (4, OTHER_MAC, IPV4, "EthernetInOtherHost"),
        (4, OTHER_MAC, ARP, "EthernetInOtherHost"),
        (4, multicast_mac(ALL_NODES), IPV6, "EthernetInOtherHost"),
        (4, OUR_MAC, IPV6, "Ip6InDiscards"),
        (4, OUR_MAC, 0x8100, "EthernetInUnknownProtos"),
        (4, BROADCAST, 0x0026, "EthernetInUnknownProtos"),
        (4, BROADCAST, IPV4, "IpExtInBcastPkts"),
        (4, OUR_MAC, ARP, "ArpInErrors"),
        (4, OUR_MAC, IPV4, "IpInHdrErrors"),
        (6, OUR_MAC, IPV4, "IpInDiscards"),
        (6, OUR_MAC, IPV6, "Ip6InHdrErrors"),
        (6, BROADCAST, IPV6, "Ip6InDiscards"),
        (6, OUR_MAC, ARP, "EthernetInUnknownProtos"),
        (6, multicast_mac(ALL_NODES), IPV6, "Ip6InDiscards"),
        (6, multicast_mac(ALL_NODES), IPV4, "EthernetInOtherHost"),
        (6, multicast_mac(solicited_node(PEER6)), IPV6, "EthernetInOtherHost"),
        (6, bytes.fromhex("333300000002"), IPV6, "EthernetInOtherHost"),
        (6, bytes.fromhex("01005e000001"), IPV4, "EthernetInOtherHost"),
    ],
)
def test_what_is_not_for_us_is_counted_and_dropped(family: int, destination: bytes, ethertype: int, counter: str) -> None:
    wire = Wire(family)
    assert wire.hear(b"whatever it is", ethertype=ethertype, destination=destination) is None
    assert wire.counters[counter] == 1
    assert wire.sent() == []


def multicast(group: bytes) -> bytes:
    return CODEC.encode_ip(IPPacket(PEER6, group, EXPERIMENTAL, b"to many"))


@pytest.mark.parametrize("group", [ALL_NODES, solicited_node(US6), solicited_node(LINK_LOCAL)])
@pytest.mark.parametrize("to_us", [False, True])
def test_what_comes_to_a_group_of_ours_is_handed_up(group: bytes, to_us: bool) -> None:
    """RFC 4291 2.8: all nodes, and the solicited-node group of each address; RFC 6085 lets it come to our MAC alone, too."""
    packet = multicast(group)
    assert Wire(6).hear(packet, ethertype=IPV6, destination=OUR_MAC if to_us else multicast_mac(group)) == packet


def test_what_is_for_one_host_does_not_come_to_many() -> None:
    """As RFC 1122 3.3.6 has it of IPv4: TCP above would take it for a packet that came to this host alone."""
    wire = Wire(6)
    packet = CODEC.encode_ip(IPPacket(PEER6, US6, EXPERIMENTAL, b"to one"))
    assert wire.hear(packet, ethertype=IPV6, destination=multicast_mac(ALL_NODES)) is None
    assert wire.counters["Ip6InDiscards"] == 1


def test_our_own_multicast_that_a_bridge_gives_back_is_dropped() -> None:
    wire = Wire(6)
    assert wire.hear(multicast(ALL_NODES), ethertype=IPV6, destination=multicast_mac(ALL_NODES), source=OUR_MAC) is None
    assert wire.counters["EthernetInOwn"] == 1


@settings(deadline=None)
@given(
    st.sampled_from([4, 6]),
    st.binary(max_size=80),
    st.sampled_from(
        [
            b"",
            OUR_MAC + PEER_MAC + b"\x08\x06",
            BROADCAST + PEER_MAC + b"\x08\x06",
            OUR_MAC + PEER_MAC + b"\x86\xdd",
            multicast_mac(ALL_NODES) + PEER_MAC + b"\x86\xdd",
        ]
    ),
)
def test_garbage_raises_nothing(family: int, data: bytes, head: bytes) -> None:
    wire = Wire(family)
    before = wire.counters.snapshot()
    if wire.link.receive(head + data, now=0) is None:
        assert wire.counters.snapshot() != before


# --- where packets go ---


@families
def test_packets_for_other_networks_go_to_the_gateway(family: int) -> None:
    wire = Wire(family, gateway=FAMILIES[family].peer)
    wire.send(destination=wire.places.far)
    assert wire.questions() == [(None, wire.places.peer)]
    wire.answer()
    wire.send(b"more", destination=wire.places.far)
    assert wire.packets() == [(PEER_MAC, b"packet"), (PEER_MAC, b"more")]
    assert wire.state(wire.places.far) is None


def test_the_gateway_may_be_known_by_its_link_local_address() -> None:
    router = pack_address("fe80::1")
    wire = Wire(6, gateway=router)
    wire.send(destination=FAR6)
    assert wire.questions() == [(None, router)]


def test_a_link_local_destination_needs_no_gateway() -> None:
    wire = Wire(6, gateway=PEER6)
    there = pack_address("fe80::9")
    wire.send(destination=there)
    assert wire.questions() == [(None, there)]


@families
def test_without_a_gateway_other_networks_are_unreachable(family: int) -> None:
    wire = Wire(family)
    wire.send(destination=wire.places.far)
    assert wire.unreachable() == [b"packet"]
    assert wire.counters["IpOutNoRoutes" if family == 4 else "Ip6OutNoRoutes"] == 1
    assert wire.sent() == []


def test_each_family_has_its_gateway() -> None:
    wire = Wire(interfaces=BOTH, gateway=PEER)
    wire.send(destination=FAR)
    wire.send(destination=FAR6)
    assert [CODEC.decode_arp(frame.payload).target_ip for frame in wire.sent()] == [PEER]
    assert wire.counters["Ip6OutNoRoutes"] == 1


@pytest.mark.parametrize(
    "destination", ["10.9.0.255", "10.9.0.0", "255.255.255.255", "224.0.0.1", "10.9.0.2", "ff02::1", "fd3d::2", "fe80::ff:fe00:2"]
)
def test_no_neighbour_is_asked_for_what_no_neighbour_can_be(destination: str) -> None:
    wire = Wire(6 if ":" in destination else 4, gateway=PEER6 if ":" in destination else PEER)
    wire.send(destination=pack_address(destination))
    assert wire.unreachable() == [b"packet"]
    assert wire.sent() == []


@families
def test_a_proof_of_another_network_is_one_of_the_gateway(family: int) -> None:
    wire = Wire(family, gateway=FAMILIES[family].peer, nd_reachable=1, neighbor_reachable=1)
    wire.send(destination=wire.places.far)
    wire.answer()
    wire.wait(1)
    assert wire.state() == "STALE"
    wire.confirm(wire.places.far)
    assert wire.state() == "REACHABLE"


# --- both codecs, and what is refused ---


@families
def test_two_links_on_a_cable_find_each_other_whatever_their_codec(family: int) -> None:
    ends = []
    texts = {4: ("10.9.0.2/24", "10.9.0.1/24"), 6: ("fd3d::2/64", "fd3d::1/64")}[family]
    for name, mac, text in (("fast", OUR_MAC, texts[0]), ("scapy", PEER_MAC, texts[1])):
        end = EthernetLink(
            mac,
            [Interface.parse(text)],
            gateways=(),
            config=StackConfig(dad_transmits=0),
            codec=make_codec(name),
            counters=Counters(),
            random=lambda below: 0,
        )
        ends.append(end)
    us, peer = FAMILIES[family].us, FAMILIES[family].peer
    got: list[list[bytes]] = [[], []]
    ends[0].send(CODEC.encode_ip(IPPacket(us, peer, EXPERIMENTAL, b"there")), peer, now=0)
    ends[1].send(CODEC.encode_ip(IPPacket(peer, us, EXPERIMENTAL, b"and back")), us, now=0)
    moved = True
    while moved:
        moved = False
        for n, end in enumerate(ends):
            while (frame := end.poll_transmit(now=0)) is not None:
                moved = True
                octets = ends[1 - n].receive(finished(frame), now=0)
                if octets is None:
                    continue
                packet = CODEC.decode_ip(octets)
                if packet.protocol == EXPERIMENTAL:
                    got[1 - n].append(bytes(packet.payload))
                else:
                    ends[1 - n].receive_icmpv6(packet, CODEC.decode_icmpv6(packet), now=0)
    assert got == [[b"and back"], [b"there"]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mac": BROADCAST}, "ff:ff:ff:ff:ff:ff cannot be a host's MAC address: take six octets, the first one even"),
        ({"mac": b"\2\0\0"}, "02:00:00 cannot be a host's MAC address: take six octets, the first one even"),
        ({"mac": NO_MAC}, "00:00:00:00:00:00 cannot be a host's MAC address: take six octets, the first one even"),
        ({"gateways": [FAR]}, "gateway 203.0.113.5 is no other host on the network of 10.9.0.2/24"),
        ({"gateways": [US]}, "gateway 10.9.0.2 is no other host on the network of 10.9.0.2/24"),
        ({"gateways": [pack_address("10.9.0.255")]}, "gateway 10.9.0.255 is no other host on the network of 10.9.0.2/24"),
        ({"gateways": [FAR6]}, "gateway 2001:db8::5 is no other host on the network of fd3d::2/64, fe80::ff:fe00:2/64"),
        ({"gateways": [ALL_NODES]}, "gateway ff02::1 is no other host on the network of fd3d::2/64, fe80::ff:fe00:2/64"),
        ({"gateways": [LINK_LOCAL]}, "gateway fe80::ff:fe00:2 is no other host on the network of fd3d::2/64, fe80::ff:fe00:2/64"),
        ({"gateways": [PEER6], "interfaces": BOTH[:1]}, "gateway fd3d::1 is no other host on the network of 10.9.0.2/24"),
        ({"gateways": [PEER, pack_address("10.9.0.9")]}, "10.9.0.9 is a second gateway of its family: take one"),
    ],
)
def test_what_cannot_be_a_link_is_refused(changes: dict[str, Any], complaint: str) -> None:
    fields: dict[str, Any] = {"mac": OUR_MAC, "interfaces": BOTH, "gateways": [PEER, PEER6], **changes}
    mac, interfaces = fields.pop("mac"), [Interface.parse(text) for text in fields.pop("interfaces")]
    with pytest.raises(InvalidArgument) as refusal:
        EthernetLink(mac, interfaces, **fields, config=StackConfig(), codec=CODEC, counters=Counters(), random=lambda below: 0)
    assert refusal.value.strerror == complaint


# --- link-local addresses (RFC 4291 2.8) ---


@pytest.mark.parametrize(
    ("given_", "all_"),
    [
        (["fd3d::2/64"], ["fd3d::2/64", "fe80::ff:fe00:2/64"]),
        (["10.9.0.2/24", "fd3d::2/64", "2001:db8::2/64"], ["10.9.0.2/24", "fd3d::2/64", "2001:db8::2/64", "fe80::ff:fe00:2/64"]),
        (["fe80::5/64", "fd3d::2/64"], ["fe80::5/64", "fd3d::2/64"]),
        (["10.9.0.2/24"], ["10.9.0.2/24"]),
    ],
)
def test_a_link_with_ipv6_has_a_link_local_address(given_: list[str], all_: list[str]) -> None:
    assert [str(interface) for interface in Wire(interfaces=given_).link.addresses.interfaces] == all_
