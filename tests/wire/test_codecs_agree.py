"""The two codecs are one: equal values and errors for equal bytes, equal bytes for equal values, and nothing else ever raised."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.packets import (
    PacketMill,
    address_pairs,
    addresses,
    arp_packets,
    broken_octets,
    frames,
    messages,
    outcome,
    packet_octets,
    packets,
    segments,
)
from userstack.wire.arp import ArpPacket
from userstack.wire.codec import WireError
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.fast_codec import FastCodec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, ICMPV6, TCP, Buffer, IPPacket
from userstack.wire.scapy_codec import ScapyCodec
from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import TcpSegment

FAST, SCAPY = FastCodec(), ScapyCodec()
MANY = settings(deadline=None, max_examples=examples(400))
SOME = settings(deadline=None, max_examples=examples(150))

EVERY_COUNTER = {
    "IpInHdrErrors",
    "IpExtInTruncatedPkts",
    "Ip6InHdrErrors",
    "Ip6InTruncatedPkts",
    "TcpInErrs",
    "TcpInCsumErrors",
    "IcmpInErrors",
    "IcmpInCsumErrors",
    "Ip6InExtHdrLimit",
    "Icmp6InErrors",
    "Icmp6InCsumErrors",
}


def link_outcome(codec: FastCodec | ScapyCodec, octets: Buffer) -> tuple[object, ...]:
    """What a codec makes of octets as a frame, and of what the frame carries as ARP."""
    found: list[object] = []
    try:
        frame = codec.decode_ethernet(octets)
        found.append(frame)
        found.append(codec.decode_arp(frame.payload))
    except WireError as error:
        found.append(error.counter)
    return tuple(found)


@MANY
@given(address_pairs(), segments())
def test_segments(pair: tuple[bytes, bytes], segment: TcpSegment) -> None:
    octets = FAST.encode_tcp(segment, *pair)
    assert SCAPY.encode_tcp(segment, *pair) == octets
    packet = IPPacket(*pair, protocol=TCP, payload=octets)
    assert FAST.decode_tcp(packet) == segment
    assert SCAPY.decode_tcp(packet) == segment


@MANY
@given(packets())
def test_packets(packet: IPPacket) -> None:
    octets = FAST.encode_ip(packet)
    assert SCAPY.encode_ip(packet) == octets
    assert FAST.decode_ip(octets) == packet
    assert SCAPY.decode_ip(octets) == packet


@SOME
@given(messages())
def test_messages(message: IcmpMessage) -> None:
    octets = FAST.encode_icmp(message)
    assert SCAPY.encode_icmp(message) == octets
    packet = IPPacket(bytes(4), bytes(4), ICMP, octets)
    assert FAST.decode_icmp(packet) == message
    assert SCAPY.decode_icmp(packet) == message


@SOME
@given(st.tuples(addresses(6), addresses(6)), messages())
def test_messages_of_icmpv6(pair: tuple[bytes, bytes], message: IcmpMessage) -> None:
    octets = FAST.encode_icmpv6(message, *pair)
    assert SCAPY.encode_icmpv6(message, *pair) == octets
    packet = IPPacket(*pair, ICMPV6, octets)
    assert FAST.decode_icmpv6(packet) == message
    assert SCAPY.decode_icmpv6(packet) == message


@SOME
@given(frames())
def test_frames(frame: EthernetFrame) -> None:
    octets = FAST.encode_ethernet(frame)
    assert SCAPY.encode_ethernet(frame) == octets
    assert FAST.decode_ethernet(octets) == frame
    assert SCAPY.decode_ethernet(octets) == frame


@SOME
@given(arp_packets())
def test_arp(packet: ArpPacket) -> None:
    octets = FAST.encode_arp(packet)
    assert SCAPY.encode_arp(packet) == octets
    assert FAST.decode_arp(octets) == packet
    assert SCAPY.decode_arp(octets) == packet


@SOME
@given(segments(), st.lists(addresses(), min_size=1, max_size=9), addresses(), addresses(), st.booleans())
def test_source_routes(segment: TcpSegment, hops: list[bytes], source: bytes, destination: bytes, strict: bool) -> None:
    """On its way a packet names the next router; its checksum is that for its destination (RFC 9293 3.9.2.1)."""
    packet = SourceRoute(tuple(hops), strict).lead(
        IPPacket(source, destination, TCP, FAST.encode_tcp(segment, source, destination))
    )
    octets = FAST.encode_ip(packet)
    assert SCAPY.encode_ip(packet) == octets
    for codec in (FAST, SCAPY):
        found = codec.decode_ip(octets)
        assert found == packet
        assert found.destination == hops[0]
        assert codec.decode_tcp(found) == segment


@MANY
@given(packet_octets())
def test_sound_packets_come_back_octet_for_octet(octets: bytes) -> None:
    packet = FAST.decode_ip(octets)
    assert SCAPY.decode_ip(octets) == packet
    assert FAST.encode_ip(packet) == octets
    if packet.protocol == TCP and not packet.is_fragment:
        found = outcome(FAST, octets)
        assert outcome(SCAPY, octets) == found


@MANY
@given(broken_octets())
def test_broken_packets(octets: bytes) -> None:
    assert outcome(FAST, octets) == outcome(SCAPY, octets)


@SOME
@given(st.one_of(st.binary(max_size=80), arp_packets().map(lambda packet: bytes(12) + b"\x08\x06" + FAST.encode_arp(packet)[:27])))
def test_broken_frames(octets: bytes) -> None:
    assert link_outcome(FAST, octets) == link_outcome(SCAPY, octets)
    assert outcome(FAST, octets) == outcome(SCAPY, octets)


@pytest.mark.once
def test_hundred_thousand_broken_packets_against_the_fast_codec() -> None:
    # Nothing but WireError may come out of outcome(), whatever went in; and the damage must reach every check there is.
    mill, counted = PacketMill(9293), Counter[str]()
    for _ in range(100_000):
        for found in outcome(FAST, mill.broken()):
            counted[found if isinstance(found, str) else type(found).__name__] += 1
            counted["bad options"] += isinstance(found, TcpSegment) and found.bad_options
    assert {name for name, count in counted.items() if count >= 50} == EVERY_COUNTER | {
        "IPPacket",
        "TcpSegment",
        "IcmpMessage",
        "bad options",
        "tuple",  # What a parameter problem says.
    }


@pytest.mark.early
@pytest.mark.once
def test_twenty_thousand_broken_packets_against_both() -> None:
    mill = PacketMill(791)
    for _ in range(20_000):
        octets = mill.broken()
        assert outcome(FAST, octets) == outcome(SCAPY, octets), octets.hex()


@pytest.mark.once
def test_five_thousand_segments_written_by_both() -> None:
    mill = PacketMill(1122)
    for _ in range(5_000):
        segment = mill.segment()
        octets = FAST.encode_tcp(segment, bytes(4), bytes(4))
        assert FAST.decode_tcp(IPPacket(bytes(4), bytes(4), TCP, octets)) == segment
        assert SCAPY.encode_tcp(segment, bytes(4), bytes(4)) == octets
