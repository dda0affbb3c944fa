"""The codec of the data path: ``struct``, one pass, no copy of a payload that comes in.

Decoded payloads are views onto the bytes given. Encoding checks little beforehand: ``struct`` refuses what does not fit, and
only then ``encodable`` finds out what it was.
"""

import struct
from collections.abc import Callable
from typing import Final

from userstack.wire.arp import ArpPacket
from userstack.wire.checksum import finish, internet_checksum, pseudo_header_sum, verify_checksum, word_sum
from userstack.wire.codec import Codec, WireError
from userstack.wire.encodable import (
    MAX_LENGTH,
    MAX_OPTIONS,
    check_arp,
    check_frame,
    check_message,
    check_message6,
    check_options,
    check_packet,
    check_segment,
)
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMPV6, TCP, Buffer, IPPacket
from userstack.wire.ipv6 import decode_ipv6, encode_ipv6, ipv6_header
from userstack.wire.source_route import destination_of
from userstack.wire.tcp import EOL, NOP, TIMESTAMPS, Option, TcpSegment, option_of

_IP4: Final = struct.Struct("!BBHHHBBH4s4s")
_unpack_ip4: Final[Callable[[Buffer], tuple[int, int, int, int, int, int, int, int, bytes, bytes]]] = _IP4.unpack_from
_TCP: Final = struct.Struct("!HHIIHHHH")
_unpack_tcp: Final[Callable[[Buffer], tuple[int, int, int, int, int, int, int, int]]] = _TCP.unpack_from
_ICMP: Final = struct.Struct("!BBHI")
_ETHERNET: Final = struct.Struct("!6s6sH")
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_ARP_IPV4_OVER_ETHERNET: Final = (1, 0x0800, 6, 4)

_DONT_FRAGMENT: Final = 0x4000
_MORE_FRAGMENTS: Final = 0x2000
_OFFSET: Final = 0x1FFF


