"""The cache of neighbours through its whole life, seen from the wire: asking, giving up, ageing, and its limits."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ethernet_wire import CODEC, FAR, OTHER, OTHER_MAC, PEER, PEER_MAC, US, Wire, request
from userstack.address import format_address
from userstack.config import SECOND
from userstack.wire.arp import REQUEST
from userstack.wire.ethernet import ARP, BROADCAST, IPV4

# --- asking (RFC 1122 2.3.2) ---


def test_packets_wait_for_the_answer_and_go_out_in_order() -> None:
    wire = Wire()
    for packet in (b"1", b"2", b"3"):
        wire.send(packet)
    assert wire.arps() == [(BROADCAST, request(PEER))]
    assert wire.state() == "INCOMPLETE"
    wire.wait(SECOND // 2)
    wire.answer()
    assert wire.packets() == [(PEER_MAC, b"1"), (PEER_MAC, b"2"), (PEER_MAC, b"3")]
    assert wire.unreachable() == []


def test_any_arp_from_whom_we_asked_for_is_an_answer() -> None:
    """RFC 826: the table is looked at before the operation and the target are."""
    wire = Wire()
    wire.send()
    wire.arps()
    wire.hear_arp(REQUEST, target_ip=OTHER)
    assert wire.packets() == [(PEER_MAC, b"packet")]


def test_the_latest_packets_are_kept() -> None:
    wire = Wire(neighbor_queue=2)
    for packet in (b"1", b"2", b"3", b"4"):
        wire.send(packet)
    wire.arps()
    wire.answer()
    assert [packet for _, packet in wire.packets()] == [b"3", b"4"]
    assert wire.counters["ArpUnresolvedDiscards"] == 2


def test_without_an_answer_it_asks_again_each_second_and_gives_up() -> None:
    wire = Wire()
    wire.send(b"1")
    assert len(wire.arps()) == 1
    wire.send(b"2")
    for _ in range(2):
        wire.wait(SECOND - 1)
        assert wire.arps() == []
        wire.wait(1)
        assert wire.arps() == [(BROADCAST, request(PEER))]
        assert wire.unreachable() == []
    wire.wait(SECOND - 1)
    assert wire.unreachable() == []
    wire.wait(1)
    assert wire.arps() == []
    assert wire.unreachable() == [b"1", b"2"]
    assert wire.state() == "FAILED"
    assert wire.counters["ArpFailures"] == 1


def test_a_neighbour_that_failed_is_asked_again_when_it_is_needed_again() -> None:
    wire = Wire()
    wire.send(b"1")
    wire.wait(3 * SECOND)
    wire.sent()
    wire.unreachable()
    wire.send(b"2")
    assert wire.arps() == [(BROADCAST, request(PEER))]
    wire.answer()
    assert wire.packets() == [(PEER_MAC, b"2")]


def test_a_neighbour_that_failed_is_forgotten_after_a_while() -> None:
    wire = Wire()
    wire.send()
    wire.wait(63 * SECOND)
    assert wire.state() is None
    assert wire.link.next_deadline() is None


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["send", "answer", "hear", "wait"]), st.integers(0, 40 * SECOND)), max_size=40))
def test_no_neighbour_is_asked_twice_in_a_second(plan: list[tuple[str, int]]) -> None:
    wire = Wire(neighbor_reachable=7 * SECOND)
    asked: list[int] = []

    def look() -> None:
        arps = [CODEC.decode_arp(frame.payload) for frame in wire.sent() if frame.ethertype == ARP]
        asked.extend(wire.now for arp in arps if arp.operation == REQUEST)

    for action, wait in plan:
        match action:
            case "send":
                wire.send()
            case "answer":
                wire.answer()
            case "hear":
                wire.hear_arp(REQUEST, OTHER_MAC)
            case _:
                until = wire.now + wait
                while (deadline := wire.link.next_deadline()) is not None and deadline <= until:
                    wire.wait(deadline - wire.now)
                    look()
                wire.wait(until - wire.now)
        look()
    assert all(later - earlier >= SECOND for earlier, later in pairwise(asked))


# --- ageing ---


def aged() -> Wire:
    """The peer answered a minute ago, when it was asked."""
    wire = Wire()
    wire.send()
    wire.answer()
    assert len(wire.sent()) == 2
    wire.wait(60 * SECOND - 1)
    assert wire.state() == "REACHABLE"
    wire.wait(1)
    assert wire.state() == "STALE"
    return wire


def test_a_stale_neighbour_that_nobody_needs_is_forgotten() -> None:
    wire = aged()
    wire.wait(60 * SECOND)
    assert wire.sent() == []
    assert wire.link.neighbors() == []
    assert wire.link.next_deadline() is None


def test_a_stale_neighbour_is_used_and_asked_whether_it_is_there() -> None:
    wire = aged()
    wire.send(b"1")
    wire.send(b"2")
    frames = wire.sent()
    assert [(frame.ethertype, frame.destination) for frame in frames] == [(IPV4, PEER_MAC), (IPV4, PEER_MAC), (ARP, PEER_MAC)]
    assert CODEC.decode_arp(frames[-1].payload) == request(PEER, PEER_MAC)
    wire.wait(SECOND // 10)
    wire.answer()
    assert wire.state() == "REACHABLE"
    wire.wait(59 * SECOND)
    assert wire.sent() == []


def test_a_stale_neighbour_that_does_not_answer_fails_and_is_then_asked_for_by_broadcast() -> None:
    wire = aged()
    wire.send(b"1")
    assert len(wire.sent()) == 2
    for _ in range(2):
        wire.wait(SECOND)
        assert wire.arps() == [(PEER_MAC, request(PEER, PEER_MAC))]
    wire.wait(SECOND)
    assert wire.state() == "FAILED"
    assert wire.sent() == []
    wire.send(b"2")
    assert wire.arps() == [(BROADCAST, request(PEER))]
    wire.answer(OTHER_MAC)
    assert wire.packets() == [(OTHER_MAC, b"2")]


@pytest.mark.parametrize("target", [US, OTHER])
def test_hearing_a_neighbour_makes_it_fresh(target: bytes) -> None:
    """RFC 1122 2.3.2.1 (1): whomever it asked for."""
    wire = aged()
    wire.hear_arp(REQUEST, target_ip=target)
    assert wire.state() == "REACHABLE"


def test_the_table_says_what_is_known() -> None:
    wire = Wire()
    wire.answer()
    wire.send(destination=OTHER)
    assert wire.link.neighbors() == [
        (PEER, PEER_MAC, "REACHABLE", wire.now + 60 * SECOND),
        (OTHER, None, "INCOMPLETE", wire.now + SECOND),
    ]


# --- limits ---


def addresses(count: int) -> list[bytes]:
    return [bytes([10, 9, 0, 10 + n]) for n in range(count)]


def test_the_neighbour_heard_of_longest_ago_makes_room() -> None:
    wire = Wire(neighbor_max=3)
    first, second, third, fourth = addresses(4)
    for address in (first, second, third):
        wire.hear_arp(REQUEST, sender_ip=address)
    wire.hear_arp(REQUEST, sender_ip=first)
    wire.hear_arp(REQUEST, sender_ip=fourth)
    assert [format_address(row.address) for row in wire.link.neighbors()] == ["10.9.0.12", "10.9.0.10", "10.9.0.13"]
    assert wire.counters["ArpTableFulls"] == 1
    wire.wait(120 * SECOND)
    assert wire.link.neighbors() == []


def test_what_waited_for_a_neighbour_that_made_room_is_unreachable() -> None:
    wire = Wire(neighbor_max=1)
    wire.send(b"1", destination=PEER)
    wire.send(b"2", destination=OTHER)
    assert wire.unreachable() == [b"1"]
    wire.wait(3 * SECOND)
    assert wire.unreachable() == [b"2"]


def test_a_device_that_takes_nothing_does_not_let_the_queue_grow() -> None:
    wire = Wire(transmit_queue=4)
    for _ in range(10):
        wire.hear_arp(REQUEST)
    assert len(wire.sent()) == 4
    assert wire.counters["EthernetOutDiscards"] == 6


def test_what_nobody_takes_back_does_not_pile_up() -> None:
    wire = Wire(transmit_queue=4)
    for n in range(10):
        wire.send(bytes([n]), destination=FAR)
    assert wire.unreachable() == [b"\6", b"\7", b"\10", b"\11"]
    assert wire.counters["IpOutDiscards"] == 6
