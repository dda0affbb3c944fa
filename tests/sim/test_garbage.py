"""Bad packets: no exception, each counted, and the host goes on as before."""

import random
from dataclasses import replace
from functools import cache

import pytest

from tests.sim.nets import Net
from tests.sim.peer import CODEC, Peer
from tests.support.packets import PacketMill, break_octets, fragment_header
from userstack.address import pack_address
from userstack.config import SECOND
from userstack.net.interface import Interface, is_valid_source
from userstack.sim import VirtualHost
from userstack.tcp.state import State
from userstack.wire import icmpv6, nd
from userstack.wire.codec import ParameterProblem, WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import DESTINATION_OPTIONS, HOP_BY_HOP, ICMP, ICMPV6, TCP, ExtensionHeader, IPPacket
from userstack.wire.source_route import read_recorded

PACKETS = 100_000


def make_host(net: Net) -> tuple[VirtualHost, Peer, int]:
    """A host with a listener and an established connection; the peer of it, and the host's SND.NXT."""
    host = VirtualHost([net.prefix])
    listener = host.socket(net.family)
    listener.bind(("", 80))
    listener.listen()
    peer = Peer(host, (net.here, 80))
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    return host, peer, answer.seq + 1


def aimed_at(peer: Peer, snd_nxt: int) -> list[bytes]:
    """Sound packets that reach every parser and the connection; breaking them begins here."""
    segments = [
        peer.packet("SYN", seq=5000),
        peer.packet("ACK", seq=1001, ack=snd_nxt),
        peer.packet("PSH,ACK", seq=1001, ack=snd_nxt, data=b"text of some length"),
        peer.packet("PSH,ACK,URG", seq=1400, ack=snd_nxt, data=bytes(500)),
        peer.packet("FIN,ACK", seq=3000, ack=snd_nxt),
        peer.packet("RST", seq=40_000),
        peer.packet("SYN,FIN,RST", seq=7),
    ]
    quoted = bytes(CODEC.decode_ip(segments[2]).payload)[:8]
    source, destination = pack_address(peer.source[0]), pack_address(peer.target[0])
    quote = CODEC.encode_ip(IPPacket(destination, source, TCP, quoted))
    return segments + (_over_ipv4 if len(source) == 4 else _over_ipv6)(source, destination, quote, segments[3])


def _over_ipv4(source: bytes, destination: bytes, quote: bytes, _: bytes) -> list[bytes]:
    messages = [
        IcmpMessage(8, 0, 0x00010001, b"ping"),
        IcmpMessage(3, 3, 0, quote),
        IcmpMessage(3, 4, 600, quote),
        IcmpMessage(11, 0, 0, quote),
    ]
    return [CODEC.encode_ip(IPPacket(source, destination, ICMP, CODEC.encode_icmp(message))) for message in messages]


def _over_ipv6(source: bytes, destination: bytes, quote: bytes, segment: bytes) -> list[bytes]:
    messages = [
        IcmpMessage(icmpv6.ECHO_REQUEST, 0, 0x00010001, b"ping"),
        IcmpMessage(icmpv6.DESTINATION_UNREACHABLE, icmpv6.PORT_UNREACHABLE, 0, quote),
        IcmpMessage(icmpv6.PACKET_TOO_BIG, 0, 1280, quote),
        IcmpMessage(icmpv6.TIME_EXCEEDED, 0, 0, quote),
        IcmpMessage(icmpv6.PARAMETER_PROBLEM, 1, 6, quote),
        nd.encode(nd.NeighborSolicitation(destination, bytes(6))),
        nd.encode(nd.NeighborAdvertisement(source, bytes(6), solicited=True)),
    ]
    packets = [
        IPPacket(source, destination, ICMPV6, CODEC.encode_icmpv6(message, source, destination), ttl=255) for message in messages
    ]
    headers = (
        ExtensionHeader(HOP_BY_HOP, bytes.fromhex("00050200000100")),
        ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010400000000")),
        fragment_header(0, False, 7),
    )
    carried = replace(CODEC.decode_ip(segment), extension_headers=headers)
    return [CODEC.encode_ip(packet) for packet in (*packets, carried)]


own_interface = cache(Interface.parse)


def counter_of(net: Net, octets: bytes) -> str | None:
    """The counter of what the codec finds wrong with a packet for the host."""
    try:
        packet = CODEC.decode_ip(octets)
        own = own_interface(net.prefix)
        if packet.is_fragment or packet.destination != own.address or not is_valid_source(packet.source, [own]):
            return None
        if read_recorded(packet.options) is not None:
            return "IpInSourceRouteDrops"
        if packet.protocol == TCP:
            CODEC.decode_tcp(packet)
        elif packet.protocol == ICMP and packet.version == 4:
            CODEC.decode_icmp(packet)
        elif packet.protocol == ICMPV6 and packet.version == 6:
            CODEC.decode_icmpv6(packet)
    except ParameterProblem:
        return None  # Counted, and answered: see tests/net.
    except WireError as error:
        return error.counter
    return None


def total(host: VirtualHost) -> int:
    return sum(host.counters.snapshot().values())


@pytest.mark.early
@pytest.mark.once
def test_a_hundred_thousand_broken_packets_are_counted_and_raise_nothing(net: Net) -> None:
    host, peer, snd_nxt = make_host(net)
    pick = random.Random(9293)
    stock = aimed_at(peer, snd_nxt)
    found: dict[str, int] = {}
    before = total(host)

    for _ in range(PACKETS):
        octets = break_octets(pick.choice(stock), pick)
        counter = counter_of(net, octets)
        was = host.counters[counter] if counter else 0
        host.deliver(octets)
        after = total(host)
        assert after > before, octets.hex()
        before = after
        if counter:
            found[counter] = found.get(counter, 0) + 1
            assert host.counters[counter] == was + 1, octets.hex()
            assert host.take() == [], octets.hex()
        host.take()

    assert len(found) >= 3
    assert sum(found.values()) > PACKETS // 10
    host.run(host.now + 4000 * SECOND)
    assert {row.state for row in host.connections()} <= {State.LISTEN, State.ESTABLISHED}


def test_packets_for_anybody_are_counted(net: Net) -> None:
    host, _, _ = make_host(net)
    mill = PacketMill(793)
    for _ in range(10_000):
        octets = mill.broken()
        before = total(host)
        host.deliver(octets)
        assert total(host) > before, octets.hex()


@pytest.mark.parametrize("size", range(80))
def test_every_truncation_is_counted(net: Net, size: int) -> None:
    host, peer, snd_nxt = make_host(net)
    whole = peer.packet("PSH,ACK", seq=1001, ack=snd_nxt, data=b"x" * 20)
    before = total(host)
    host.deliver(whole[: min(size, len(whole) - 1)])
    assert total(host) > before
    assert host.take() == []
    assert [row.state for row in host.connections() if row.remote] == [State.ESTABLISHED]


def test_the_connection_survives_a_storm(net: Net) -> None:
    host, peer, snd_nxt = make_host(net)
    pick = random.Random(5961)
    stock = [packet for packet in aimed_at(peer, snd_nxt) if counter_of(net, packet) is None]
    for _ in range(2000):
        octets = break_octets(pick.choice(stock), pick)
        if counter_of(net, octets) is not None:
            host.deliver(octets)
    host.take()
    host.run(host.now + SECOND)
    answers = peer.say("PSH,ACK", seq=1001, ack=snd_nxt, data=b"alive")
    host.run(host.now + SECOND)
    assert [(each.flags, each.ack) for each in [*answers, *peer.hear()]] == [("ACK", 1006)]
