"""What can be written to the wire: each check passes, or raises ``InvalidArgument`` with a line that names the field.

The scapy codec asks before it builds. The fast codec asks only where writing failed, so that a good packet pays nothing.
"""

from collections.abc import Iterable
from typing import Final

from userstack.errors import InvalidArgument
from userstack.wire.arp import ArpPacket
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import EXTENSION_HEADERS, FRAGMENT, ExtensionHeader, IPPacket
from userstack.wire.tcp import NOP, Option, TcpSegment

MAX_LENGTH: Final = 0xFFFF
"""The length fields of IPv4 and IPv6 have 16 bits."""
MAX_OPTIONS: Final = 40
"""Octets: what a data offset, or an IHL, of 15 leaves beside the fixed 20 octets of TCP and of IPv4."""


def check_segment(segment: TcpSegment, source: bytes, destination: bytes) -> None:
    """Check a TCP segment and the addresses for its pseudo header.

    Raises:
        InvalidArgument: it cannot be written.
    """
    _check_addresses(source, destination)
    _check_fields(
        "TCP",
        ("source port", segment.source_port, 0xFFFF),
        ("destination port", segment.destination_port, 0xFFFF),
        ("sequence number", segment.seq, 0xFFFFFFFF),
        ("acknowledgment number", segment.ack, 0xFFFFFFFF),
        ("flags", segment.flags, 0x1FF),
        ("reserved bits", segment.reserved, 7),
        ("window", segment.window, 0xFFFF),
        ("urgent pointer", segment.urgent_pointer, 0xFFFF),
    )
    check_options(segment.options)
    length = 20 + _padded(option_octets(segment.options)) + len(segment.payload) + sum(map(len, segment.more))
    if length > MAX_LENGTH:
        raise InvalidArgument(
            f"TCP segment of {length} octets, header included: an IP packet carries {MAX_LENGTH} at the most; send it in parts"
        )


def check_options(options: tuple[Option, ...]) -> None:
    """Check the options of a TCP segment.

    Raises:
        InvalidArgument: they cannot be written.
    """
    for kind, data in options:
        _check_fields("TCP", ("option kind", kind, 0xFF))
        if kind <= NOP and data:
            raise InvalidArgument(f"TCP option kind {kind} with {len(data)} octets of data: EOL and NOP have none")
    size = option_octets(options)
    if size > MAX_OPTIONS:
        raise InvalidArgument(f"TCP options of {size} octets: the header has room for {MAX_OPTIONS}; leave some out")


def option_octets(options: Iterable[Option]) -> int:
    """How many octets TCP options take, without the padding behind them."""
    return sum(1 if kind <= NOP else 2 + len(data) for kind, data in options)


def check_packet(packet: IPPacket) -> None:
    """Check an IP packet.

    Raises:
        InvalidArgument: it cannot be written.
    """
    _check_addresses(packet.source, packet.destination)
    _check_fields(
        "IP",
        ("protocol", packet.protocol, 0xFF),
        ("TTL", packet.ttl, 0xFF),
        ("TOS", packet.tos, 0xFF),
        ("identification", packet.identification, 0xFFFF if packet.version == 4 else 0xFFFFFFFF),
        ("fragment offset", packet.fragment_offset, 0x1FFF),
    )
    header = _check_header4(packet) if packet.version == 4 else _check_header6(packet)
    length = header + len(packet.payload)
    if length > MAX_LENGTH:
        raise InvalidArgument(f"IP packet with a payload of {len(packet.payload)} octets: the length field ends at {MAX_LENGTH}")


def check_message(message: IcmpMessage) -> None:
    """Check an ICMP message.

    Raises:
        InvalidArgument: it cannot be written.
    """
    _check_fields("ICMP", ("type", message.type, 0xFF), ("code", message.code, 0xFF), ("rest", message.rest, 0xFFFFFFFF))


def check_message6(message: IcmpMessage, source: bytes, destination: bytes) -> None:
    """Check an ICMPv6 message and the addresses for its pseudo header.

    Raises:
        InvalidArgument: it cannot be written.
    """
    _check_addresses(source, destination)
    if len(source) != 16:
        raise InvalidArgument("ICMPv6 between IPv4 addresses: its pseudo header takes 16 octets of each")
    check_message(message)


def check_frame(frame: EthernetFrame) -> None:
    """Check an Ethernet frame.

    Raises:
        InvalidArgument: it cannot be written.
    """
    _check_sizes("Ethernet", ("destination", frame.destination, 6), ("source", frame.source, 6))
    _check_fields("Ethernet", ("type", frame.ethertype, 0xFFFF))


def check_arp(packet: ArpPacket) -> None:
    """Check an ARP packet.

    Raises:
        InvalidArgument: it cannot be written.
    """
    _check_fields("ARP", ("operation", packet.operation, 0xFFFF))
    _check_sizes(
        "ARP",
        ("sender MAC", packet.sender_mac, 6),
        ("sender address", packet.sender_ip, 4),
        ("target MAC", packet.target_mac, 6),
        ("target address", packet.target_ip, 4),
    )


def _check_header4(packet: IPPacket) -> int:
    if packet.extension_headers:
        raise InvalidArgument("IPv4 packet with extension headers: they are IPv6's")
    size = len(packet.options)
    if size > MAX_OPTIONS or size % 4:
        raise InvalidArgument(f"IPv4 options of {size} octets: pad them to a multiple of 4, {MAX_OPTIONS} at the most")
    return 20 + size


def _check_header6(packet: IPPacket) -> int:
    if packet.options:
        raise InvalidArgument("IPv6 packet with IPv4 options: it has extension headers")
    written = 0
    for header in packet.extension_headers:
        _check_extension_header(header)
        if header.kind == FRAGMENT:
            written = int.from_bytes(header.body[1:3], "big") & ~0b110
    if written != packet.fragment_offset << 3 | packet.more_fragments:
        raise InvalidArgument("IPv6 packet whose fragment offset and flag are not those of its Fragment header")
    return sum(header.size for header in packet.extension_headers)  # RFC 8200 3: the length counts without the fixed header.


def _check_extension_header(header: ExtensionHeader) -> None:
    if header.kind not in EXTENSION_HEADERS:
        raise InvalidArgument(f"IPv6 extension header {header.kind}: write it as the packet's protocol and payload")
    named = 8 if header.kind == FRAGMENT or not header.body else 8 + 8 * header.body[0]
    if header.size != named:
        raise InvalidArgument(f"IPv6 extension header {header.kind} of {header.size} octets: its length field makes it {named}")


def _check_addresses(source: bytes, destination: bytes) -> None:
    if len(source) not in (4, 16) or len(source) != len(destination):
        sizes = f"{len(source)} and {len(destination)}"
        raise InvalidArgument(f"addresses of {sizes} octets: both must be packed, 4 octets for IPv4 or 16 for IPv6")


def _check_fields(what: str, *fields: tuple[str, int, int]) -> None:
    for name, value, limit in fields:
        if not 0 <= value <= limit:
            raise InvalidArgument(f"{what} {name} {value} is out of range: 0 to {limit}")


def _check_sizes(what: str, *fields: tuple[str, bytes, int]) -> None:
    for name, value, size in fields:
        if len(value) != size:
            raise InvalidArgument(f"{what} {name} has {len(value)} octets: it takes {size}")


def _padded(size: int) -> int:
    return size + -size % 4
