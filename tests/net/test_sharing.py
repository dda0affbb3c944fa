"""Several hosts that are one to their peer: whoever of them a packet comes to, it gets to the one that knows it."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.errors import InvalidArgument
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.net.listener import Listener
from userstack.net.sharing import Share, Sharing, Stop
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.codec import make_codec
from userstack.wire.ethernet import ARP, BROADCAST, IPV6, EthernetFrame, multicast_mac
from userstack.wire.icmp import DESTINATION_UNREACHABLE, ECHO_REQUEST, IcmpMessage
from userstack.wire.icmpv6 import PACKET_TOO_BIG
from userstack.wire.ip import ICMP, ICMPV6, TCP, IPPacket
from userstack.wire.nd import NeighborAdvertisement, NeighborSolicitation, encode, solicited_node
from userstack.wire.offload import finished
from userstack.wire.tcp import ACK, RST, SYN, TcpSegment

CODEC = make_codec("fast")
US, PEER = {4: "10.0.0.1/24", 6: "fd00::1/64"}, {4: "10.0.0.2/24", 6: "fd00::2/64"}
MAC, PEER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
PORTS = (32768, 60999)
PORT = 80


def host(address: str, share: Share | None = None, *, mac: bytes | None = None) -> Host:
    config = StackConfig(dad_transmits=0)
    if share is not None:
        config = replace(config, ephemeral_ports=share.ephemeral_ports(PORTS))
    return Host(
        [Interface.parse(address)], config=config, codec=CODEC, secret=bytes(16), random=random.Random(1).randrange, mac=mac
    )


class Crowd:
    """Workers and a peer; ``choose`` tells, as the kernel does, which worker a packet of the peer's comes to."""

    def __init__(self, count: int, choose: Callable[[bytes], int], *, family: int = 4) -> None:
        self.family = family
        self.peer = host(PEER[family])
        self.workers = [host(US[family], Share(number, count)) for number in range(count)]
        self.sharing = [Sharing(Share(number, count), worker, PORTS) for number, worker in enumerate(self.workers)]
        self.choose = choose
        self.resets = 0
        self.hops = 0

    def settle(self) -> None:
        """Carry packets until there are none."""
        moving = True
        while moving:
            moving = False
            for packet in self.sent(self.peer):
                moving = True
                self.arrives(packet)
            for worker in self.workers:
                for packet in self.sent(worker):
                    moving = True
                    self.resets += is_reset(packet)
                    self.peer.deliver(packet, now=0)

    def sent(self, sender: Host) -> list[bytes]:
        found = []
        while (packet := sender.poll_transmit(now=0)) is not None:
            found.append(finished(packet))
        return found

    def arrives(self, packet: bytes) -> int:
        """Hand a packet round until somebody takes it; gives who."""
        at = self.choose(packet)
        stop = Stop(at, 0)
        for _ in range(len(self.workers) + 1):
            following = None if self.sharing[at].is_known(packet) else self.sharing[at].next_stop(packet, stop)
            if following is None:
                self.workers[at].deliver(packet, now=0)
                return at
            self.hops += 1
            at, stop = following
        raise AssertionError("the packet goes round and round")

    def listen(self, number: int) -> Listener:
        worker = self.workers[number]
        return worker.listen(worker.bind(Endpoint(bytes(4 if self.family == 4 else 16), PORT)), backlog=9, now=0)

    def talk(self, one_host: Host, one: Connection, other_host: Host, other: Connection) -> None:
        """Text in both directions, then the end."""
        for here, ours, theirs, text in ((one_host, one, other, b"hello"), (other_host, other, one, b"good day")):
            ours.send(text, now=0)
            here.touch(ours)
            self.settle()
            assert theirs.receive(99, now=0) == text
        for here, ours in ((one_host, one), (other_host, other)):
            ours.close(now=0)
            here.touch(ours)
            self.settle()
        assert (one.state, other.state) == (State.TIME_WAIT, State.CLOSED)
        assert self.resets == 0


def is_reset(packet: bytes) -> bool:
    decoded = CODEC.decode_ip(packet)
    return decoded.protocol == TCP and bool(CODEC.decode_tcp(decoded).flags & RST)


# --- what there is once is shared ---


@given(st.integers(1, 256), st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted))
def test_every_ephemeral_port_is_one_workers(count: int, ends: list[int]) -> None:
    ports = (ends[0], ends[1])
    size = ports[1] - ports[0] + 1
    if size < count:
        with pytest.raises(InvalidArgument, match=f"{count} workers need an ephemeral port each"):
            Share(0, count).ephemeral_ports(ports)
        return
    shares = [Share(number, count).ephemeral_ports(ports) for number in range(count)]
    assert (shares[0][0], shares[-1][1]) == ports
    assert all(one[1] + 1 == other[0] for one, other in pairwise(shares))
    sizes = {last - first + 1 for first, last in shares}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 65535))
