"""What is no packet: each defect raises its counter when read, and one clear line when somebody wants it written."""

from dataclasses import replace

import pytest

from tests.support.packets import repair
from tests.wire.captured import ACK, ARP_REQUEST, DATA, KERNEL, OURS, PING, ROUTER_SOLICITATION, SYN
from userstack.errors import InvalidArgument
from userstack.wire.arp import ArpPacket
from userstack.wire.codec import Codec, WireError, make_codec
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, IPPacket
from userstack.wire.tcp import TcpSegment

MAC = bytes(6)
PACKET = IPPacket(KERNEL, OURS, 6, b"")
PACKET6 = IPPacket(bytes(16), bytes(16), 6, b"")
SEGMENT = TcpSegment(1, 2, 3)


def patched(octets: bytes, at: int, new: bytes, *, lengths: bool = False) -> bytes:
    """``octets`` with some of them replaced and every checksum right."""
    return repair(octets[:at] + new + octets[at + len(new) :], lengths=lengths)


@pytest.mark.parametrize(
    ("octets", "counter"),
    [
        (b"", "IpInHdrErrors"),
        (b"\x45", "IpInHdrErrors"),
        (SYN[:19], "IpInHdrErrors"),
        (patched(SYN, 0, b"\x55"), "IpInHdrErrors"),
        (patched(SYN, 0, b"\x05"), "IpInHdrErrors"),
        (patched(SYN, 0, b"\x44"), "IpInHdrErrors"),
        (patched(SYN, 0, b"\x40"), "IpInHdrErrors"),
        (patched(SYN[:30], 0, b"\x4f", lengths=True), "IpInHdrErrors"),
        (SYN[:10] + b"\0\0" + SYN[12:], "IpInHdrErrors"),
        (SYN[:1] + b"\x01" + SYN[2:], "IpInHdrErrors"),
        (patched(SYN, 2, b"\0\x13"), "IpInHdrErrors"),
        (patched(SYN, 2, b"\0\0"), "IpInHdrErrors"),
        (bytes(20), "IpInHdrErrors"),
        (patched(SYN, 2, b"\0\x3d"), "IpExtInTruncatedPkts"),
        (SYN[:-1], "IpExtInTruncatedPkts"),
        (SYN[:20], "IpExtInTruncatedPkts"),
        (b"\x60", "Ip6InHdrErrors"),
        (ROUTER_SOLICITATION[:39], "Ip6InHdrErrors"),
        (ROUTER_SOLICITATION[:-1], "Ip6InTruncatedPkts"),
    ],
)
def test_ip(codec: Codec, octets: bytes, counter: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_ip(octets)
    assert caught.value.counter == counter
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("octets", "counter"),
    [
        (patched(SYN[:39], 0, b"\x45", lengths=True), "TcpInErrs"),
        (patched(SYN[:20], 0, b"\x45", lengths=True), "TcpInErrs"),
        (patched(SYN, 32, b"\x40"), "TcpInErrs"),
        (patched(SYN, 32, b"\x00"), "TcpInErrs"),
        (patched(SYN, 32, b"\xb0"), "TcpInErrs"),
        (patched(ACK, 32, b"\xf0"), "TcpInErrs"),
        (SYN[:-1] + b"\x0b", "TcpInCsumErrors"),
        (DATA[:-1] + b"?", "TcpInCsumErrors"),
        (SYN[:36] + b"\0\0" + SYN[38:], "TcpInCsumErrors"),
        (SYN[:36] + b"\xff\xff" + SYN[38:], "TcpInCsumErrors"),
    ],
)
def test_tcp(codec: Codec, octets: bytes, counter: str) -> None:
    packet = codec.decode_ip(octets)
    with pytest.raises(WireError) as caught:
        codec.decode_tcp(packet)
    assert caught.value.counter == counter


@pytest.mark.requirement("MUST-3")
def test_the_pseudo_header_is_summed_too(codec: Codec) -> None:
    packet = codec.decode_ip(SYN)
    for other in (replace(packet, source=OURS), replace(packet, destination=KERNEL)):
        with pytest.raises(WireError, match="checksum"):
            codec.decode_tcp(other)


@pytest.mark.parametrize(
    ("payload", "counter"),
    [
        (b"", "IcmpInErrors"),
        (PING[20:27], "IcmpInErrors"),
        (PING[20:-1] + b"\0", "IcmpInCsumErrors"),
        (bytes(8), "IcmpInCsumErrors"),
    ],
)
def test_icmp(codec: Codec, payload: bytes, counter: str) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_icmp(IPPacket(KERNEL, OURS, ICMP, payload))
    assert caught.value.counter == counter


def test_ethernet(codec: Codec) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_ethernet(bytes(13))
    assert caught.value.counter == "EthernetInErrors"
    assert codec.decode_ethernet(bytes(14)) == EthernetFrame(MAC, MAC, 0, b"")


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        ARP_REQUEST[14:41],
        patched(ARP_REQUEST[14:], 0, b"\0\x06"),
        patched(ARP_REQUEST[14:], 2, b"\x86\xdd"),
        patched(ARP_REQUEST[14:], 4, b"\x08"),
        patched(ARP_REQUEST[14:], 5, b"\x10"),
        bytes(60),
    ],
)
def test_arp(codec: Codec, octets: bytes) -> None:
    with pytest.raises(WireError) as caught:
        codec.decode_arp(octets)
    assert caught.value.counter == "ArpInErrors"


