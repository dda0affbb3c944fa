"""IPv6 (RFC 8200) for the fast codec: the fixed header, the extension headers, and the options within two of them.

The law: headers and options are taken strictly in their order (RFC 8200 4, 4.2), and the first that is wrong decides. The walk is
bounded by the packet's own length, and by a number of headers.
"""

import struct
from typing import Final

from userstack.wire.codec import ParameterProblem, WireError
from userstack.wire.encodable import MAX_LENGTH, check_packet
from userstack.wire.icmpv6 import ERRONEOUS_HEADER_FIELD, UNRECOGNIZED_NEXT_HEADER, UNRECOGNIZED_OPTION
from userstack.wire.ip import (
    EXTENSION_HEADERS,
    FRAGMENT,
    HOP_BY_HOP,
    MAX_EXTENSION_HEADERS,
    ROUTING,
    Buffer,
    ExtensionHeader,
    IPPacket,
)

_FIXED: Final = struct.Struct("!IHBB16s16s")
_FRAGMENT: Final = struct.Struct("!xxHI")
_PAD1: Final = 0
_PAYLOAD_LENGTH_AT: Final = 4


def decode_ipv6(data: Buffer, size: int) -> IPPacket:
    """Take a packet of ``size`` octets apart; the payload is a view onto ``data``.

    Raises:
        ParameterProblem: RFC 8200 has its source told.
        WireError: a header is wrong, or the packet is longer than ``data``.
    """
    if size < 40:
        raise WireError("Ip6InHdrErrors", f"{size} octets are too few for an IPv6 header")
    first, length, protocol, hop_limit, source, destination = _FIXED.unpack_from(data)
    end = 40 + length
    if end > size:
        raise WireError("Ip6InTruncatedPkts", f"payload length {length}, but {size - 40} octets are here")
    packet = IPPacket(source, destination, protocol, memoryview(data)[40:end], hop_limit, first >> 20 & 0xFF)
    if protocol in EXTENSION_HEADERS:
        _take_extension_headers(packet, bytes(data[:end]))
    return packet


def encode_ipv6(packet: IPPacket) -> bytes:
    """Build a packet.

    Raises:
        InvalidArgument: a field is out of its range.
    """
    protocol, headers = packet.protocol, b""
    if packet.extension_headers or packet.options or packet.is_fragment or len(packet.destination) != 16:
        check_packet(packet)
        for kind, body in reversed(packet.extension_headers):
            headers = bytes((protocol,)) + body + headers
            protocol = kind
    length = len(headers) + len(packet.payload)
    if length > MAX_LENGTH or not 0 <= packet.tos <= 0xFF:
        check_packet(packet)
    try:
        head = ipv6_header(length, protocol, packet.ttl, packet.tos, packet.source, packet.destination)
    except struct.error:
        check_packet(packet)
        raise
    return b"".join((head, headers, packet.payload))


def ipv6_header(length: int, protocol: int, hop_limit: int, traffic_class: int, source: bytes, destination: bytes) -> bytes:
    """The fixed header. ``struct.error`` where a field is out of its range."""
    return _FIXED.pack(6 << 28 | traffic_class << 20, length, protocol, hop_limit, source, destination)


def _take_extension_headers(packet: IPPacket, octets: bytes) -> None:
    """Move the extension headers from the payload to where they belong."""
    at, found = 40, list[ExtensionHeader]()
    pointer = 6
    while packet.protocol in EXTENSION_HEADERS and not packet.is_fragment:
        kind = packet.protocol
        if kind == HOP_BY_HOP and found:
            raise ParameterProblem(
                "Ip6InHdrErrors",
                "hop-by-hop options that do not follow the IPv6 header",
                code=UNRECOGNIZED_NEXT_HEADER,
                pointer=pointer,
            )
        if len(found) == MAX_EXTENSION_HEADERS:
            raise WireError("Ip6InExtHdrLimit", f"more than {MAX_EXTENSION_HEADERS} extension headers")
        size = _header_size(kind, octets, at)
        if kind == FRAGMENT:
            _take_fragment(packet, octets, at)
        elif kind == ROUTING:
            _judge_routing(octets, at)
        else:
            _judge_options(octets, at + 2, at + size)
        found.append(ExtensionHeader(kind, octets[at + 1 : at + size]))
        packet.protocol, pointer, at = octets[at], at, at + size
    packet.extension_headers = tuple(found)
    packet.payload = packet.payload[at - 40 :]


def _header_size(kind: int, octets: bytes, at: int) -> int:
    left = len(octets) - at
    if left < 8:
        raise WireError("Ip6InHdrErrors", f"{left} octets are too few for an extension header")
    size = 8 if kind == FRAGMENT else 8 + 8 * octets[at + 1]
    if size > left:
        raise _erroneous(f"extension header of {size} octets where {left} are left", at + 1)
    return size


def _take_fragment(packet: IPPacket, octets: bytes, at: int) -> None:
    """RFC 8200 4.5; one that is alone (RFC 6946) is a whole packet and no fragment."""
    word, packet.identification = _FRAGMENT.unpack_from(octets, at)
    packet.fragment_offset, packet.more_fragments = word >> 3, word & 1 != 0
    length = len(octets) - at - 8
    if packet.more_fragments and length % 8:
        raise _erroneous(f"fragment of {length} octets, which is no multiple of 8, and not the last", _PAYLOAD_LENGTH_AT)
    # The headers before the Fragment header are part of the packet put together.
    if at - 40 + packet.fragment_offset * 8 + length > MAX_LENGTH:
        raise _erroneous("fragment that ends beyond the longest packet", at + 2)


def _judge_routing(octets: bytes, at: int) -> None:
    """RFC 8200 4.4: every routing type is unknown here, type 0 by RFC 5095; with no segments left it is of no interest."""
    if octets[at + 3]:
        raise _erroneous(f"routing type {octets[at + 2]} with {octets[at + 3]} segments left", at + 2)


def _judge_options(octets: bytes, at: int, end: int) -> None:
    """RFC 8200 4.2: of an option that is unknown the two highest bits of its type tell what becomes of the packet.

    One whose length runs past its header is a field at fault (RFC 4443 3.4).
    """
    while at < end:
        kind = octets[at]
        if kind == _PAD1:
            at += 1
            continue
        after = at + 2 + octets[at + 1] if at + 1 < end else end + 1
        if after > end:
            raise _erroneous(f"option {kind} runs past its header", min(at + 1, end - 1))
        action = kind >> 6
        if action == 1:
            raise WireError("Ip6InHdrErrors", f"unknown option {kind}, which has the packet discarded")
        if action:
            raise ParameterProblem(
                "Ip6InHdrErrors", f"unknown option {kind}", code=UNRECOGNIZED_OPTION, pointer=at, multicast=action == 2
            )
        at = after


def _erroneous(message: str, pointer: int) -> ParameterProblem:
    return ParameterProblem("Ip6InHdrErrors", message, code=ERRONEOUS_HEADER_FIELD, pointer=pointer)
