"""The codec of people: every packet is dissected and built by scapy's layers, about a hundred times slower than ``fast``.

Its values, bytes and errors are those of the fast codec. So each layer is dissected for itself, without guessing what it carries
(a port never makes a payload a DNS message), and lengths are checked that scapy would mend in silence. What scapy does not keep
as it stands on the wire is read beside it: the octets of IP and TCP options, and the word of ICMP that it splits by type.
"""

import struct
from contextlib import suppress
from typing import Final

from scapy.layers.inet import ICMP, IP, TCP, TCPOptionsField, in4_chksum, in4_pseudoheader
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6Unknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Pad1,
    in6_chksum,
    in6_pseudoheader,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.utils import checksum, mac2str

from userstack.address import format_address, pack_address
from userstack.errors import InvalidArgument
from userstack.wire.arp import ArpPacket
from userstack.wire.codec import Codec, ParameterProblem, WireError
from userstack.wire.encodable import (
    MAX_LENGTH,
    check_arp,
    check_frame,
    check_message,
    check_message6,
    check_packet,
    check_segment,
)
from userstack.wire.ethernet import EthernetFrame, format_mac
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import ERRONEOUS_HEADER_FIELD, UNRECOGNIZED_NEXT_HEADER, UNRECOGNIZED_OPTION
from userstack.wire.ip import (
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    ICMPV6,
    MAX_EXTENSION_HEADERS,
    ROUTING,
    Buffer,
    ExtensionHeader,
    IPPacket,
)
from userstack.wire.ip import TCP as TCP_PROTOCOL
from userstack.wire.source_route import destination_of
from userstack.wire.tcp import EOL, NOP, Option, TcpSegment

_ARP_IPV4_OVER_ETHERNET: Final = bytes.fromhex("0001 0800 06 04")
_ICMP_ROOM: Final = bytes(12)
"""Scapy reads up to 20 octets as the header of some ICMP types (timestamps), whether the message has them or not."""
_OPTIONS_FIELD: Final = TCPOptionsField("options", [])
_EXTENSION_LAYERS: Final = {
    HOP_BY_HOP: IPv6ExtHdrHopByHop,
    ROUTING: IPv6ExtHdrRouting,
    FRAGMENT: IPv6ExtHdrFragment,
    DESTINATION_OPTIONS: IPv6ExtHdrDestOpt,
}