def test_arp_with_the_padding_of_a_short_frame(codec: Codec) -> None:
    assert codec.decode_arp(ARP_REQUEST[14:] + bytes(18)) == codec.decode_arp(ARP_REQUEST[14:])


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        (replace(SEGMENT, source_port=65536), "TCP source port 65536 is out of range: 0 to 65535"),
        (replace(SEGMENT, destination_port=-1), "TCP destination port -1 is out of range: 0 to 65535"),
        (replace(SEGMENT, seq=1 << 32), "TCP sequence number 4294967296 is out of range: 0 to 4294967295"),
        (replace(SEGMENT, ack=-5), "TCP acknowledgment number -5 is out of range: 0 to 4294967295"),
        (replace(SEGMENT, flags=0x200), "TCP flags 512 is out of range: 0 to 511"),
        (replace(SEGMENT, flags=-1), "TCP flags -1 is out of range: 0 to 511"),
        (replace(SEGMENT, reserved=8), "TCP reserved bits 8 is out of range: 0 to 7"),
        (replace(SEGMENT, window=65536), "TCP window 65536 is out of range: 0 to 65535"),
        (replace(SEGMENT, urgent_pointer=65536), "TCP urgent pointer 65536 is out of range: 0 to 65535"),
        (
            replace(SEGMENT, payload=bytes(65516)),
            "TCP segment of 65536 octets, header included: an IP packet carries 65535 at the most; send it in parts",
        ),
    ],
)
def test_segments_that_cannot_be_written(codec: Codec, segment: TcpSegment, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        codec.encode_tcp(segment, KERNEL, OURS)
    assert caught.value.strerror == message


@pytest.mark.parametrize(
    ("source", "destination"), [(b"", b""), (bytes(5), bytes(5)), (bytes(4), bytes(16)), (bytes(16), bytes(4))]
)
def test_addresses_that_are_none(codec: Codec, source: bytes, destination: bytes) -> None:
    message = f"addresses of {len(source)} and {len(destination)} octets"
    with pytest.raises(InvalidArgument, match=message):
        codec.encode_tcp(SEGMENT, source, destination)
    with pytest.raises(InvalidArgument, match=message):
        codec.encode_ip(IPPacket(source, destination, 6, b""))


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (replace(PACKET, protocol=256), "IP protocol 256 is out of range: 0 to 255"),
        (replace(PACKET, ttl=-1), "IP TTL -1 is out of range: 0 to 255"),
        (replace(PACKET, tos=256), "IP TOS 256 is out of range: 0 to 255"),
        (replace(PACKET, identification=65536), "IP identification 65536 is out of range: 0 to 65535"),
        (replace(PACKET, fragment_offset=8192), "IP fragment offset 8192 is out of range: 0 to 8191"),
        (replace(PACKET, fragment_offset=-1), "IP fragment offset -1 is out of range: 0 to 8191"),
        (replace(PACKET, options=bytes(3)), "IPv4 options of 3 octets: pad them to a multiple of 4, 40 at the most"),
        (replace(PACKET, options=bytes(44)), "IPv4 options of 44 octets: pad them to a multiple of 4, 40 at the most"),
        (replace(PACKET, payload=bytes(65516)), "IP packet with a payload of 65516 octets: the length field ends at 65535"),
        (replace(PACKET6, payload=bytes(65536)), "IP packet with a payload of 65536 octets: the length field ends at 65535"),
        (replace(PACKET6, ttl=256), "IP TTL 256 is out of range: 0 to 255"),
        (replace(PACKET6, options=bytes(4)), "IPv6 packet with IPv4 options: it has extension headers"),
        (replace(PACKET6, more_fragments=True), "IPv6 packet whose fragment offset and flag are not those of its Fragment header"),
    ],
)
def test_packets_that_cannot_be_written(codec: Codec, packet: IPPacket, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        codec.encode_ip(packet)
    assert caught.value.strerror == message


@pytest.mark.parametrize("message", [IcmpMessage(256, 0), IcmpMessage(0, -1), IcmpMessage(0, 0, 1 << 32)])
def test_messages_that_cannot_be_written(codec: Codec, message: IcmpMessage) -> None:
    with pytest.raises(InvalidArgument, match=r"ICMP .* out of range"):
        codec.encode_icmp(message)


@pytest.mark.parametrize("frame", [EthernetFrame(bytes(5), MAC, 0, b""), EthernetFrame(MAC, bytes(7), 0, b"")])
def test_frames_that_cannot_be_written(codec: Codec, frame: EthernetFrame) -> None:
    with pytest.raises(InvalidArgument, match="it takes 6"):
        codec.encode_ethernet(frame)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (ArpPacket(65536, MAC, KERNEL, MAC, OURS), "ARP operation 65536 is out of range"),
        (ArpPacket(1, b"", KERNEL, MAC, OURS), "ARP sender MAC has 0 octets: it takes 6"),
        (ArpPacket(1, MAC, KERNEL, MAC, bytes(16)), "ARP target address has 16 octets: it takes 4"),
    ],
)
def test_arp_that_cannot_be_written(codec: Codec, packet: ArpPacket, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        codec.encode_arp(packet)


def test_no_such_codec() -> None:
    with pytest.raises(InvalidArgument, match="no codec 'slow': choose one of fast, scapy"):
        make_codec("slow")