def test_nobodys_packet_goes_to_each_once_and_then_back(count: int, origin: int, port: int) -> None:
    origin %= count
    crowd = Crowd(count, lambda _: origin)
    packet = segment(5000, port, ACK)
    at, stop, seen = origin, Stop(origin, 0), [origin]
    while (following := crowd.sharing[at].next_stop(packet, stop)) is not None:
        at, stop = following
        seen.append(at)
    assert sorted(seen[:-1] or seen) == list(range(count))
    assert seen[-1] == origin
    owner = next((number for number in range(count) if is_in(port, Share(number, count).ephemeral_ports(PORTS))), None)
    if owner not in (None, origin):
        assert seen[1] == owner


def is_in(port: int, ports: tuple[int, int]) -> bool:
    return ports[0] <= port <= ports[1]


def segment(source: int, destination: int, flags: int) -> bytes:
    here, there = (pack_address(text.partition("/")[0]) for text in (PEER[4], US[4]))
    return CODEC.encode_ip(
        IPPacket(here, there, TCP, CODEC.encode_tcp(TcpSegment(source, destination, 7, 7, flags, 100), here, there))
    )


# --- whoever the kernel gives it to ---


@pytest.mark.parametrize("family", [4, 6])
@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 4), seed=st.integers(0, 1 << 16))
def test_connections_live_wherever_their_packets_come(family: int, count: int, seed: int) -> None:
    chance = random.Random(seed)
    crowd = Crowd(count, lambda _: chance.randrange(count), family=family)
    listeners = [crowd.listen(number) for number in range(count)]
    remote = Endpoint(pack_address(US[family].partition("/")[0]), PORT)
    opened = crowd.peer.connect(remote, now=0)
    crowd.settle()
    [(number, accepted)] = [(n, found) for n, listener in enumerate(listeners) if (found := listener.accept()) is not None]
    crowd.talk(crowd.peer, opened, crowd.workers[number], accepted)

    server = crowd.peer.listen(crowd.peer.bind(Endpoint(bytes(len(remote.address)), PORT)), backlog=9, now=0)
    number = chance.randrange(count)
    active = crowd.workers[number].connect(Endpoint(pack_address(PEER[family].partition("/")[0]), PORT), now=0)
    crowd.settle()
    passive = server.accept()
    assert passive is not None
    assert is_in(active.local.port, Share(number, count).ephemeral_ports(PORTS))
    crowd.talk(crowd.workers[number], active, crowd.peer, passive)


@pytest.mark.parametrize("origin", [0, 1, 2])
def test_who_alone_listens_gets_every_connection(origin: int) -> None:
    crowd = Crowd(3, lambda _: origin)
    listener = crowd.listen(1)
    crowd.peer.connect(Endpoint(pack_address("10.0.0.1"), PORT), now=0)
    crowd.settle()
    assert listener.accept() is not None
    assert crowd.resets == 0
    assert (crowd.hops > 0) == (origin != 1)


def test_a_connection_that_was_passed_on_outlives_that_its_first_worker_listens_later() -> None:
    """The kernel forgets whom it came to in the end, and gives it to the first again, who has a listener by now."""
    crowd = Crowd(2, lambda _: 0)
    listener = crowd.listen(1)
    opened = crowd.peer.connect(Endpoint(pack_address("10.0.0.1"), PORT), now=0)
    crowd.settle()
    crowd.listen(0)
    accepted = listener.accept()
    assert accepted is not None
    crowd.talk(crowd.peer, opened, crowd.workers[1], accepted)


def test_what_nobody_knows_is_refused_once_by_whom_it_came_to() -> None:
    crowd = Crowd(3, lambda _: 2)
    opened = crowd.peer.connect(Endpoint(pack_address("10.0.0.1"), PORT), now=0)
    crowd.settle()
    assert (opened.state, crowd.resets, crowd.hops) == (State.CLOSED, 1, 3)
    assert [worker.counters["TcpOutRsts"] for worker in crowd.workers] == [0, 0, 1]
    assert sum(worker.counters["TcpInSegs"] for worker in crowd.workers) == 1, "it is counted where it is taken in"


# --- ICMP ---


