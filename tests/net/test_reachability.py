"""What TCP proves about a neighbour, on a host with a link: who acknowledges hears us, and need not be asked (RFC 4861 7.3.1)."""

import random

import pytest

from tests.net.bench import ISS, PORT
from tests.support.ethernet_wire import CODEC, FAMILIES, OUR_MAC, PEER_MAC
from userstack.address import Endpoint
from userstack.config import SECOND, StackConfig
from userstack.errors import HostUnreachable
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.tcp.state import State
from userstack.wire import nd
from userstack.wire.arp import REPLY, ArpPacket
from userstack.wire.ethernet import ARP, IPV4, IPV6, EthernetFrame
from userstack.wire.ip import ICMPV6, TCP, IPPacket
from userstack.wire.nd import HOP_LIMIT, NeighborAdvertisement
from userstack.wire.offload import finished
from userstack.wire.tcp import ACK, SYN, TcpSegment

families = pytest.mark.parametrize("family", [4, 6])


class Station:
    """A host on Ethernet, and its only neighbour."""

    def __init__(self, family: int) -> None:
        self.now = 0
        self.places = FAMILIES[family]
        self.host = Host(
            [Interface.parse(self.places.interface)],
            config=StackConfig(dad_transmits=0, neighbor_reachable=30 * SECOND),
            codec=CODEC,
            secret=b"secret",
            random=random.Random(1).randrange,
            mac=OUR_MAC,
            isn=lambda local, remote, now: ISS,
        )
        self.sent()  # ARP's announcement, listener reports
        self.wait(SECOND)
        self.connection = self.host.connect(Endpoint(self.places.peer, PORT), now=self.now)

    def sent(self) -> list[str]:
        """What leaves now: ``question`` or ``segment``."""
        found = []
        while (frame := self.host.poll_transmit(now=self.now)) is not None:
            decoded = CODEC.decode_ethernet(finished(frame))
            asks = decoded.ethertype == ARP or CODEC.decode_ip(decoded.payload).protocol == ICMPV6
            found.append("question" if asks else "segment")
        return found

    def hear(self, payload: bytes, ethertype: int) -> None:
        self.host.deliver(CODEC.encode_ethernet(EthernetFrame(OUR_MAC, PEER_MAC, ethertype, payload)), now=self.now)

    def answer(self) -> None:
        us, peer = self.places.us, self.places.peer
        if len(us) == 4:
            self.hear(CODEC.encode_arp(ArpPacket(REPLY, PEER_MAC, peer, OUR_MAC, us)), ARP)
            return
        value = nd.encode(NeighborAdvertisement(peer, PEER_MAC, solicited=True, override=True))
        packet = IPPacket(peer, us, ICMPV6, CODEC.encode_icmpv6(value, peer, us), ttl=HOP_LIMIT)
        self.hear(CODEC.encode_ip(packet), IPV6)

    def arrives(self, flags: int, *, seq: int, ack: int, payload: bytes = b"") -> None:
        us, peer = self.places.us, self.places.peer
        segment = TcpSegment(PORT, self.connection.local.port, seq, ack, flags, 65535, payload=payload)
        packet = IPPacket(peer, us, TCP, CODEC.encode_tcp(segment, peer, us))
        self.hear(CODEC.encode_ip(packet), IPV4 if len(us) == 4 else IPV6)

    def send(self, data: bytes) -> None:
        self.connection.send(data, now=self.now)
        self.host.touch(self.connection)

    def wait(self, nanoseconds: int) -> list[str]:
        """Let the time pass: what leaves meanwhile."""
        until = self.now + nanoseconds
        found = []
        while (deadline := self.host.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.host.advance(now=self.now)
            found += self.sent()
        self.now = until
        return found

    def state(self) -> str:
        assert self.host.link is not None
        return {row.address: row.state for row in self.host.link.neighbors()}[self.places.peer]


def opened(family: int) -> Station:
    station = Station(family)
    station.sent()
    station.answer()
    station.sent()
    station.arrives(SYN | ACK, seq=100, ack=ISS + 1)
    station.sent()
    assert station.connection.state is State.ESTABLISHED
    return station


@families
def test_a_neighbour_that_acknowledges_is_never_asked(family: int) -> None:
    station = opened(family)
    acknowledged = ISS + 1
    for _ in range(60):
        station.send(b"x")
        acknowledged += 1
        assert station.sent() == ["segment"]
        station.arrives(ACK, seq=101, ack=acknowledged)
        assert station.wait(5 * SECOND) == []
    assert station.state() == "REACHABLE"


@families
def test_a_neighbour_that_only_talks_is_asked_whether_it_hears_us(family: int) -> None:
    """Its segments show that we hear it; the same acknowledgment over and over proves nothing."""
    station = opened(family)
    left = []
    for n in range(12):
        station.arrives(ACK, seq=101 + n, ack=ISS + 1, payload=b"x")
        left += station.sent() + station.wait(5 * SECOND)
    assert "question" in left


@families
def test_a_peer_behind_a_neighbour_that_is_gone_gives_a_soft_error_once_the_connection_stands(family: int) -> None:
    station = opened(family)
    station.wait(50 * SECOND)
    station.send(b"x")
    left = station.sent() + station.wait(20 * SECOND)
    assert left.count("question") == 6  # itself three times, and everybody three times
    assert station.connection.state is State.ESTABLISHED
    assert isinstance(station.connection.soft_error, HostUnreachable)


@families
def test_an_open_to_nobody_fails_when_nobody_answered(family: int) -> None:
    station = Station(family)
    assert station.sent() == ["question"]
    assert station.wait(3 * SECOND - 1) == ["question", "question"]
    assert station.connection.error is None
    station.wait(1)
    assert station.connection.state is State.CLOSED
    assert isinstance(station.connection.error, HostUnreachable)
