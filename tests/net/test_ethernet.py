"""The Ethernet link: frames in and out, questions answered, packets sent the right way."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ethernet_wire import CODEC, FAR, NO_MAC, OTHER, OTHER_MAC, OUR_MAC, PEER, PEER_MAC, US, Wire, request
from userstack.address import pack_address
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.ethernet import EthernetLink
from userstack.net.interface import Interface
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.codec import make_codec
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, IPV6

# --- frames in ---


def test_an_ip_packet_to_our_address_is_handed_up() -> None:
    assert Wire().hear(b"E-packet", ethertype=IPV4) == b"E-packet"


@pytest.mark.parametrize(
    ("destination", "ethertype", "counter"),
    [
        (OTHER_MAC, IPV4, "EthernetInOtherHost"),
        (OTHER_MAC, ARP, "EthernetInOtherHost"),
        (bytes.fromhex("333300000001"), IPV6, "EthernetInOtherHost"),
        (OUR_MAC, IPV6, "Ip6InDiscards"),
        (OUR_MAC, 0x8100, "EthernetInUnknownProtos"),
        (BROADCAST, 0x0026, "EthernetInUnknownProtos"),
        (BROADCAST, IPV4, "IpExtInBcastPkts"),
        (OUR_MAC, ARP, "ArpInErrors"),
    ],
)
def test_what_is_not_for_us_is_counted_and_dropped(destination: bytes, ethertype: int, counter: str) -> None:
    wire = Wire()
    assert wire.hear(b"whatever it is", ethertype=ethertype, destination=destination) is None
    assert wire.counters[counter] == 1
    assert wire.sent() == []


def test_arp_for_another_hardware_is_refused() -> None:
    wire = Wire()
    packet = bytearray(CODEC.encode_arp(ArpPacket(REQUEST, PEER_MAC, PEER, NO_MAC, US)))
    packet[1] = 6  # IEEE 802
    assert wire.hear(bytes(packet), destination=BROADCAST) is None
    assert wire.counters["ArpInErrors"] == 1
    assert wire.sent() == []
    assert wire.state() is None


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", OUR_MAC + PEER_MAC + b"\x08\x06", BROADCAST + PEER_MAC + b"\x08\x06"]))
def test_garbage_raises_nothing(data: bytes, head: bytes) -> None:
    wire = Wire()
    before = wire.counters.snapshot()
    if wire.link.receive(head + data, now=0) is None:
        assert wire.counters.snapshot() != before


# --- asked by others (RFC 826) ---


def test_the_address_is_announced_once_at_the_start() -> None:
    (frame,) = Wire().announced
    assert frame.destination == BROADCAST
    assert CODEC.decode_arp(frame.payload) == request(US)


def test_a_request_for_our_address_is_answered_and_its_sender_learnt() -> None:
    wire = Wire()
    wire.hear_arp(REQUEST)
    assert wire.arps() == [(PEER_MAC, ArpPacket(REPLY, OUR_MAC, US, PEER_MAC, PEER))]
    assert wire.state() == "REACHABLE"
    wire.send()
    assert wire.packets() == [(PEER_MAC, b"packet")]


def test_a_request_for_another_address_is_not_answered_and_teaches_nothing() -> None:
    wire = Wire()
    wire.hear_arp(REQUEST, target_ip=OTHER)
    assert wire.sent() == []
    assert wire.state() is None


def test_a_gratuitous_request_moves_a_neighbour_that_is_known_and_adds_none() -> None:
    wire = Wire()
    wire.answer()
    wire.hear_arp(REQUEST, OTHER_MAC, PEER, NO_MAC, PEER)
    wire.hear_arp(REQUEST, OTHER_MAC, OTHER, NO_MAC, OTHER)
    wire.send()
    assert wire.packets() == [(OTHER_MAC, b"packet")]
    assert wire.state(OTHER) is None


def test_a_probe_for_our_address_is_answered_and_teaches_nothing() -> None:
    """RFC 5227 2.1.1: who wants our address asks from 0.0.0.0, and must hear that it is taken."""
    wire = Wire()
    nobody = bytes(4)
    wire.hear_arp(REQUEST, sender_ip=nobody)
    assert wire.arps() == [(PEER_MAC, ArpPacket(REPLY, OUR_MAC, US, PEER_MAC, nobody))]
    assert wire.link.neighbors() == []


@pytest.mark.parametrize("operation", [REQUEST, REPLY])
def test_another_owner_of_our_address_is_counted_and_not_learnt(operation: int) -> None:
    wire = Wire()
    wire.hear_arp(operation, sender_ip=US)
    assert wire.counters["ArpConflicts"] == 1
    assert wire.link.neighbors() == []
    assert wire.sent() == []


def test_our_own_announcement_coming_back_is_no_conflict() -> None:
    wire = Wire()
    wire.hear_arp(REQUEST, sender_mac=OUR_MAC, sender_ip=US)
    assert wire.counters["ArpConflicts"] == 0
    assert wire.sent() == []


@pytest.mark.parametrize("mac", [BROADCAST, bytes.fromhex("010000000001"), NO_MAC])
def test_a_sender_that_is_no_single_machine_is_refused(mac: bytes) -> None:
    wire = Wire()
    wire.hear_arp(REQUEST, sender_mac=mac)
    assert wire.counters["ArpInErrors"] == 1
    assert wire.sent() == []
    assert wire.link.neighbors() == []


@pytest.mark.parametrize("operation", [0, 3, 8, 65535])
def test_an_operation_that_is_not_arps_is_refused(operation: int) -> None:
    wire = Wire()
    wire.hear_arp(operation)
    assert wire.counters["ArpInErrors"] == 1
    assert wire.sent() == []


@pytest.mark.parametrize("sender", ["10.9.0.255", "10.9.0.0", "203.0.113.5", "224.0.0.1", "255.255.255.255"])
def test_an_address_that_is_no_neighbours_is_not_learnt(sender: str) -> None:
    wire = Wire()
    wire.hear_arp(REQUEST, sender_ip=pack_address(sender))
    assert wire.link.neighbors() == []


# --- where packets go ---


def test_packets_for_other_networks_go_to_the_gateway() -> None:
    wire = Wire(gateway=PEER)
    wire.send(destination=FAR)
    assert wire.arps() == [(BROADCAST, request(PEER))]
    wire.answer()
    wire.send(b"more", destination=FAR)
    assert wire.packets() == [(PEER_MAC, b"packet"), (PEER_MAC, b"more")]
    assert wire.state(FAR) is None


@pytest.mark.parametrize("destination", [FAR, pack_address("fd3d::1")])
def test_without_a_gateway_other_networks_are_unreachable(destination: bytes) -> None:
    wire = Wire()
    wire.send(destination=destination)
    assert wire.unreachable() == [b"packet"]
    assert wire.counters["IpOutNoRoutes"] == 1
    assert wire.sent() == []


@pytest.mark.parametrize("destination", ["10.9.0.255", "10.9.0.0", "255.255.255.255", "224.0.0.1", "10.9.0.2"])
def test_no_neighbour_is_asked_for_what_no_neighbour_can_be(destination: str) -> None:
    wire = Wire(gateway=PEER)
    wire.send(destination=pack_address(destination))
    assert wire.unreachable() == [b"packet"]
    assert wire.sent() == []


# --- both codecs, and what is refused ---


def test_two_links_on_a_cable_find_each_other_whatever_their_codec() -> None:
    ends = []
    for name, mac, address in (("fast", OUR_MAC, "10.9.0.2/24"), ("scapy", PEER_MAC, "10.9.0.1/24")):
        interface = Interface.parse(address)
        codec = make_codec(name)
        ends.append(EthernetLink(mac, interface, gateway=None, config=StackConfig(), codec=codec, counters=Counters()))
    got: list[list[bytes]] = [[], []]
    ends[0].send(b"there", PEER, now=0)
    ends[1].send(b"and back", US, now=0)
    moved = True
    while moved:
        moved = False
        for n, end in enumerate(ends):
            while (frame := end.poll_transmit(now=0)) is not None:
                moved = True
                packet = ends[1 - n].receive(frame, now=0)
                if packet is not None:
                    got[1 - n].append(bytes(packet))
    assert got == [[b"and back"], [b"there"]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"mac": BROADCAST}, "ff:ff:ff:ff:ff:ff cannot be a host's MAC address: take six octets, the first one even"),
        ({"mac": b"\2\0\0"}, "02:00:00 cannot be a host's MAC address: take six octets, the first one even"),
        ({"interface": Interface.parse("fd3d::1/64")}, "fd3d::1/64: an Ethernet link has an IPv4 address, as in 10.9.0.2/24"),
        ({"gateway": FAR}, "gateway 203.0.113.5 is no host on the network of 10.9.0.2/24: take one that is"),
        ({"gateway": pack_address("10.9.0.255")}, "gateway 10.9.0.255 is no host on the network of 10.9.0.2/24: take one that is"),
    ],
)
def test_what_cannot_be_a_link_is_refused(changes: dict[str, Any], complaint: str) -> None:
    fields: dict[str, Any] = {"mac": OUR_MAC, "interface": Interface.parse("10.9.0.2/24"), "gateway": PEER}
    with pytest.raises(InvalidArgument) as refusal:
        EthernetLink(**fields | changes, config=StackConfig(), codec=CODEC, counters=Counters())
    assert refusal.value.strerror == complaint
