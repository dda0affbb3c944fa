"""ARP: who asks for us is told, who speaks to us is learnt, and who speaks to others is not (RFC 826)."""

import pytest

from tests.support.ethernet_wire import CODEC, NO_MAC, OTHER, OTHER_MAC, OUR_MAC, PEER, PEER_MAC, US, Wire, request
from userstack.address import pack_address
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.ethernet import BROADCAST


def test_every_address_is_announced_once_at_the_start() -> None:
    second = pack_address("192.0.2.2")
    wire = Wire(interfaces=["10.9.0.2/24", "192.0.2.2/24"])
    assert [frame.destination for frame in wire.announced] == [BROADCAST] * 2
    announced = [CODEC.decode_arp(frame.payload) for frame in wire.announced]
    assert announced == [request(US), ArpPacket(REQUEST, OUR_MAC, second, NO_MAC, second)]


def test_arp_for_another_hardware_is_refused() -> None:
    wire = Wire()
    packet = bytearray(CODEC.encode_arp(ArpPacket(REQUEST, PEER_MAC, PEER, NO_MAC, US)))
    packet[1] = 6  # IEEE 802
    assert wire.hear(bytes(packet), destination=BROADCAST) is None
    assert wire.counters["ArpInErrors"] == 1
    assert wire.sent() == []
    assert wire.state() is None


@pytest.mark.parametrize("address", ["10.9.0.2", "192.0.2.2"])
def test_a_request_for_an_address_of_ours_is_answered_and_its_sender_learnt(address: str) -> None:
    wire = Wire(interfaces=["10.9.0.2/24", "192.0.2.2/24"])
    asked = pack_address(address)
    wire.hear_arp(REQUEST, target_ip=asked)
    assert wire.arps() == [(PEER_MAC, ArpPacket(REPLY, OUR_MAC, asked, PEER_MAC, PEER))]
    assert wire.state() == "REACHABLE"
    wire.send()
    assert wire.packets() == [(PEER_MAC, b"packet")]


def test_a_request_for_another_address_is_not_answered_and_teaches_nothing() -> None:
    wire = Wire()
    wire.hear_arp(REQUEST, target_ip=OTHER)
    assert wire.sent() == []
    assert wire.state() is None


def test_any_arp_from_whom_we_asked_for_is_an_answer() -> None:
    """RFC 826: the table is looked at before the operation and the target are."""
    wire = Wire()
    wire.send()
    wire.arps()
    wire.hear_arp(REQUEST, target_ip=OTHER)
    assert wire.packets() == [(PEER_MAC, b"packet")]


@pytest.mark.parametrize("target", [US, OTHER])
def test_hearing_a_stale_neighbour_makes_it_fresh(target: bytes) -> None:
    """RFC 1122 2.3.2.1 (1): whomever it asked for."""
    wire = Wire(neighbor_reachable=1)
    wire.answer()
    wire.wait(1)
    assert wire.state() == "STALE"
    wire.hear_arp(REQUEST, target_ip=target)
    assert wire.state() == "REACHABLE"


def test_a_gratuitous_request_moves_a_neighbour_that_is_known_and_adds_none() -> None:
    wire = Wire()
    wire.ask()
    wire.sent()
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
    assert wire.neighbors() == []


@pytest.mark.parametrize("operation", [REQUEST, REPLY])
def test_another_owner_of_our_address_is_counted_and_not_learnt(operation: int) -> None:
    wire = Wire()
    wire.hear_arp(operation, sender_ip=US)
    assert wire.counters["ArpConflicts"] == 1
    assert wire.neighbors() == []
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
    assert wire.neighbors() == []


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
    assert wire.neighbors() == []


def test_a_question_comes_from_the_address_that_the_packet_has() -> None:
    """The neighbour learns who asks, and will not have to ask for the packet's sender in turn."""
    wire = Wire(interfaces=["192.0.2.2/24", "10.9.0.2/24"])
    wire.send(destination=pack_address("192.0.2.9"))
    [(_, question)] = wire.arps()
    assert question.sender_ip == US


def test_a_neighbour_is_probed_from_the_address_on_its_network() -> None:
    wire = Wire(interfaces=["192.0.2.2/24", "10.9.0.2/24"], neighbor_reachable=1)
    wire.ask()
    wire.wait(1)
    wire.send()
    wire.sent()
    wire.wait(5_000_000_000)
    assert wire.arps() == [(PEER_MAC, request(PEER, PEER_MAC))]


def test_a_stack_without_ipv4_has_no_arp() -> None:
    wire = Wire(6)
    wire.hear_arp(REQUEST)
    assert wire.sent() == []
    assert wire.counters["EthernetInUnknownProtos"] == 1
