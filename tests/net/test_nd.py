"""Neighbor discovery: who asks for us is told, and what others say is taken as RFC 4861 7.2 has it."""

import pytest

from tests.support.ethernet_wire import (
    CODEC,
    FAR6,
    LINK_LOCAL,
    NO_MAC,
    OTHER6,
    OTHER_MAC,
    OUR_MAC,
    PEER6,
    PEER_MAC,
    US6,
    Wire,
)
from userstack.address import pack_address
from userstack.config import SECOND
from userstack.trace import PacketSent
from userstack.wire.codec import WireError
from userstack.wire.ethernet import BROADCAST, multicast_mac
from userstack.wire.nd import (
    ALL_NODES,
    NeighborAdvertisement,
    NeighborSolicitation,
    RouterAdvertisement,
    RouterSolicitation,
    solicited_node,
)

NOBODY = bytes(16)
THIRD_MAC = bytes.fromhex("020000000033")


# --- asked by others (RFC 4861 7.2.3, 7.2.4) ---


@pytest.mark.parametrize("target", [US6, LINK_LOCAL])
@pytest.mark.parametrize("unicast", [False, True])
def test_a_solicitation_is_answered_and_its_sender_learnt(target: bytes, unicast: bool) -> None:
    wire = Wire(6)
    wire.hear_nd(NeighborSolicitation(target, PEER_MAC), destination=target if unicast else solicited_node(target))
    [(mac, packet, said)] = wire.discoveries()
    assert (mac, packet.source, packet.destination) == (PEER_MAC, target, PEER6)
    assert said == NeighborAdvertisement(target, OUR_MAC, router=False, solicited=True, override=True)
    assert (wire.state(), wire.mac()) == ("STALE", PEER_MAC)


def test_a_solicitation_for_another_address_is_not_answered_and_teaches_nothing() -> None:
    """Two addresses may share a solicited-node group."""
    wire = Wire(6)
    twin = pack_address("2001:db8::2")
    assert solicited_node(twin) == solicited_node(US6)
    wire.hear_nd(NeighborSolicitation(twin, PEER_MAC), destination=solicited_node(twin))
    assert wire.sent() == []
    assert wire.neighbors() == []


def test_who_wants_our_address_is_told_with_everybody_that_it_is_taken() -> None:
    """RFC 4862 5.4.3, RFC 4861 7.2.4: an asker without an address is answered at ff02::1, unsolicited."""
    wire = Wire(6)
    wire.hear_nd(NeighborSolicitation(US6), source=NOBODY, destination=solicited_node(US6))
    [(mac, packet, said)] = wire.discoveries()
    assert (mac, packet.source, packet.destination) == (multicast_mac(ALL_NODES), US6, ALL_NODES)
    assert said == NeighborAdvertisement(US6, OUR_MAC, solicited=False, override=True)
    assert wire.neighbors() == []


def test_an_asker_that_does_not_say_where_it_is_is_looked_for_first() -> None:
    """RFC 4861 7.2.4: the answer waits for the asker's link-layer address."""
    wire = Wire(6)
    wire.hear_nd(NeighborSolicitation(US6))
    [(mac, packet, said)] = wire.discoveries()
    assert (mac, packet.source) == (multicast_mac(solicited_node(PEER6)), US6)
    assert said == NeighborSolicitation(PEER6, OUR_MAC)
    wire.answer()
    [(mac, packet, said)] = wire.discoveries()
    assert (mac, packet.destination) == (PEER_MAC, PEER6)
    assert said == NeighborAdvertisement(US6, OUR_MAC, solicited=True, override=True)


def test_an_asker_from_another_network_is_answered_and_not_learnt() -> None:
    """RFC 5942 4: what is on the link is told by prefixes, not by who speaks; or it could draw others' packets to itself."""
    wire = Wire(6)
    wire.hear_nd(NeighborSolicitation(US6, PEER_MAC), source=FAR6, destination=solicited_node(US6))
    [(mac, packet, _)] = wire.discoveries()
    assert (mac, packet.destination) == (PEER_MAC, FAR6)
    assert wire.neighbors() == []


def test_an_asker_from_a_link_local_address_is_learnt() -> None:
    wire = Wire(6)
    there = pack_address("fe80::9")
    wire.hear_nd(NeighborSolicitation(US6, PEER_MAC), source=there, destination=solicited_node(US6))
    assert wire.mac(there) == PEER_MAC