class FastCodec:
    """The codec that needs nothing but ``struct``."""

    __slots__ = ()
    name = "fast"

    def decode_ip(self, data: Buffer) -> IPPacket:
        """Take an IPv4 or IPv6 packet apart; the payload is a view onto ``data``.

        Raises:
            WireError: the header is wrong, or the packet is longer than ``data``.
        """
        size = len(data)
        if size < 20:
            version6 = size > 0 and data[0] >> 4 == 6
            raise WireError("Ip6InHdrErrors" if version6 else "IpInHdrErrors", f"{size} octets are too few for an IP header")
        first, tos, total, identification, fragment, ttl, protocol, _, source, destination = _unpack_ip4(data)
        if first == 0x45:
            header = 20
        elif first >> 4 == 6:
            return decode_ipv6(data, size)
        else:
            header = _header_length(first, size)
        # RFC 1122 3.2.1.2 (MUST). The version is in it, so the sum cannot be that of zeros only.
        if int.from_bytes(data[:header], "big") % 0xFFFF:
            raise WireError("IpInHdrErrors", "wrong header checksum")
        if total > size:
            raise WireError("IpExtInTruncatedPkts", f"total length {total}, but {size} octets are here")
        if total < header:
            raise WireError("IpInHdrErrors", f"total length {total} is below the header's {header}")
        return IPPacket(
            source,
            destination,
            protocol,
            memoryview(data)[header:total],
            ttl,
            tos,
            identification,
            fragment & _DONT_FRAGMENT != 0,
            fragment & _MORE_FRAGMENTS != 0,
            fragment & _OFFSET,
            bytes(data[20:header]) if header > 20 else b"",
        )

    def encode_ip(self, packet: IPPacket) -> bytes:
        """Build an IPv4 or IPv6 packet.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        source, destination, options, offset = packet.source, packet.destination, packet.options, packet.fragment_offset
        if len(source) != 4:
            return encode_ipv6(packet)
        header = 20 + len(options)
        total = header + len(packet.payload)
        if (
            len(destination) != 4
            or header & 3
            or header > 60
            or total > MAX_LENGTH
            or offset & ~_OFFSET
            or packet.extension_headers
        ):
            check_packet(packet)
        first = 0x40 | header >> 2
        if packet.dont_fragment:
            offset |= _DONT_FRAGMENT
        if packet.more_fragments:
            offset |= _MORE_FRAGMENTS
        words = (first << 8) + packet.tos + total + packet.identification + offset + (packet.ttl << 8) + packet.protocol
        words += int.from_bytes(source, "big") + int.from_bytes(destination, "big")
        if options:
            words += word_sum(options)
        try:
            head = _IP4.pack(
                first,
                packet.tos,
                total,
                packet.identification,
                offset,
                packet.ttl,
                packet.protocol,
                -words % 0xFFFF,
                source,
                destination,
            )
        except struct.error:
            check_packet(packet)
            raise
        return b"".join((head, options, packet.payload))

    def decode_tcp(self, packet: IPPacket, *, verify: bool = True) -> TcpSegment:
        """Take a TCP segment apart; the payload is a slice of the packet's.

        Raises:
            WireError: the header or, unless ``verify`` is False, the checksum is wrong.
        """
        data = packet.payload
        size = len(data)
        if size < 20:
            raise WireError("TcpInErrs", f"{size} octets are too few for a TCP header")
        source_port, destination_port, seq, ack, bits, window, _, urgent_pointer = _unpack_tcp(data)
        header = bits >> 10 & 0x3C
        if not 20 <= header <= size:
            raise WireError("TcpInErrs", f"data offset of {header} octets in a segment of {size}")
        # RFC 9293 3.1 (MUST-3). The protocol number is in it, so the sum cannot be that of zeros only.
        end = destination_of(packet.destination, packet.options) if packet.options else packet.destination
        if verify and (pseudo_header_sum(packet.source, end, TCP, size) + word_sum(data)) % 0xFFFF:
            raise WireError("TcpInCsumErrors", "wrong TCP checksum")
        options, bad_options = decode_options(bytes(data[20:header])) if header > 20 else ((), False)
        return TcpSegment(
            source_port,
            destination_port,
            seq,
            ack,
            bits & 0x1FF,
            window,
            urgent_pointer,
            options,
            data[header:],
            bits >> 9 & 7,
            bad_options,
            packet.tos & 3,
            header,
        )

    def encode_tcp(self, segment: TcpSegment, source: bytes, destination: bytes) -> bytes:
        """Build a TCP segment.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        options = _encode_options(segment.options) if segment.options else b""
        payload, flags, reserved = segment.payload, segment.flags, segment.reserved
        if segment.more:
            payload = b"".join((payload, *segment.more))
        header = 20 + len(options)
        size = header + len(payload)
        if len(source) not in (4, 16) or len(source) != len(destination) or size > MAX_LENGTH or flags & ~0x1FF or reserved & ~7:
            check_segment(segment, source, destination)
        source_port, destination_port, window, urgent_pointer = (
            segment.source_port,
            segment.destination_port,
            segment.window,
            segment.urgent_pointer,
        )
        seq, ack, bits = segment.seq, segment.ack, header << 10 | reserved << 9 | flags
        words = source_port + destination_port + seq + ack + bits + window + urgent_pointer + word_sum(payload)
        words += pseudo_header_sum(source, destination, TCP, size)
        if options:
            words += word_sum(options)
        try:
            head = _TCP.pack(source_port, destination_port, seq, ack, bits, window, -words % 0xFFFF, urgent_pointer)
        except struct.error:
            check_segment(segment, source, destination)
            raise
        return b"".join((head, options, payload))

    def encode_headers(
        self,
        segment: TcpSegment,
        source: bytes,
        destination: bytes,
        *,
        ttl: int,
        tos: int,
        identification: int,
        dont_fragment: bool,
    ) -> bytes:
        """Build both headers.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        options = _encode_options(segment.options) if segment.options else b""
        header = 20 + len(options)
        size = header + len(segment.payload)
        for piece in segment.more:
            size += len(piece)
        try:
            if len(source) == 4:
                total = 20 + size
                fragment = _DONT_FRAGMENT if dont_fragment else 0
                addresses = int.from_bytes(source, "big") + int.from_bytes(destination, "big")
                words = 0x4500 + tos + total + identification + fragment + (ttl << 8) + TCP + addresses
                outer = _IP4.pack(0x45, tos, total, identification, fragment, ttl, TCP, -words % 0xFFFF, source, destination)
                partial = (addresses + TCP + size) % 0xFFFF or 0xFFFF
            else:
                outer = ipv6_header(size, TCP, ttl, tos, source, destination)
                partial = pseudo_header_sum(source, destination, TCP, size) % 0xFFFF or 0xFFFF
            inner = _TCP.pack(
                segment.source_port,
                segment.destination_port,
                segment.seq,
                segment.ack,
                header << 10 | segment.flags,
                segment.window,
                partial,
                segment.urgent_pointer,
            )
        except struct.error:
            check_segment(segment, source, destination)
            check_packet(IPPacket(source, destination, TCP, bytes(size), ttl, tos, identification))
            raise
        return b"".join((outer, inner, options))

    def decode_icmp(self, packet: IPPacket) -> IcmpMessage:
        """Take an ICMP message apart; the payload is a slice of the packet's.

        Raises:
            WireError: the message is too short or its checksum is wrong.
        """
        data = packet.payload
        if len(data) < 8:
            raise WireError("IcmpInErrors", f"{len(data)} octets are too few for an ICMP header")
        if not verify_checksum(data):
            raise WireError("IcmpInCsumErrors", "wrong ICMP checksum")
        return _split_message(data)

    def encode_icmp(self, message: IcmpMessage) -> bytes:
        """Build an ICMP message.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_message(message)
        checksum = internet_checksum(_ICMP.pack(message.type, message.code, 0, message.rest), message.payload)
        return b"".join((_ICMP.pack(message.type, message.code, checksum, message.rest), message.payload))

    def decode_icmpv6(self, packet: IPPacket) -> IcmpMessage:
        """Take an ICMPv6 message apart; the payload is a slice of the packet's.

        Raises:
            WireError: the message is too short or its checksum is wrong.
        """
        data = packet.payload
        if len(data) < 8:
            raise WireError("Icmp6InErrors", f"{len(data)} octets are too few for an ICMPv6 header")
        if (pseudo_header_sum(packet.source, packet.destination, ICMPV6, len(data)) + word_sum(data)) % 0xFFFF:
            raise WireError("Icmp6InCsumErrors", "wrong ICMPv6 checksum")
        return _split_message(data)

    def encode_icmpv6(self, message: IcmpMessage, source: bytes, destination: bytes) -> bytes:
        """Build an ICMPv6 message.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_message6(message, source, destination)
        head, payload = _ICMP.pack(message.type, message.code, 0, message.rest), message.payload
        words = pseudo_header_sum(source, destination, ICMPV6, 8 + len(payload)) + word_sum(head) + word_sum(payload)
        return b"".join((_ICMP.pack(message.type, message.code, finish(words), message.rest), payload))

    def decode_ethernet(self, data: Buffer) -> EthernetFrame:
        """Take a frame apart; the payload is a view onto ``data``.

        Raises:
            WireError: the frame is too short.
        """
        if len(data) < 14:
            raise WireError("EthernetInErrors", f"{len(data)} octets are too few for an Ethernet header")
        destination, source, ethertype = _ETHERNET.unpack_from(data)
        return EthernetFrame(destination, source, ethertype, memoryview(data)[14:])

    def encode_ethernet(self, frame: EthernetFrame) -> bytes:
        """Build a frame.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_frame(frame)
        return b"".join((_ETHERNET.pack(frame.destination, frame.source, frame.ethertype), frame.payload))

    def decode_arp(self, data: Buffer) -> ArpPacket:
        """Take an ARP packet apart.

        Raises:
            WireError: the packet is too short, or not about IPv4 over Ethernet.
        """
        if len(data) < 28:
            raise WireError("ArpInErrors", f"{len(data)} octets are too few for ARP")
        *kinds, operation, sender_mac, sender_ip, target_mac, target_ip = _ARP.unpack_from(data)
        if tuple(kinds) != _ARP_IPV4_OVER_ETHERNET:
            raise WireError("ArpInErrors", "ARP for something else than IPv4 over Ethernet")
        return ArpPacket(operation, sender_mac, sender_ip, target_mac, target_ip)

    def encode_arp(self, packet: ArpPacket) -> bytes:
        """Build an ARP packet.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_arp(packet)
        return _ARP.pack(
            *_ARP_IPV4_OVER_ETHERNET,
            packet.operation,
            packet.sender_mac,
            packet.sender_ip,
            packet.target_mac,
            packet.target_ip,
        )


def make() -> Codec:
    """A fast codec."""
    return FastCodec()


def _header_length(first: int, size: int) -> int:
    if first >> 4 != 4:
        raise WireError("IpInHdrErrors", f"IP version {first >> 4}")
    header = (first & 0xF) * 4
    if not 20 <= header <= size:
        raise WireError("IpInHdrErrors", f"IP header of {header} octets in a packet of {size}")
    return header


def _split_message(data: Buffer) -> IcmpMessage:
    kind, code, _, rest = _ICMP.unpack_from(data)
    return IcmpMessage(kind, code, rest, data[8:])


def decode_options(octets: bytes) -> tuple[tuple[Option, ...], bool]:
    """The options of RFC 9293 3.2, and whether an illegal length ended them (MUST-7)."""
    at, end = 0, len(octets)
    if end == 12 and octets.startswith(_ALIGNED_TIMESTAMPS):
        return (_NOP, _NOP, option_of((TIMESTAMPS, octets[4:]))), False
    options: list[Option] = []
    while at < end:
        kind = octets[at]
        if kind == NOP:
            options.append(_NOP)
            at += 1
            continue
        if kind == EOL:
            options.append(_EOL)
            break
        after = at + octets[at + 1] if at + 1 < end else 0
        if not at + 2 <= after <= end:
            return tuple(options), True
        options.append(option_of((kind, octets[at + 2 : after])))
        at = after
    return tuple(options), False


def _encode_options(options: tuple[Option, ...]) -> bytes:
    if len(options) == 3 and options[2].kind == TIMESTAMPS and options[0] == options[1] == _NOP and len(options[2].data) == 8:
        return _ALIGNED_TIMESTAMPS + options[2].data
    parts: list[bytes] = []
    for kind, data in options:
        if kind > NOP:
            if kind > 0xFF or len(data) > MAX_OPTIONS:
                check_options(options)
            parts.append(bytes((kind, len(data) + 2)))
            parts.append(data)
        else:
            if kind < 0 or data:
                check_options(options)
            parts.append(_SINGLE_OCTETS[kind])
    octets = b"".join(parts)
    if len(octets) > MAX_OPTIONS:
        check_options(options)
    return octets + b"\0" * (-len(octets) % 4)


_ALIGNED_TIMESTAMPS: Final = bytes((NOP, NOP, TIMESTAMPS, 10))
"""How nearly every segment of a connection with timestamps begins its options (RFC 7323 A)."""
_EOL: Final = Option(EOL)
_NOP: Final = Option(NOP)
_SINGLE_OCTETS: Final = (b"\x00", b"\x01")
