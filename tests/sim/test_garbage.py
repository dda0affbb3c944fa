"""Bad packets: no exception, each counted, and the host goes on as before."""

import random

import pytest

from tests.sim.peer import CODEC, Peer
from tests.support.packets import PacketMill, break_octets
from userstack.config import SECOND
from userstack.net.interface import Interface, is_valid_source
from userstack.sim import VirtualHost
from userstack.tcp.state import State
from userstack.wire.codec import WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, TCP, IPPacket

ADDRESS = "192.168.0.1"
NETWORK = Interface.parse(f"{ADDRESS}/16")
PACKETS = 100_000


def make_host() -> tuple[VirtualHost, Peer, int]:
    """A host with a listener and an established connection; the peer of it, and the host's SND.NXT."""
    host = VirtualHost([str(NETWORK)])
    listener = host.socket()
    listener.bind(("", 80))
    listener.listen()
    peer = Peer(host, (ADDRESS, 80))
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
    source, destination = segments[0][12:16], segments[0][16:20]
    quote = CODEC.encode_ip(IPPacket(destination, source, TCP, quoted))
    messages = [
        IcmpMessage(8, 0, 0x00010001, b"ping"),
        IcmpMessage(3, 3, 0, quote),
        IcmpMessage(3, 4, 600, quote),
        IcmpMessage(11, 0, 0, quote),
    ]
    return segments + [CODEC.encode_ip(IPPacket(source, destination, ICMP, CODEC.encode_icmp(message))) for message in messages]


def counter_of(octets: bytes) -> str | None:
    """The counter of what the codec finds wrong with a packet for the host."""
    try:
        packet = CODEC.decode_ip(octets)
        if packet.is_fragment or packet.destination != NETWORK.address or not is_valid_source(packet.source, [NETWORK]):
            return None
        if packet.protocol == TCP:
            CODEC.decode_tcp(packet)
        elif packet.protocol == ICMP:
            CODEC.decode_icmp(packet)
    except WireError as error:
        return error.counter
    return None


def total(host: VirtualHost) -> int:
    return sum(host.counters.snapshot().values())


def test_a_hundred_thousand_broken_packets_are_counted_and_raise_nothing() -> None:
    host, peer, snd_nxt = make_host()
    pick = random.Random(9293)
    stock = aimed_at(peer, snd_nxt)
    found: dict[str, int] = {}

    for _ in range(PACKETS):
        octets = break_octets(pick.choice(stock), pick)
        counter, before = counter_of(octets), total(host)
        was = host.counters[counter] if counter else 0
        host.deliver(octets)
        assert total(host) > before, octets.hex()
        if counter:
            found[counter] = found.get(counter, 0) + 1
            assert host.counters[counter] == was + 1, octets.hex()
            assert host.take() == [], octets.hex()
        host.take()

    assert len(found) >= 3
    assert sum(found.values()) > PACKETS // 10
    host.run(host.now + 4000 * SECOND)
    assert {row.state for row in host.connections()} <= {State.LISTEN, State.ESTABLISHED}


def test_packets_for_anybody_are_counted() -> None:
    host, _, _ = make_host()
    mill = PacketMill(793)
    for _ in range(10_000):
        octets = mill.broken()
        before = total(host)
        host.deliver(octets)
        assert total(host) > before, octets.hex()


@pytest.mark.parametrize("size", range(60))
def test_every_truncation_is_counted(size: int) -> None:
    host, peer, snd_nxt = make_host()
    whole = peer.packet("PSH,ACK", seq=1001, ack=snd_nxt, data=b"x" * 20)
    before = total(host)
    host.deliver(whole[:size])
    assert total(host) > before
    assert host.take() == []
    assert [row.state for row in host.connections() if row.remote] == [State.ESTABLISHED]


def test_the_connection_survives_a_storm() -> None:
    host, peer, snd_nxt = make_host()
    pick = random.Random(5961)
    stock = [packet for packet in aimed_at(peer, snd_nxt) if counter_of(packet) is None]
    for _ in range(2000):
        octets = break_octets(pick.choice(stock), pick)
        if counter_of(octets) is not None:
            host.deliver(octets)
    host.take()
    host.run(host.now + SECOND)
    answers = peer.say("PSH,ACK", seq=1001, ack=snd_nxt, data=b"alive")
    host.run(host.now + SECOND)
    assert [(each.flags, each.ack) for each in [*answers, *peer.hear()]] == [("ACK", 1006)]
