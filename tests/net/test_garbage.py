"""Whatever arrives on a link, the host raises nothing, keeps to its limits, and hears the next good packet."""

import random

import pytest

from tests.net.bench import ISS, PORT
from tests.support.ethernet_wire import CODEC, FAR6, LINK_LOCAL, OUR_MAC, PEER6, PEER_MAC, US6
from tests.support.packets import repair
from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, StackConfig
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.wire import nd
from userstack.wire.ethernet import multicast_mac
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMPV6, ROUTING, TCP, ExtensionHeader, IPPacket
from userstack.wire.mld import ROUTER_ALERT
from userstack.wire.nd import ALL_NODES, NeighborAdvertisement, NeighborSolicitation, RouterAdvertisement, solicited_node
from userstack.wire.tcp import SYN, TcpSegment

ROUTER = pack_address("fe80::1")
LIMIT = 8


def stock() -> list[bytes]:
    """Good packets of each kind that a host on Ethernet meets."""
    segment = CODEC.encode_tcp(TcpSegment(5000, PORT, 1, 0, SYN, 65535), PEER6, US6)
    headers = (
        ExtensionHeader(HOP_BY_HOP, bytes.fromhex("00010400000000")),
        ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("001e0400000000")),
        ExtensionHeader(ROUTING, bytes.fromhex("00000000000000")),
        ExtensionHeader(FRAGMENT, bytes.fromhex("00000000000007")),
    )
    quote = CODEC.encode_ip(IPPacket(US6, PEER6, TCP, segment))
    messages: list[tuple[bytes, bytes, IcmpMessage, tuple[ExtensionHeader, ...]]] = [
        (PEER6, solicited_node(US6), nd.encode(NeighborSolicitation(US6, PEER_MAC)), ()),
        (bytes(16), solicited_node(US6), nd.encode(NeighborSolicitation(US6)), ()),
        (PEER6, US6, nd.encode(NeighborAdvertisement(PEER6, PEER_MAC, solicited=True, override=True)), ()),
        (PEER6, ALL_NODES, nd.encode(NeighborAdvertisement(LINK_LOCAL, PEER_MAC, override=True)), ()),
        (ROUTER, ALL_NODES, nd.encode(RouterAdvertisement(router_lifetime=9, source_mac=PEER_MAC, mtu=1500)), ()),
        (ROUTER, ALL_NODES, IcmpMessage(130, 0, 100 << 16, bytes(20)), (ROUTER_ALERT,)),
        (PEER6, US6, IcmpMessage(128, 0, 7, b"ping"), ()),
        (PEER6, ALL_NODES, IcmpMessage(128, 0, 7, b"ping"), headers),
        (FAR6, US6, IcmpMessage(1, 4, 0, quote), ()),
        (FAR6, US6, IcmpMessage(2, 0, 1300, quote), ()),
        (FAR6, US6, IcmpMessage(4, 1, 6, quote), headers),
    ]
    packets = [
        IPPacket(
            source,
            destination,
            ICMPV6,
            CODEC.encode_icmpv6(message, source, destination),
            ttl=1 if message.type == 130 else 255,
            extension_headers=extensions,
        )
        for source, destination, message, extensions in messages
    ]
    packets += [IPPacket(PEER6, US6, TCP, segment), IPPacket(PEER6, US6, TCP, segment, extension_headers=headers)]
    return [CODEC.encode_ip(packet) for packet in packets]


def damaged(octets: bytes, pick: random.Random) -> bytes:
    """Some octets other than they were; half the time with lengths and checksums put right, so that the inner parsers see it."""
    data = bytearray(octets)
    for _ in range(pick.randint(0, 4)):
        data[pick.randrange(len(data))] = pick.choice((0, 1, 6, 43, 44, 58, 60, 255, pick.randrange(256)))
    if pick.random() < 0.3:
        data = data[: pick.randrange(len(data))]
    return repair(bytes(data), lengths=True) if pick.random() < 0.5 else bytes(data)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dad_transmits", [0, 1])
def test_a_host_on_a_link_bears_everything(seed: int, dad_transmits: int) -> None:
    pick = random.Random(seed)
    host = Host(
        [Interface.parse("fd3d::2/64"), Interface.parse("10.9.0.2/24")],
        config=StackConfig(neighbor_max=LIMIT, transmit_queue=64, dad_transmits=dad_transmits),
        codec=CODEC,
        secret=b"secret",
        random=pick.randrange,
        mac=OUR_MAC,
        gateways=[ROUTER],
        isn=lambda local, remote, now: ISS,
    )
    host.listen(host.bind(Endpoint(bytes(16), PORT)), backlog=5, now=0)
    good = stock()
    assert host.link is not None
    for step in range(3000):
        now = step * 20 * MILLISECOND
        host.advance(now=now)
        packet = damaged(pick.choice(good), pick)
        group = packet[24:40] if len(packet) >= 40 and packet[24] == 0xFF else ALL_NODES
        mac = pick.choice((OUR_MAC, multicast_mac(group)))
        host.deliver(mac + PEER_MAC + b"\x86\xdd" + packet, now=now)
        while pick.random() < 0.9 and host.poll_transmit(now=now) is not None:
            pass
        assert len(host.link.neighbors()) <= 2 * LIMIT
    usable = {"Icmp6OutParmProblems", "Icmp6OutEchoReplies", "NdConflicts", "TcpOutSegs", "Icmp6OutMLDv2Reports"}
    reached = {"Icmp6InErrors", "Ip6InHdrErrors"} | ({"NdDuplicates"} if dad_transmits else usable)
    assert reached <= host.counters.snapshot().keys()
