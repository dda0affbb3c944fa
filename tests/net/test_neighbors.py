"""The cache of neighbours through its whole life, seen from the wire: asking, giving up, ageing, its limits. ARP and ND alike."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ethernet_wire import FAMILIES, OTHER_MAC, PEER_MAC, Wire
from tests.support.examples import examples
from userstack.config import SECOND

families = pytest.mark.parametrize("family", [4, 6])


def strangers(family: int, count: int, *, first: int = 16) -> list[bytes]:
    """Addresses of others on the link."""
    us = FAMILIES[family].us
    return [us[:-1] + bytes([first + n]) for n in range(count)]


# --- asking (RFC 1122 2.3.2, RFC 4861 7.2) ---


@families
def test_packets_wait_for_the_answer_and_go_out_in_order(family: int) -> None:
    wire = Wire(family)
    for packet in (b"1", b"2", b"3"):
        wire.send(packet)
    assert wire.questions() == [(None, wire.places.peer)]
    assert wire.state() == "INCOMPLETE"
    wire.wait(SECOND // 2)
    wire.answer()
    assert wire.packets() == [(PEER_MAC, b"1"), (PEER_MAC, b"2"), (PEER_MAC, b"3")]
    assert wire.unreachable() == []


@families
def test_the_latest_packets_are_kept(family: int) -> None:
    wire = Wire(family, neighbor_queue=2)
    for packet in (b"1", b"2", b"3", b"4"):
        wire.send(packet)
    wire.questions()
    wire.answer()
    assert [packet for _, packet in wire.packets()] == [b"3", b"4"]
    assert wire.counter("UnresolvedDiscards") == 2


@families
def test_without_an_answer_it_asks_again_each_second_and_gives_up(family: int) -> None:
    wire = Wire(family)
    wire.send(b"1")
    assert len(wire.questions()) == 1
    wire.send(b"2")
    for _ in range(2):
        wire.wait(SECOND - 1)
        assert wire.questions() == []
        wire.wait(1)
        assert wire.questions() == [(None, wire.places.peer)]
        assert wire.unreachable() == []
    wire.wait(SECOND - 1)
    assert wire.unreachable() == []
    wire.wait(1)
    assert wire.questions() == []
    assert wire.unreachable() == [b"1", b"2"]
    assert wire.state() == "FAILED"
    assert wire.counter("Failures") == 1


@families
def test_a_neighbour_that_failed_is_asked_again_when_it_is_needed_again(family: int) -> None:
    wire = Wire(family)
    wire.send(b"1")
    wire.wait(3 * SECOND)
    wire.sent()
    wire.unreachable()
    wire.send(b"2")
    assert wire.questions() == [(None, wire.places.peer)]
    wire.answer()
    assert wire.packets() == [(PEER_MAC, b"2")]


@families
def test_a_neighbour_that_failed_is_forgotten_after_a_while(family: int) -> None:
    wire = Wire(family)
    wire.send()
    wire.wait(63 * SECOND)
    assert wire.state() is None
    assert wire.link.next_deadline() is None


@families
def test_a_neighbour_that_failed_is_not_known_by_what_it_says_to_others(family: int) -> None:
    """RFC 4861 7.2.5: an advertisement about nobody whom we know is discarded; RFC 826 merges into what is there."""
    wire = Wire(family)
    wire.send()
    wire.wait(3 * SECOND)
    wire.sent()
    if family == 4:
        wire.hear_arp(2, target_ip=wire.places.other)
    else:
        wire.answer()
    assert wire.state() == "FAILED"
    wire.ask()
    assert wire.mac() == PEER_MAC


@settings(max_examples=examples(50), deadline=None)
@given(
    st.sampled_from([4, 6]),
    st.lists(st.tuples(st.sampled_from(["send", "answer", "hear", "confirm", "wait"]), st.integers(0, 40 * SECOND)), max_size=40),
)
def test_no_neighbour_is_asked_twice_in_a_second(family: int, plan: list[tuple[str, int]]) -> None:
    wire = Wire(family, neighbor_reachable=7 * SECOND, nd_reachable=7 * SECOND)
    asked: list[int] = []

    def look() -> None:
        asked.extend(wire.now for frame in wire.sent() if wire.is_question(frame))

    for action, wait in plan:
        match action:
            case "send":
                wire.send()
            case "answer":
                wire.answer()
            case "hear":
                wire.ask(OTHER_MAC)
            case "confirm":
                wire.confirm()
            case _:
                until = wire.now + wait
                while (deadline := wire.link.next_deadline()) is not None and deadline <= until:
                    wire.wait(deadline - wire.now)
                    look()
                wire.wait(until - wire.now)
        look()
    assert all(later - earlier >= SECOND for earlier, later in pairwise(asked))


# --- ageing, and unreachability detection (RFC 4861 7.3) ---


def aged(family: int) -> Wire:
    """The peer answered a minute ago, when it was asked."""
    wire = Wire(family)
    wire.send()
    wire.answer()
    assert len(wire.sent()) == 2
    wire.wait(60 * SECOND - 1)
    assert wire.state() == "REACHABLE"
    wire.wait(1)
    assert wire.state() == "STALE"
    return wire


@families
def test_a_stale_neighbour_that_nobody_needs_is_forgotten(family: int) -> None:
    wire = aged(family)
    wire.wait(60 * SECOND)
    assert wire.sent() == []
    assert wire.neighbors() == []
    assert wire.link.next_deadline() is None


@families
def test_a_stale_neighbour_is_used_and_asked_after_five_seconds_whether_it_is_there(family: int) -> None:
    wire = aged(family)
    wire.send(b"1")
    wire.send(b"2")
    assert wire.packets() == [(PEER_MAC, b"1"), (PEER_MAC, b"2")]
    assert wire.state() == "DELAY"
    wire.wait(5 * SECOND - 1)
    assert wire.sent() == []
    wire.wait(1)
    assert wire.questions() == [(PEER_MAC, wire.places.peer)]
    assert wire.state() == "PROBE"
    wire.send(b"3")
    assert wire.packets() == [(PEER_MAC, b"3")]
    wire.wait(SECOND // 10)
    wire.answer()
    assert wire.state() == "REACHABLE"
    wire.wait(59 * SECOND)
    assert wire.sent() == []


@families
def test_a_neighbour_that_tcp_proves_alive_is_not_asked(family: int) -> None:
    wire = aged(family)
    wire.send()
    wire.wait(SECOND)
    wire.confirm()
    assert wire.state() == "REACHABLE"
    assert len(wire.sent()) == 1
    wire.wait(60 * SECOND - 1)
    assert wire.sent() == []
    assert wire.state() == "REACHABLE"


@families
def test_a_proof_counts_from_when_it_came(family: int) -> None:
    wire = Wire(family)
    wire.send()
    wire.answer()
    wire.wait(50 * SECOND)
    wire.confirm()
    wire.wait(60 * SECOND - 1)
    assert wire.state() == "REACHABLE"
    wire.wait(1)
    assert wire.state() == "STALE"


@families
def test_a_proof_of_somebody_unknown_is_nothing(family: int) -> None:
    wire = Wire(family)
    wire.confirm()
    assert wire.neighbors() == []
    wire.send()
    wire.confirm()
    assert wire.state() == "INCOMPLETE"


@families
def test_a_stale_neighbour_that_does_not_answer_fails_and_everybody_is_asked_then(family: int) -> None:
    wire = aged(family)
    wire.send(b"1")
    assert len(wire.sent()) == 1
    wire.wait(4 * SECOND)
    for _ in range(3):
        wire.wait(SECOND)
        assert wire.questions() == [(PEER_MAC, wire.places.peer)]
    wire.wait(SECOND)
    assert wire.state() == "FAILED"
    assert wire.sent() == []
    wire.send(b"2")
    assert wire.questions() == [(None, wire.places.peer)]
    wire.answer(OTHER_MAC)
    assert wire.packets() == [(OTHER_MAC, b"2")]


@families
def test_the_table_says_what_is_known(family: int) -> None:
    wire = Wire(family)
    wire.send()
    wire.answer()
    wire.send(destination=wire.places.other)
    assert wire.neighbors() == [
        (wire.places.peer, PEER_MAC, "REACHABLE", wire.now + 60 * SECOND),
        (wire.places.other, None, "INCOMPLETE", wire.now + SECOND),
    ]


# --- limits: who makes room ---


@families
def test_of_strangers_the_one_heard_of_longest_ago_makes_room(family: int) -> None:
    wire = Wire(family, neighbor_max=3)
    first, second, third, fourth = strangers(family, 4)
    for address in (first, second, third, first, fourth):
        wire.ask(address=address)
    assert [row.address for row in wire.neighbors()] == [third, first, fourth]
    assert wire.counter("TableFulls") == 1
    wire.wait(180 * SECOND)
    assert wire.neighbors() == []


@families
def test_strangers_that_speak_to_us_push_out_nobody_whom_we_have_something_for(family: int) -> None:
    wire = Wire(family, neighbor_max=3)
    asked, known, *many = strangers(family, 100)
    wire.send(b"1", destination=asked)
    wire.send(b"2", destination=known)
    wire.answer(address=known)
    wire.sent()
    for address in many:
        wire.ask(address=address)
    wire.sent()
    assert (wire.state(asked), wire.state(known)) == ("INCOMPLETE", "REACHABLE")
    assert len(wire.neighbors()) == 3
    wire.answer(address=asked)
    assert wire.packets() == [(PEER_MAC, b"1")]


@families
def test_strangers_that_we_answer_push_out_neither_the_gateway_nor_who_has_acknowledged(family: int) -> None:
    """Whoever floods us with SYNs of many senders has us ask for each of them, and may even answer."""
    gateway, used, *many = strangers(family, 100)
    wire = Wire(family, neighbor_max=4, gateway=gateway)
    wire.send(destination=wire.places.far)
    wire.answer(address=gateway)
    wire.send(destination=used)
    wire.answer(address=used)
    wire.confirm(used)
    for n, address in enumerate(many):
        wire.ask(address=address)
        wire.send(destination=address)
        if n % 2:
            wire.answer(address=address)
        wire.sent()
    assert len(wire.neighbors()) == 4
    assert (wire.mac(gateway), wire.mac(used)) == (PEER_MAC, PEER_MAC)
    wire.send(b"far", destination=wire.places.far)
    wire.send(b"used", destination=used)
    assert wire.packets() == [(PEER_MAC, b"far"), (PEER_MAC, b"used")]


@families
def test_a_full_table_does_not_keep_the_gateway_from_being_heard(family: int) -> None:
    gateway, *others = strangers(family, 4)
    wire = Wire(family, neighbor_max=3, gateway=gateway)
    for address in others:
        wire.send(destination=address)
    wire.ask(address=gateway)
    assert wire.mac(gateway) == PEER_MAC


@families
def test_where_everybody_is_in_use_the_one_used_longest_ago_makes_room(family: int) -> None:
    wire = Wire(family, neighbor_max=2)
    first, second, third = strangers(family, 3)
    for address in (first, second):
        wire.send(destination=address)
        wire.answer(address=address)
        wire.confirm(address)
    wire.send(destination=third)
    assert {row.address for row in wire.neighbors()} == {second, third}


@families
def test_a_neighbour_that_fails_makes_room_like_a_stranger(family: int) -> None:
    wire = Wire(family, neighbor_max=2)
    failed, used, stranger = strangers(family, 3)
    wire.send(destination=used)
    wire.answer(address=used)
    wire.send(destination=failed)
    wire.wait(3 * SECOND)
    assert wire.state(failed) == "FAILED"
    wire.ask(address=stranger)
    assert {row.address for row in wire.neighbors()} == {used, stranger}


@families
def test_what_waited_for_a_neighbour_that_made_room_is_lost_and_counted(family: int) -> None:
    """It is not unreachable, for nobody has found that out: TCP sends it again."""
    wire = Wire(family, neighbor_max=1)
    wire.send(b"1")
    wire.send(b"2", destination=wire.places.other)
    assert wire.unreachable() == []
    assert wire.counter("UnresolvedDiscards") == 1
    wire.wait(3 * SECOND)
    assert wire.unreachable() == [b"2"]


@families
def test_a_table_that_the_gateway_fills_has_no_room(family: int) -> None:
    wire = Wire(family, neighbor_max=1, gateway=FAMILIES[family].peer)
    wire.send(destination=wire.places.far)
    wire.send(destination=wire.places.other)
    assert wire.questions() == [(None, wire.places.peer)]
    assert wire.counter("UnresolvedDiscards") == 1


@families
def test_a_device_that_takes_nothing_lets_no_queue_grow(family: int) -> None:
    wire = Wire(family, transmit_queue=4, neighbor_max=2)
    for address in strangers(family, 10):
        wire.send(destination=address)
    assert len(wire.sent()) == 4
    assert wire.counter("OutDiscards") == 6
    for _ in range(10):
        wire.ask()
    assert len(wire.sent()) == 4
    assert wire.counters["EthernetOutDiscards"] == 6


@families
def test_what_nobody_takes_back_does_not_pile_up(family: int) -> None:
    wire = Wire(family, transmit_queue=4)
    for n in range(10):
        wire.send(bytes([n]), destination=wire.places.far)
    assert wire.unreachable() == [b"\6", b"\7", b"\10", b"\11"]
    assert wire.counter("UnreachableDiscards") == 6
