"""Duplicate address detection (RFC 4862 5.4): no address is used before it is sure that nobody else has it."""

import random
from typing import Any

import pytest

from tests.net.bench import ISS, PORT
from tests.support.ethernet_wire import CODEC, LINK_LOCAL, OTHER_MAC, OUR_MAC, PEER6, PEER_MAC, US6
from userstack.address import Endpoint, pack_address
from userstack.config import SECOND, StackConfig
from userstack.errors import AddressNotAvailable
from userstack.net.addresses import Addresses
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.trace import AddressAssigned, AddressDuplicate, Event
from userstack.wire import nd
from userstack.wire.ethernet import IPV6, EthernetFrame, multicast_mac
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import ECHO_REQUEST
from userstack.wire.ip import ICMPV6, TCP, IPPacket
from userstack.wire.mld import ALL_MLDV2_ROUTERS
from userstack.wire.nd import ALL_NODES, HOP_LIMIT, NdMessage, NeighborAdvertisement, NeighborSolicitation, solicited_node
from userstack.wire.offload import finished
from userstack.wire.tcp import SYN, TcpSegment

NOBODY = bytes(16)


class Beginner:
    """A host that has just come to its link, with an address of its own and the link-local one."""

    def __init__(self, *interfaces: str, start: int = 0, **settings: Any) -> None:
        self.now = start
        self.trace: list[Event] = []
        self.host = Host(
            [Interface.parse(text) for text in interfaces or ("fd3d::2/64",)],
            config=StackConfig(**settings),
            codec=CODEC,
            secret=b"secret",
            random=random.Random(1).randrange,
            mac=OUR_MAC,
            trace=self.trace.append,
            isn=lambda local, remote, now: ISS,
        )

    @property
    def addresses(self) -> Addresses:
        return self.host.addresses

    def sent(self) -> list[IPPacket]:
        """The IPv6 packets that leave now, but for listener reports; all of them go where their addresses say."""
        found = []
        while (frame := self.host.poll_transmit(now=self.now)) is not None:
            decoded = CODEC.decode_ethernet(finished(frame))
            if decoded.ethertype == IPV6:
                packet = CODEC.decode_ip(decoded.payload)
                if packet.destination[0] == 0xFF:
                    assert decoded.destination == multicast_mac(packet.destination)
                if packet.destination != ALL_MLDV2_ROUTERS:
                    found.append(packet)
        return found

    def said(self) -> list[tuple[bytes, bytes, NdMessage]]:
        """What is said in neighbor discovery now, from where to where."""
        return [(packet.source, packet.destination, nd.decode(packet, CODEC.decode_icmpv6(packet))) for packet in self.sent()]

    def hear(self, packet: IPPacket, mac: bytes = OTHER_MAC) -> None:
        to = multicast_mac(packet.destination) if packet.destination[0] == 0xFF else OUR_MAC
        self.host.deliver(CODEC.encode_ethernet(EthernetFrame(to, mac, IPV6, CODEC.encode_ip(packet))), now=self.now)

    def hear_nd(self, value: NdMessage, *, source: bytes, destination: bytes, mac: bytes = OTHER_MAC) -> None:
        payload = CODEC.encode_icmpv6(nd.encode(value), source, destination)
        self.hear(IPPacket(source, destination, ICMPV6, payload, ttl=HOP_LIMIT), mac)

    def wait(self, nanoseconds: int) -> None:
        until = self.now + nanoseconds
        while (deadline := self.host.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.host.advance(now=self.now)
        self.now = until


def question(address: bytes) -> tuple[bytes, bytes, NdMessage]:
    return NOBODY, solicited_node(address), NeighborSolicitation(address)


def news(address: bytes) -> tuple[bytes, bytes, NdMessage]:
    return address, ALL_NODES, NeighborAdvertisement(address, OUR_MAC, override=True)


# --- how it goes well ---


def test_each_address_is_asked_about_once_and_used_after_a_second() -> None:
    bench = Beginner()
    assert bench.addresses.tentative == {US6, LINK_LOCAL}
    assert bench.addresses.own == set()
    assert bench.said() == [question(US6), question(LINK_LOCAL)]
    assert not bench.host.touched()
    bench.wait(SECOND - 1)
    assert bench.addresses.tentative == {US6, LINK_LOCAL}
    assert bench.said() == []
    bench.wait(1)
    assert (bench.addresses.tentative, bench.addresses.own) == (set(), {US6, LINK_LOCAL})
    assert bench.host.touched() == {bench.addresses}
    assert bench.said() == [news(US6), news(LINK_LOCAL)]
    assert [event for event in bench.trace if isinstance(event, AddressAssigned)] == [
        AddressAssigned(SECOND, US6),
        AddressAssigned(SECOND, LINK_LOCAL),
    ]
    bench.wait(100 * SECOND)
    assert bench.said() == []
    assert bench.host.next_deadline() is None


def test_it_is_asked_as_often_as_is_configured() -> None:
    bench = Beginner("fe80::2/64", dad_transmits=3, neighbor_retry=2 * SECOND)
    address = pack_address("fe80::2")
    for _ in range(3):
        assert bench.addresses.tentative == {address}
        assert bench.said() == [question(address)]
        bench.wait(2 * SECOND - 1)
        assert bench.said() == []
        bench.wait(1)
    assert bench.addresses.own == {address}
    assert bench.said() == [news(address)]


def test_it_is_not_asked_where_that_is_turned_off() -> None:
    bench = Beginner(dad_transmits=0)
    assert bench.addresses.own == {US6, LINK_LOCAL}
    assert bench.said() == []


def test_the_wait_begins_when_the_question_leaves() -> None:
    """What a full device keeps has not been asked."""
    bench = Beginner()
    bench.wait(10 * SECOND)
    assert bench.addresses.tentative == {US6, LINK_LOCAL}
    bench.sent()
    bench.wait(SECOND - 1)
    assert bench.addresses.tentative == {US6, LINK_LOCAL}
    bench.wait(1)
    assert bench.addresses.tentative == set()


def test_ipv4_does_not_wait() -> None:
    bench = Beginner("10.9.0.2/24", "fd3d::2/64")
    assert bench.addresses.own == {pack_address("10.9.0.2")}
    bench.host.bind(Endpoint(pack_address("10.9.0.2"), PORT))


# --- how it goes wrong ---


@pytest.mark.parametrize("after", [0, SECOND - 1])
@pytest.mark.parametrize("taken", [US6, LINK_LOCAL])
def test_an_address_that_somebody_has_is_never_used(taken: bytes, after: int) -> None:
    bench = Beginner()
    bench.sent()
    bench.wait(after)
    bench.hear_nd(NeighborAdvertisement(taken, OTHER_MAC, override=True), source=taken, destination=ALL_NODES)
    assert bench.addresses.duplicates == {taken}
    assert bench.host.touched() == {bench.addresses}
    assert AddressDuplicate(bench.now, taken) in bench.trace
    bench.wait(100 * SECOND)
    assert bench.addresses.own == {US6, LINK_LOCAL} - {taken}
    assert bench.addresses.duplicates == {taken}
    assert bench.host.counters["NdDuplicates"] == 1


def test_an_address_that_somebody_wants_at_the_same_time_is_never_used() -> None:
    """RFC 4862 5.4.3: neither of the two gets it."""
    bench = Beginner()
    bench.sent()
    bench.hear_nd(NeighborSolicitation(US6), source=NOBODY, destination=solicited_node(US6))
    assert bench.addresses.duplicates == {US6}
    assert bench.said() == []


def test_our_own_question_that_a_bridge_gives_back_is_no_objection() -> None:
    bench = Beginner()
    bench.sent()
    bench.hear_nd(NeighborSolicitation(US6), source=NOBODY, destination=solicited_node(US6), mac=OUR_MAC)
    bench.wait(SECOND)
    assert US6 in bench.addresses.own


def test_an_objection_from_beyond_the_link_is_none() -> None:
    """RFC 4861 7.1.2: hop limit 255."""
    bench = Beginner()
    bench.sent()
    value = nd.encode(NeighborAdvertisement(US6, OTHER_MAC, override=True))
    bench.hear(IPPacket(US6, ALL_NODES, ICMPV6, CODEC.encode_icmpv6(value, US6, ALL_NODES), ttl=254))
    assert bench.addresses.duplicates == set()
    assert bench.host.counters["Icmp6InErrors"] == 1


@pytest.mark.parametrize("address", ["fd3d::2", "2001:db8::9"])
def test_an_objection_about_what_is_not_asked_is_none(address: str) -> None:
    bench = Beginner()
    bench.sent()
    bench.wait(SECOND)
    own = set(bench.addresses.own)
    target = pack_address(address)
    bench.hear_nd(NeighborAdvertisement(target, OTHER_MAC, override=True), source=target, destination=ALL_NODES)
    assert (bench.addresses.own, bench.addresses.duplicates) == (own, set())


# --- what an address that is not ours yet is good for ---


@pytest.mark.parametrize("duplicate", [False, True])
def test_a_tentative_address_and_a_duplicate_are_as_if_we_had_them_not(duplicate: bool) -> None:
    bench = Beginner()
    bench.sent()
    if duplicate:
        bench.hear_nd(NeighborAdvertisement(US6, OTHER_MAC, override=True), source=US6, destination=ALL_NODES)
        bench.wait(SECOND)
        bench.sent()
    segment = CODEC.encode_tcp(TcpSegment(5000, PORT, 1, 0, SYN, 65535), PEER6, US6)
    bench.hear(IPPacket(PEER6, US6, TCP, segment), PEER_MAC)
    ping = CODEC.encode_icmpv6(IcmpMessage(ECHO_REQUEST, 0, 1, b"ping"), PEER6, US6)
    bench.hear(IPPacket(PEER6, US6, ICMPV6, ping), PEER_MAC)
    bench.hear_nd(NeighborSolicitation(US6, PEER_MAC), source=PEER6, destination=solicited_node(US6), mac=PEER_MAC)
    bench.hear_nd(NeighborSolicitation(US6), source=NOBODY, destination=solicited_node(pack_address("2001:db8::77")))
    assert bench.sent() == []
    assert bench.host.counters["Ip6InAddrErrors"] == 2


def test_a_tentative_address_cannot_be_bound_nor_spoken_from() -> None:
    bench = Beginner()
    with pytest.raises(AddressNotAvailable, match="still being checked"):
        bench.host.bind(Endpoint(US6, PORT))
    with pytest.raises(AddressNotAvailable, match="still being checked"):
        bench.host.connect(Endpoint(PEER6, PORT), now=0)
    bench.sent()
    bench.wait(SECOND)
    bench.host.bind(Endpoint(US6, PORT))
    assert bench.host.connect(Endpoint(PEER6, PORT), now=bench.now).local.address == US6


def test_a_duplicate_cannot_be_bound() -> None:
    bench = Beginner()
    bench.sent()
    bench.hear_nd(NeighborAdvertisement(US6, OTHER_MAC, override=True), source=US6, destination=ALL_NODES)
    with pytest.raises(AddressNotAvailable, match="another node on the link has fd3d::2 too"):
        bench.host.bind(Endpoint(US6, PORT))


def test_a_question_of_everybody_waits_for_an_address_to_answer_from() -> None:
    """An echo request to ff02::1 while all of ours are tentative: there is nobody to answer as (RFC 4443 2.2)."""
    bench = Beginner("10.9.0.2/24", "fd3d::2/64")
    bench.sent()
    ping = CODEC.encode_icmpv6(IcmpMessage(ECHO_REQUEST, 0, 1, b"ping"), PEER6, ALL_NODES)
    bench.hear(IPPacket(PEER6, ALL_NODES, ICMPV6, ping), PEER_MAC)
    assert bench.sent() == []