def test_an_asker_that_has_moved_is_followed_but_not_trusted() -> None:
    """RFC 4861 7.2.3: another link-layer address: STALE; the same one changes nothing."""
    wire = Wire(6)
    wire.send()
    wire.answer()
    wire.ask()
    assert (wire.state(), wire.mac()) == ("REACHABLE", PEER_MAC)
    wire.ask(OTHER_MAC)
    assert (wire.state(), wire.mac()) == ("STALE", OTHER_MAC)


def test_packets_that_wait_go_to_an_asker() -> None:
    """RFC 4861 7.2.3, 7.3.3: an INCOMPLETE entry gets its address from a solicitation too: STALE, and with their going DELAY."""
    wire = Wire(6)
    wire.send()
    wire.questions()
    wire.hear_nd(NeighborSolicitation(US6, PEER_MAC), destination=US6)
    assert (PEER_MAC, b"packet") in [(frame.destination, bytes(CODEC.decode_ip(frame.payload).payload)) for frame in wire.sent()]
    assert wire.state() == "DELAY"


# --- advertisements (RFC 4861 7.2.5) ---


def known(state: str) -> Wire:
    wire = Wire(6)
    wire.send()
    if state != "INCOMPLETE":
        wire.answer()
    if state in ("STALE", "DELAY", "PROBE"):
        wire.wait(60 * SECOND)
    if state in ("DELAY", "PROBE"):
        wire.send()
    if state == "PROBE":
        wire.wait(5 * SECOND)
    wire.sent()
    assert wire.state() == state
    return wire


@pytest.mark.parametrize(
    ("state", "mac", "solicited", "override", "after", "at"),
    [
        ("INCOMPLETE", None, True, True, "INCOMPLETE", None),
        ("INCOMPLETE", OTHER_MAC, True, False, "REACHABLE", OTHER_MAC),
        ("INCOMPLETE", OTHER_MAC, False, False, "DELAY", OTHER_MAC),  # STALE, and used at once by what waited
        ("REACHABLE", OTHER_MAC, True, False, "STALE", PEER_MAC),
        ("STALE", OTHER_MAC, True, False, "STALE", PEER_MAC),
        ("DELAY", OTHER_MAC, True, False, "DELAY", PEER_MAC),
        ("PROBE", OTHER_MAC, True, False, "PROBE", PEER_MAC),
        ("REACHABLE", OTHER_MAC, True, True, "REACHABLE", OTHER_MAC),
        ("STALE", OTHER_MAC, True, True, "REACHABLE", OTHER_MAC),
        ("PROBE", OTHER_MAC, True, True, "REACHABLE", OTHER_MAC),
        ("REACHABLE", OTHER_MAC, False, True, "STALE", OTHER_MAC),
        ("PROBE", OTHER_MAC, False, True, "STALE", OTHER_MAC),
        ("REACHABLE", PEER_MAC, False, True, "REACHABLE", PEER_MAC),
        ("STALE", PEER_MAC, False, False, "STALE", PEER_MAC),
        ("PROBE", PEER_MAC, False, True, "PROBE", PEER_MAC),
        ("STALE", PEER_MAC, True, False, "REACHABLE", PEER_MAC),
        ("PROBE", PEER_MAC, True, False, "REACHABLE", PEER_MAC),
        ("PROBE", None, True, False, "REACHABLE", PEER_MAC),
        ("STALE", None, False, False, "STALE", PEER_MAC),
    ],
)
def test_an_advertisement_changes_what_is_known(
    state: str, mac: bytes | None, solicited: bool, override: bool, after: str, at: bytes | None
) -> None:
    wire = known(state)
    wire.hear_nd(NeighborAdvertisement(PEER6, mac, solicited=solicited, override=override))
    assert (wire.state(), wire.mac()) == (after, at)


def test_packets_follow_a_neighbour_that_has_moved() -> None:
    wire = known("REACHABLE")
    wire.hear_nd(NeighborAdvertisement(PEER6, OTHER_MAC, override=True), destination=ALL_NODES)
    wire.send(b"after it")
    assert wire.packets() == [(OTHER_MAC, b"after it")]


def test_an_advertisement_of_somebody_unknown_is_discarded() -> None:
    wire = Wire(6)
    wire.hear_nd(NeighborAdvertisement(PEER6, PEER_MAC, override=True), destination=ALL_NODES)
    assert wire.neighbors() == []


