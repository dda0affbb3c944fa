"""Packets written by hand after the RFCs, and packets of a real kernel, read and written by both codecs."""

import pytest

from tests.wire.captured import ACK as KERNEL_ACK
from tests.wire.captured import ARP_REQUEST, DATA, KERNEL, OURS, PING, ROUTER_SOLICITATION
from tests.wire.captured import SYN as KERNEL_SYN
from userstack.wire.arp import REQUEST, ArpPacket
from userstack.wire.codec import Codec
from userstack.wire.ethernet import ARP, BROADCAST
from userstack.wire.icmp import ECHO_REPLY, ECHO_REQUEST, IcmpMessage
from userstack.wire.ip import ICMP, ICMPV6, TCP, IPPacket
from userstack.wire.tcp import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG, Option, TcpSegment

MAC = bytes.fromhex("269a730d648a")
KERNEL_OPTIONS = (
    Option(2, bytes.fromhex("05b4")),
    Option(4),
    Option(8, bytes.fromhex("de15f7f600000000")),
    Option(1),
    Option(3, bytes.fromhex("0a")),
)


def test_rfc791_example(codec: Codec) -> None:
    # RFC 791 appendix A, example 1: total length 21, identification 111, time 123, protocol 1, one octet of data.
    octets = bytes.fromhex("45000015006f00007b012b770a0000010a000002aa")
    packet = codec.decode_ip(octets)
    assert packet == IPPacket(
        bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), ICMP, b"\xaa", ttl=123, identification=111, dont_fragment=False
    )
    assert codec.encode_ip(packet) == octets


def test_rfc791_options(codec: Codec) -> None:
    # RFC 791 appendix A, example 3 has options; here a record route (3.1) closed by an EOL.
    route = bytes.fromhex("0707040000000000")
    octets = codec.encode_ip(IPPacket(KERNEL, OURS, 17, b"data", options=route))
    assert octets[0] == 0x47
    assert octets[20:28] == route
    packet = codec.decode_ip(octets)
    assert packet.options == route
    assert packet.payload == b"data"


def test_fragments(codec: Codec) -> None:
    # RFC 791 appendix A, example 2: the second fragment of a datagram of 452 octets of data.
    second = IPPacket(KERNEL, OURS, TCP, bytes(212), identification=111, dont_fragment=False, fragment_offset=32)
    octets = codec.encode_ip(second)
    assert octets[6:8] == b"\x00\x20"
    assert codec.decode_ip(octets) == second
    assert second.is_fragment
    first = IPPacket(KERNEL, OURS, TCP, bytes(256), identification=111, dont_fragment=False, more_fragments=True)
    assert codec.encode_ip(first)[6:8] == b"\x20\x00"
    assert codec.decode_ip(codec.encode_ip(first)).is_fragment


def test_padding_of_the_link_is_cut_off(codec: Codec) -> None:
    assert codec.decode_ip(KERNEL_ACK + b"\0pad") == codec.decode_ip(KERNEL_ACK)


def test_reserved_flag_of_ip_is_ignored(codec: Codec) -> None:
    octets = bytes.fromhex("45000014000080004006e65d") + KERNEL + OURS
    assert codec.decode_ip(octets) == IPPacket(KERNEL, OURS, TCP, b"", dont_fragment=False)


def test_syn_of_a_kernel(codec: Codec) -> None:
    packet = codec.decode_ip(KERNEL_SYN)
    segment = codec.decode_tcp(packet)
    assert (packet.source, packet.destination, packet.ttl, packet.identification) == (KERNEL, OURS, 64, 0x2F79)
    assert segment == TcpSegment(41286, 7, 3455701202, 0, SYN, 64240, options=KERNEL_OPTIONS)
    assert codec.encode_tcp(segment, KERNEL, OURS) == KERNEL_SYN[20:]
    assert codec.encode_ip(packet) == KERNEL_SYN


@pytest.mark.requirement("MUST-2")
def test_data_of_a_kernel(codec: Codec) -> None:
    packet = codec.decode_ip(DATA)
    segment = codec.decode_tcp(packet)
    assert segment.flags == ACK | PSH
    assert segment.ack == 1001
    assert segment.payload == b"hello, userstack!"
    assert codec.encode_tcp(segment, KERNEL, OURS) == DATA[20:]


def test_ping_of_a_kernel(codec: Codec) -> None:
    message = codec.decode_icmp(codec.decode_ip(PING))
    assert (message.type, message.code, message.rest) == (ECHO_REQUEST, 0, 0x5BC80001)
    assert len(message.payload) == 56
    reply = codec.encode_icmp(IcmpMessage(ECHO_REPLY, 0, message.rest, message.payload))
    # RFC 1624 3: eight in the type are eight more in the checksum.
    assert reply[:4] == bytes.fromhex("0000d9c1")
    assert codec.encode_icmp(message) == PING[20:]