@pytest.mark.parametrize("family", [4, 6])
def test_an_icmp_error_gets_to_the_connection_that_it_is_about(family: int) -> None:
    crowd = Crowd(3, lambda _: 0, family=family)
    local, remote = (pack_address(text[family].partition("/")[0]) for text in (US, PEER))
    active = crowd.workers[2].connect(Endpoint(remote, PORT), now=0)
    [syn] = crowd.sent(crowd.workers[2])
    if family == 4:
        error = CODEC.encode_icmp(IcmpMessage(DESTINATION_UNREACHABLE, 3, 0, syn[:28]))
        packet = CODEC.encode_ip(IPPacket(remote, local, ICMP, error))
        assert crowd.arrives(packet) == 2
        assert isinstance(active.error, ConnectionRefusedError)
    else:
        error = CODEC.encode_icmpv6(IcmpMessage(PACKET_TOO_BIG, 0, 1280, syn), remote, local)
        assert crowd.arrives(CODEC.encode_ip(IPPacket(remote, local, ICMPV6, error))) == 2
        assert active.path_mtu(now=0) == 1280


def test_a_ping_is_answered_by_whom_it_came_to() -> None:
    crowd = Crowd(3, lambda _: 1)
    ping = CODEC.encode_icmp(IcmpMessage(ECHO_REQUEST, 0, 0, b""))
    assert crowd.arrives(CODEC.encode_ip(IPPacket(pack_address("10.0.0.2"), pack_address("10.0.0.1"), ICMP, ping))) == 1
    assert len(crowd.sent(crowd.workers[1])) == 1


@settings(max_examples=200)
@given(st.binary(max_size=120), st.booleans())
def test_garbage_is_for_whom_it_came_to_or_goes_back_there(octets: bytes, frames: bool) -> None:
    shared = [Sharing(Share(number, 2), host("10.0.0.1/24", mac=MAC if frames else None), PORTS) for number in range(2)]
    assert not shared[0].is_known(octets)
    shared[0].is_for_all(octets)
    following = shared[0].next_stop(octets, Stop(0, 0))
    if following is not None:
        number, stop = following
        assert number == 1
        assert shared[1].next_stop(octets, stop) == (0, stop)
        assert shared[0].next_stop(octets, stop) is None


# --- what all have to hear on a link ---


def arp(operation: int, sender: str, target: str) -> bytes:
    packet = ArpPacket(operation, PEER_MAC, pack_address(sender), MAC, pack_address(target))
    return CODEC.encode_ethernet(EthernetFrame(BROADCAST, PEER_MAC, ARP, CODEC.encode_arp(packet)))


def nd(message: NeighborSolicitation | NeighborAdvertisement, source: str, destination: bytes) -> bytes:
    here = pack_address(source)
    octets = CODEC.encode_icmpv6(encode(message), here, destination)
    packet = CODEC.encode_ip(IPPacket(here, destination, ICMPV6, octets, ttl=255))
    return CODEC.encode_ethernet(EthernetFrame(multicast_mac(destination), PEER_MAC, IPV6, packet))


OURS6 = pack_address("fd00::1")


@pytest.mark.parametrize(
    ("frame", "for_all"),
    [
        pytest.param(arp(REPLY, "10.0.0.2", "10.0.0.1"), True, id="a reply"),
        pytest.param(arp(REQUEST, "10.0.0.2", "10.0.0.2"), True, id="an announcement"),
        pytest.param(arp(REQUEST, "10.0.0.2", "10.0.0.1"), False, id="a question for our address"),
        pytest.param(nd(NeighborAdvertisement(pack_address("fd00::2"), PEER_MAC), "fd00::2", OURS6), True, id="an advertisement"),
        pytest.param(nd(NeighborSolicitation(OURS6, PEER_MAC), "fd00::2", solicited_node(OURS6)), False, id="a solicitation"),
        pytest.param(nd(NeighborSolicitation(OURS6), "::", solicited_node(OURS6)), True, id="somebody who wants our address"),
        pytest.param(MAC + PEER_MAC + b"\x08\x00" + segment(1, 80, SYN), False, id="TCP"),
        pytest.param(b"", False, id="nothing"),
    ],
)
def test_what_is_said_of_neighbours_is_for_all(frame: bytes, for_all: bool) -> None:
    link = Sharing(Share(0, 2), host("10.0.0.1/24", mac=MAC), PORTS)
    assert link.is_for_all(frame) is for_all
    assert not Sharing(Share(0, 2), host("10.0.0.1/24"), PORTS).is_for_all(frame), "on level 3 there are no neighbours"


def test_frames_are_passed_on_as_packets_are() -> None:
    link = Sharing(Share(0, 2), host("10.0.0.1/24", mac=MAC), PORTS)
    header = MAC + PEER_MAC + b"\x08\x00"
    assert link.next_stop(header + segment(5000, 80, SYN), Stop(0, 0)) == (1, Stop(0, 1))
    assert link.next_stop(arp(REPLY, "10.0.0.2", "10.0.0.1"), Stop(0, 0)) is None