# --- asking others (RFC 4861 7.2.2) ---


def test_everybody_in_the_solicited_node_group_is_asked_and_told_who_asks() -> None:
    wire = Wire(6)
    wire.send()
    [(mac, packet, said)] = wire.discoveries()
    assert mac == multicast_mac(solicited_node(PEER6))
    assert (packet.source, packet.destination) == (US6, solicited_node(PEER6))
    assert said == NeighborSolicitation(PEER6, OUR_MAC)


def test_a_neighbour_that_is_known_is_asked_itself() -> None:
    wire = known("DELAY")
    wire.wait(5 * SECOND)
    [(mac, packet, said)] = wire.discoveries()
    assert (mac, packet.source, packet.destination) == (PEER_MAC, US6, PEER6)
    assert said == NeighborSolicitation(PEER6, OUR_MAC)


def test_a_question_comes_from_the_address_that_the_packet_has() -> None:
    wire = Wire(6, interfaces=["fd3d::2/64", "fe80::2/64"])
    wire.send(destination=pack_address("fe80::9"))
    [(_, packet, _)] = wire.discoveries()
    assert packet.source == US6


def test_what_is_asked_and_said_is_seen_by_those_who_watch() -> None:
    wire = Wire(6)
    before = wire.counters["Ip6OutRequests"], wire.counters["Icmp6OutMsgs"]
    wire.send()
    [frame] = wire.sent()
    assert wire.trace[-1] == PacketSent(wire.now, bytes(frame.payload))
    assert wire.counters["Icmp6OutNeighborSolicits"] == 1
    assert (wire.counters["Ip6OutRequests"] - 1, wire.counters["Icmp6OutMsgs"] - 1) == before


# --- what is not believed ---


@pytest.mark.parametrize("value", [NeighborSolicitation(US6, PEER_MAC), NeighborAdvertisement(PEER6, OTHER_MAC, override=True)])
def test_what_came_through_a_router_is_not_believed(value: NeighborSolicitation | NeighborAdvertisement) -> None:
    """RFC 4861 7.1: hop limit 255."""
    wire = known("REACHABLE")
    with pytest.raises(WireError, match="hop limit 254"):
        wire.hear_nd(value, ttl=254)
    assert wire.mac() == PEER_MAC
    assert wire.sent() == []


@pytest.mark.parametrize("mac", [BROADCAST, multicast_mac(ALL_NODES), NO_MAC, OUR_MAC])
def test_a_link_layer_address_that_is_no_neighbours_is_not_believed(mac: bytes) -> None:
    wire = known("REACHABLE")
    with pytest.raises(WireError, match="no neighbour's link-layer address"):
        wire.hear_nd(NeighborSolicitation(US6, mac))
    with pytest.raises(WireError, match="no neighbour's link-layer address"):
        wire.hear_nd(NeighborAdvertisement(PEER6, mac, override=True))
    assert wire.mac() == PEER_MAC
    assert wire.sent() == []


def test_another_owner_of_our_address_is_counted_and_not_learnt() -> None:
    """RFC 4862 5.4.4; nobody talks us out of an address that we have."""
    wire = Wire(6)
    wire.hear_nd(NeighborAdvertisement(US6, PEER_MAC, override=True), destination=ALL_NODES)
    wire.hear_nd(NeighborSolicitation(US6, PEER_MAC), source=US6, destination=solicited_node(US6))
    assert wire.counters["NdConflicts"] == 2
    assert wire.neighbors() == []
    assert wire.sent() == []
    assert US6 in wire.link.addresses.own


@pytest.mark.parametrize(
    "value",
    [RouterAdvertisement(router_lifetime=1800, source_mac=OTHER_MAC), RouterSolicitation(OTHER_MAC)],
)
def test_routers_are_configured_and_not_found(value: RouterAdvertisement | RouterSolicitation) -> None:
    wire = Wire(6)
    router = pack_address("fe80::9")
    wire.hear_nd(value, source=router, destination=ALL_NODES)
    assert wire.neighbors() == []
    wire.send(destination=FAR6)
    assert wire.unreachable() == [b"packet"]


def test_a_flood_of_askers_gets_no_more_than_the_queue_holds() -> None:
    wire = Wire(6, transmit_queue=4)
    for _ in range(10):
        wire.ask(THIRD_MAC, OTHER6)
    assert len(wire.sent()) == 4
    assert wire.counters["EthernetOutDiscards"] == 6