def test_arp_of_a_kernel(codec: Codec) -> None:
    frame = codec.decode_ethernet(ARP_REQUEST)
    assert (frame.destination, frame.source, frame.ethertype) == (BROADCAST, MAC, ARP)
    packet = codec.decode_arp(frame.payload)
    assert packet == ArpPacket(REQUEST, MAC, bytes((10, 67, 0, 1)), bytes(6), bytes((10, 67, 0, 2)))
    assert codec.encode_arp(packet) == ARP_REQUEST[14:]
    assert codec.encode_ethernet(frame) == ARP_REQUEST


def test_router_solicitation_of_a_kernel(codec: Codec) -> None:
    packet = codec.decode_ip(ROUTER_SOLICITATION)
    assert (packet.version, packet.protocol, packet.ttl) == (6, ICMPV6, 255)
    assert packet.destination == bytes.fromhex("ff020000000000000000000000000002")
    assert packet.payload == bytes.fromhex("8500df2e00000000")
    assert codec.encode_ip(packet) == ROUTER_SOLICITATION


def test_tcp_over_ipv6(codec: Codec) -> None:
    source, destination = bytes(15) + b"\x01", bytes(15) + b"\x02"
    octets = codec.encode_tcp(TcpSegment(1, 2, 3, payload=b"x"), source, destination)
    # RFC 8200 8.1 by hand: addresses 1 + 2, length 21, next header 6, ports 1 + 2, seq 3, data offset 5000, "x" as 7800.
    assert octets[16:18] == (0xFFFF - (1 + 2 + 21 + 6 + 1 + 2 + 3 + 0x5000 + 0x7800)).to_bytes(2, "big")
    packet = IPPacket(source, destination, TCP, octets, tos=0xB8)
    assert codec.decode_tcp(codec.decode_ip(codec.encode_ip(packet))) == TcpSegment(1, 2, 3, payload=b"x")


@pytest.mark.parametrize(
    ("flags", "octets"),
    [
        (FIN, "5001"),
        (SYN, "5002"),
        (RST, "5004"),
        (PSH, "5008"),
        (ACK, "5010"),
        (URG, "5020"),
        (ECE, "5040"),
        (CWR, "5080"),
        (AE, "5100"),
        (0x1FF, "51ff"),
        (0, "5000"),
    ],
)
def test_every_control_bit_has_its_place(codec: Codec, flags: int, octets: str) -> None:
    # RFC 9293 3.1, and RFC 9768 for AE.
    written = codec.encode_tcp(TcpSegment(1, 2, 3, flags=flags), KERNEL, OURS)
    assert written[12:14].hex() == octets
    assert codec.decode_tcp(IPPacket(KERNEL, OURS, TCP, written)).flags == flags


def test_reserved_bits_and_urgent_pointer_are_kept(codec: Codec) -> None:
    segment = TcpSegment(1, 2, 3, flags=URG | AE, reserved=0b101, urgent_pointer=0xBEEF)
    written = codec.encode_tcp(segment, KERNEL, OURS)
    assert written[12:14] == b"\x5b\x20"
    assert written[18:20] == b"\xbe\xef"
    assert codec.decode_tcp(IPPacket(KERNEL, OURS, TCP, written)) == segment


@pytest.mark.requirement("MUST-1")
def test_window_is_unsigned(codec: Codec) -> None:
    written = codec.encode_tcp(TcpSegment(1, 2, 3, window=0xFFFF), KERNEL, OURS)
    assert written[14:16] == b"\xff\xff"
    assert codec.decode_tcp(IPPacket(KERNEL, OURS, TCP, written)).window == 65535


def test_largest_segment(codec: Codec) -> None:
    segment = TcpSegment(1, 2, 3, payload=bytes(range(256)) * 255)
    packet = IPPacket(KERNEL, OURS, TCP, codec.encode_tcp(segment, KERNEL, OURS))
    assert codec.decode_tcp(codec.decode_ip(codec.encode_ip(packet))) == segment


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payload_in_any_buffer(codec: Codec, kind: type[bytes | bytearray | memoryview]) -> None:
    plain = codec.encode_tcp(TcpSegment(1, 2, 3, payload=b"odd"), KERNEL, OURS)
    assert codec.encode_tcp(TcpSegment(1, 2, 3, payload=kind(b"odd")), KERNEL, OURS) == plain
    assert codec.decode_tcp(IPPacket(KERNEL, OURS, TCP, kind(plain))).payload == b"odd"
    assert codec.decode_ip(kind(DATA)) == codec.decode_ip(DATA)


def test_checksum_that_the_device_vouches_for(codec: Codec) -> None:
    broken = bytearray(DATA)
    broken[-1] ^= 1
    assert codec.decode_tcp(codec.decode_ip(broken), verify=False).payload == b"hello, userstack "