class ScapyCodec:
    """The codec that lets scapy do it."""

    __slots__ = ()
    name = "scapy"

    def decode_ip(self, data: Buffer) -> IPPacket:
        """Take an IPv4 or IPv6 packet apart.

        Raises:
            WireError: the header is wrong, or the packet is longer than ``data``.
        """
        octets = bytes(data)
        if octets and octets[0] >> 4 == 6:
            return _decode_ip6(octets)
        if len(octets) < 20:
            raise WireError("IpInHdrErrors", f"{len(octets)} octets are too few for an IP header")
        layer = _dissect(IP(), octets[:20])
        header = layer.ihl * 4
        if layer.version != 4 or not 20 <= header <= len(octets):
            raise WireError("IpInHdrErrors", f"IP version {layer.version}, header of {header} octets")
        if checksum(octets[:header]) != 0:
            raise WireError("IpInHdrErrors", "wrong header checksum")
        if layer.len > len(octets):
            raise WireError("IpExtInTruncatedPkts", f"total length {layer.len}, but {len(octets)} octets are here")
        if layer.len < header:
            raise WireError("IpInHdrErrors", f"total length {layer.len} is below the header's {header}")
        payload, _ = layer.extract_padding(octets[header:])
        return IPPacket(
            pack_address(layer.src),
            pack_address(layer.dst),
            layer.proto,
            payload,
            ttl=layer.ttl,
            tos=layer.tos,
            identification=layer.id,
            dont_fragment=bool(layer.flags.DF),
            more_fragments=bool(layer.flags.MF),
            fragment_offset=layer.frag,
            options=octets[20:header],
        )

    def encode_ip(self, packet: IPPacket) -> bytes:
        """Build an IPv4 or IPv6 packet.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_packet(packet)
        flags = packet.dont_fragment << 1 | packet.more_fragments
        layer = _network_layer(packet.source, packet.destination)
        if packet.version == 4:
            layer.proto, layer.ttl, layer.tos = packet.protocol, packet.ttl, packet.tos
            layer.id, layer.flags, layer.frag = packet.identification, flags, packet.fragment_offset
            layer.options = [Raw(packet.options)] if packet.options else []
        else:
            layer.hlim, layer.tc = packet.ttl, packet.tos
            layer = _with_extension_headers(layer, packet)
        return bytes(layer / Raw(bytes(packet.payload)))

    def decode_tcp(self, packet: IPPacket, *, verify: bool = True) -> TcpSegment:
        """Take a TCP segment apart.

        Raises:
            WireError: the header or, unless ``verify`` is False, the checksum is wrong.
        """
        octets = bytes(packet.payload)
        segment = _dissect_tcp(octets)
        segment.ecn = packet.tos & 3
        if verify:
            layer = _network_layer(packet.source, destination_of(packet.destination, packet.options))
            pseudo_checksum = in4_chksum if packet.version == 4 else in6_chksum
            if pseudo_checksum(TCP_PROTOCOL, layer, octets) != 0:
                raise WireError("TcpInCsumErrors", "wrong TCP checksum")
        return segment

    def encode_tcp(self, segment: TcpSegment, source: bytes, destination: bytes) -> bytes:
        """Build a TCP segment.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_segment(segment, source, destination)
        return bytes((_network_layer(source, destination) / _tcp_layer(segment)).payload)

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
        check_segment(segment, source, destination)
        text = _tcp_layer(segment)
        packet = IPPacket(source, destination, TCP_PROTOCOL, bytes(len(text)), ttl, tos, identification, dont_fragment)
        pseudo = in4_pseudoheader if packet.version == 4 else in6_pseudoheader
        text.remove_payload()
        text.chksum = ~checksum(bytes(pseudo(TCP_PROTOCOL, _network_layer(source, destination), len(packet.payload)))) & 0xFFFF
        return self.encode_ip(packet)[: 20 if packet.version == 4 else 40] + bytes(text)

    def decode_icmp(self, packet: IPPacket) -> IcmpMessage:
        """Take an ICMP message apart.

        Raises:
            WireError: the message is too short or its checksum is wrong.
        """
        octets = bytes(packet.payload)
        if len(octets) < 8:
            raise WireError("IcmpInErrors", f"{len(octets)} octets are too few for an ICMP header")
        if checksum(octets) != 0:
            raise WireError("IcmpInCsumErrors", "wrong ICMP checksum")
        layer = _dissect(ICMP(), octets[:8] + _ICMP_ROOM)
        return IcmpMessage(layer.type, layer.code, int.from_bytes(octets[4:8], "big"), octets[8:])

    def encode_icmp(self, message: IcmpMessage) -> bytes:
        """Build an ICMP message.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_message(message)
        head, payload = struct.pack("!BBHI", message.type, message.code, 0, message.rest), bytes(message.payload)
        layer = ICMP()
        only_word = len(layer.do_dissect(head + _ICMP_ROOM)) == len(_ICMP_ROOM)
        layer.chksum = None
        if only_word:
            return bytes(layer / Raw(payload))
        octets: bytes = layer.post_build(head, payload)
        return octets

    def decode_icmpv6(self, packet: IPPacket) -> IcmpMessage:
        """Take an ICMPv6 message apart.

        Raises:
            WireError: the message is too short or its checksum is wrong.
        """
        octets = bytes(packet.payload)
        if len(octets) < 8:
            raise WireError("Icmp6InErrors", f"{len(octets)} octets are too few for an ICMPv6 header")
        if in6_chksum(ICMPV6, _network_layer(packet.source, packet.destination), octets) != 0:
            raise WireError("Icmp6InCsumErrors", "wrong ICMPv6 checksum")
        layer = _dissect(ICMPv6Unknown(), octets)
        return IcmpMessage(layer.type, layer.code, int.from_bytes(octets[4:8], "big"), octets[8:])

    def encode_icmpv6(self, message: IcmpMessage, source: bytes, destination: bytes) -> bytes:
        """Build an ICMPv6 message.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_message6(message, source, destination)
        body = message.rest.to_bytes(4, "big") + bytes(message.payload)
        layer = _network_layer(source, destination) / ICMPv6Unknown(type=message.type, code=message.code, msgbody=body)
        return bytes(layer.payload)

    def decode_ethernet(self, data: Buffer) -> EthernetFrame:
        """Take a frame apart.

        Raises:
            WireError: the frame is too short.
        """
        octets = bytes(data)
        if len(octets) < 14:
            raise WireError("EthernetInErrors", f"{len(octets)} octets are too few for an Ethernet header")
        layer = _dissect(Ether(), octets[:14])
        return EthernetFrame(mac2str(layer.dst), mac2str(layer.src), layer.type, octets[14:])

    def encode_ethernet(self, frame: EthernetFrame) -> bytes:
        """Build a frame.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_frame(frame)
        layer = Ether(dst=format_mac(frame.destination), src=format_mac(frame.source), type=frame.ethertype)
        return bytes(layer / Raw(bytes(frame.payload)))

    def decode_arp(self, data: Buffer) -> ArpPacket:
        """Take an ARP packet apart.

        Raises:
            WireError: the packet is too short, or not about IPv4 over Ethernet.
        """
        octets = bytes(data)
        if len(octets) < 28:
            raise WireError("ArpInErrors", f"{len(octets)} octets are too few for ARP")
        if not octets.startswith(_ARP_IPV4_OVER_ETHERNET):
            raise WireError("ArpInErrors", "ARP for something else than IPv4 over Ethernet")
        layer = _dissect(ARP(), octets[:28])
        return ArpPacket(layer.op, mac2str(layer.hwsrc), pack_address(layer.psrc), mac2str(layer.hwdst), pack_address(layer.pdst))

    def encode_arp(self, packet: ArpPacket) -> bytes:
        """Build an ARP packet.

        Raises:
            InvalidArgument: a field is out of its range.
        """
        check_arp(packet)
        layer = ARP(
            hwlen=6,
            plen=4,
            op=packet.operation,
            hwsrc=format_mac(packet.sender_mac),
            psrc=format_address(packet.sender_ip),
            hwdst=format_mac(packet.target_mac),
            pdst=format_address(packet.target_ip),
        )
        return bytes(layer)


def make() -> Codec:
    """A scapy codec."""
    return ScapyCodec()


def segment_to_scapy(segment: TcpSegment, source: bytes, destination: bytes) -> Packet:
    """The segment as scapy's ``IP / TCP / Raw`` (or ``IPv6``), options by scapy's names where those say the same octets.

    Lengths and checksums are left to scapy, so that they follow when a field is changed. What belongs to IP has scapy's defaults.

    Args:
        segment: the segment.
        source: packed address.
        destination: packed address.

    Raises:
        InvalidArgument: the segment cannot be written.
    """
    check_segment(segment, source, destination)
    packet = _network_layer(source, destination) / _tcp_layer(segment)
    packet[TCP].options = [_named(option) for option in segment.options]
    return packet


def segment_from_scapy(packet: Packet) -> TcpSegment:
    """The TCP layer of a scapy packet, built by hand or dissected, as a segment. Its checksum is not looked at.

    Raises:
        InvalidArgument: the packet has no TCP layer.
        WireError: the layer's data offset is wrong.
    """
    layer = packet.getlayer(TCP)
    if layer is None:
        raise InvalidArgument(f"no TCP layer in {packet.summary()!r}")
    return _dissect_tcp(layer.do_build())  # Unlike bytes(layer) without the padding of a short frame.


def _dissect(layer: Packet, octets: bytes) -> Packet:
    """Let ``layer`` take its own fields from ``octets`` and leave what follows alone."""
    layer.do_dissect(octets)
    return layer


def _network_layer(source: bytes, destination: bytes) -> Packet:
    family = IP if len(source) == 4 else IPv6
    return family(src=format_address(source), dst=format_address(destination))


def _decode_ip6(octets: bytes) -> IPPacket:
    if len(octets) < 40:
        raise WireError("Ip6InHdrErrors", f"{len(octets)} octets are too few for an IPv6 header")
    layer = _dissect(IPv6(), octets[:40])
    end = 40 + layer.plen
    if len(octets) < end:
        raise WireError("Ip6InTruncatedPkts", f"payload length {layer.plen}, but {len(octets) - 40} octets are here")
    packet = IPPacket(pack_address(layer.src), pack_address(layer.dst), layer.nh, b"", ttl=layer.hlim, tos=layer.tc)
    at = 40
    while packet.protocol in _EXTENSION_LAYERS and not packet.is_fragment:
        pointer = packet.next_header_offset
        if packet.protocol == HOP_BY_HOP and packet.extension_headers:
            raise ParameterProblem("Ip6InHdrErrors", "late hop-by-hop options", code=UNRECOGNIZED_NEXT_HEADER, pointer=pointer)
        if len(packet.extension_headers) == MAX_EXTENSION_HEADERS:
            raise WireError("Ip6InExtHdrLimit", f"more than {MAX_EXTENSION_HEADERS} extension headers")
        at = _dissect_extension(packet, octets[:end], at)
    packet.payload = octets[at:end]
    return packet


def _dissect_extension(packet: IPPacket, octets: bytes, at: int) -> int:
    """Let scapy read the extension header at ``at`` into ``packet``, judge it, and tell where the next one begins."""
    rest = octets[at:]
    if len(rest) < 8:
        raise WireError("Ip6InHdrErrors", f"{len(rest)} octets are too few for an extension header")
    # Two octets of an options header: what they hold is not for scapy to mend.
    layer = _dissect(_EXTENSION_LAYERS[packet.protocol](), rest[: 8 if packet.protocol in (FRAGMENT, ROUTING) else 2])
    size = 8 if packet.protocol == FRAGMENT else 8 + 8 * layer.len
    if size > len(rest):
        raise _erroneous(f"extension header of {size} octets where {len(rest)} are left", at + 1)
    if packet.protocol == FRAGMENT:
        packet.fragment_offset, packet.more_fragments, packet.identification = layer.offset, bool(layer.m), layer.id
        _judge_fragment(packet, at, len(rest) - 8)
    elif packet.protocol == ROUTING:
        if layer.segleft:
            raise _erroneous(f"routing type {layer.type} with {layer.segleft} segments left", at + 2)
    else:
        _judge_options(rest[2:size], at + 2)
    packet.extension_headers += (ExtensionHeader(packet.protocol, rest[1:size]),)
    packet.protocol = layer.nh
    return at + size


def _judge_fragment(packet: IPPacket, at: int, length: int) -> None:
    """RFC 8200 4.5."""
    if packet.more_fragments and length % 8:
        raise _erroneous(f"fragment of {length} octets, and not the last", 4)
    if at - 40 + packet.fragment_offset * 8 + length > MAX_LENGTH:
        raise _erroneous("fragment that ends beyond the longest packet", at + 2)


def _judge_options(octets: bytes, at: int) -> None:
    """RFC 8200 4.2. Scapy knows many options that this stack does not, and cuts one short that runs past its header."""
    while octets:
        size = 1 if octets[0] == 0 else 2 + sum(octets[1:2])
        if size > len(octets) or (octets[0] and len(octets) < 2):
            raise _erroneous(f"option {octets[0]} runs past its header", at + (len(octets) > 1))
        option = Pad1() if octets[0] == 0 else HBHOptUnknown()
        rest = option.do_dissect(octets)
        action = option.otype >> 6
        if action == 1:
            raise WireError("Ip6InHdrErrors", f"option {option.otype} has the packet discarded")
        if action:
            message, code = f"unknown option {option.otype}", UNRECOGNIZED_OPTION
            raise ParameterProblem("Ip6InHdrErrors", message, code=code, pointer=at, multicast=action == 2)
        octets, at = rest, at + size


def _erroneous(message: str, pointer: int) -> ParameterProblem:
    return ParameterProblem("Ip6InHdrErrors", message, code=ERRONEOUS_HEADER_FIELD, pointer=pointer)


def _with_extension_headers(layer: Packet, packet: IPPacket) -> Packet:
    """The layers of the extension headers upon that of IPv6. Options, and addresses to visit, are written as they stand."""
    kinds = [header.kind for header in packet.extension_headers] + [packet.protocol]
    layer.nh = kinds[0]
    for (kind, body), following in zip(packet.extension_headers, kinds[1:], strict=True):
        above = _EXTENSION_LAYERS[kind](nh=following)
        if kind == FRAGMENT:
            word = int.from_bytes(body[1:3], "big")
            above.res1, above.offset, above.res2, above.m = body[0], word >> 3, word >> 1 & 3, word & 1
            above.id = int.from_bytes(body[3:], "big")
        elif kind == ROUTING:
            above.len, above.type, above.segleft, above.reserved = body[0], body[1], body[2], int.from_bytes(body[3:7], "big")
            above /= Raw(body[7:])
        else:
            above.len, above.autopad, above.options = body[0], 0, [Raw(body[1:])]
        layer /= above
    return layer


def _dissect_tcp(octets: bytes) -> TcpSegment:
    if len(octets) < 20:
        raise WireError("TcpInErrs", f"{len(octets)} octets are too few for a TCP header")
    layer = _dissect(TCP(), octets[:20])
    header = layer.dataofs * 4
    if not 20 <= header <= len(octets):
        raise WireError("TcpInErrs", f"data offset of {header} octets in a segment of {len(octets)}")
    options, bad_options = _split_options(octets[20:header])
    return TcpSegment(
        source_port=layer.sport,
        destination_port=layer.dport,
        seq=layer.seq,
        ack=layer.ack,
        flags=int(layer.flags),
        window=layer.window,
        urgent_pointer=layer.urgptr,
        options=options,
        payload=octets[header:],
        reserved=layer.reserved,
        bad_options=bad_options,
        header=header,
    )


def _tcp_layer(segment: TcpSegment) -> Packet:
    layer = TCP(
        sport=segment.source_port,
        dport=segment.destination_port,
        seq=segment.seq,
        ack=segment.ack,
        reserved=segment.reserved,
        flags=segment.flags,
        window=segment.window,
        urgptr=segment.urgent_pointer,
    )
    layer.options = list(segment.options)  # By number and octets, which scapy writes as they are.
    text = b"".join((segment.payload, *segment.more))
    return layer / Raw(text) if text else layer


def _split_options(rest: bytes) -> tuple[tuple[Option, ...], bool]:
    """The options, and whether an illegal length ended them (MUST-7).

    Scapy's own list is no ground for it: a length below 2 is 2 there, one past the header is cut, the octet of an experimental
    "Mood" gets lost, and a TCP-AO of one octet ends in an exception.
    """
    options: list[Option] = []
    while rest:
        if rest[0] in (EOL, NOP):
            options.append(Option(rest[0]))
            rest = rest[1:] if rest[0] == NOP else b""
            continue
        length = rest[1] if len(rest) > 1 else 0
        if not 2 <= length <= len(rest):
            return tuple(options), True
        options.append(Option(rest[0], rest[2:length]))
        rest = rest[length:]
    return tuple(options), False


def _named(option: Option) -> tuple[str | int, object]:
    """``("MSS", 1460)`` where scapy has a name and builds the same octets from it, ``(kind, octets)`` elsewhere."""
    if option.kind in (EOL, NOP):
        return ("EOL", "NOP")[option.kind], None
    octets = bytes((option.kind, 2 + len(option.data))) + option.data
    # Odd lengths make scapy stumble: a TCP-AO of one octet when it reads, half a SACK block when it writes what it has read.
    with suppress(struct.error, TypeError):
        names: list[tuple[str | int, object]] = _OPTIONS_FIELD.m2i(None, octets)
        if _OPTIONS_FIELD.i2m(None, names).startswith(octets):
            return names[0]
    return option.kind, option.data
