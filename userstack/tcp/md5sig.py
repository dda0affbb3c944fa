"""The signature that every segment carries between two ends that share a key (RFC 2385), as BGP speakers use it.

Law: with a key nothing goes out without a signature, and nothing that comes without the right one is touched or answered.
"""

import struct
from hashlib import md5
from hmac import compare_digest
from typing import Final

from userstack.wire.encodable import option_octets
from userstack.wire.ip import TCP
from userstack.wire.tcp import MD5, NOP, Option, TcpSegment

MAX_KEY: Final = 80
"""Octets of a key: what Linux takes (TCP_MD5SIG_MAXKEYLEN), and as much as RFC 2385 4.5 asks for."""
OPTION_OCTETS: Final = 20
"""What the option takes in every segment: kind, length, digest, and the two NOPs that align it."""

_HEADER: Final = struct.Struct("!HHIIHHHH")
_LEAST_SIGNED: Final = 40
"""Octets of the smallest header that has room for the option."""
_PADDING: Final = (Option(NOP), Option(NOP))
_EMPTY: Final = Option(MD5, bytes(16))


def sign(segment: TcpSegment, source: bytes, destination: bytes, key: bytes) -> TcpSegment:
    """The segment with its signature before the other options, as Linux places it; everything else must be final but ``ecn``."""
    others = segment.options
    segment.options = (*_PADDING, _EMPTY, *others)
    segment.options = (*_PADDING, Option(MD5, digest(segment, source, destination, key)), *others)
    return segment


def is_signed(segment: TcpSegment) -> bool:
    """The option is there, right or wrong."""
    return any(kind == MD5 for kind, _ in segment.options)


def failure(segment: TcpSegment, source: bytes, destination: bytes, key: bytes | None) -> str | None:
    """RFC 2385 2.0 for a segment that arrives: None where it may go on, else the counter to be dropped under, without an answer.

    ``key`` is the one that was agreed with ``source``; without one a signature is as wrong as none is with one.
    """
    if key is None and 0 < segment.header < _LEAST_SIGNED:
        return None
    signatures = [data for kind, data in segment.options if kind == MD5]
    if not signatures:
        return None if key is None else "TcpExtTCPMD5NotFound"
    if key is None:
        return "TcpExtTCPMD5Unexpected"
    if len(signatures) == 1 and compare_digest(signatures[0], digest(segment, source, destination, key)):
        return None
    return "TcpExtTCPMD5Failure"


def digest(segment: TcpSegment, source: bytes, destination: bytes, key: bytes) -> bytes:
    """RFC 2385 2.0: over pseudo-header, TCP header without options and with a checksum of zero, data, and key, in this order.

    Options do not count but by the length of the header, so that what the option itself holds does not matter.
    """
    header = segment.header or _header_octets(segment.options)
    length = header + len(segment.payload)
    # RFC 9293 3.1 and RFC 8200 8.1 have length and protocol in different places.
    tail = struct.pack("!HH", TCP, length) if len(source) == 4 else struct.pack("!II", length, TCP)
    fixed = _HEADER.pack(
        segment.source_port,
        segment.destination_port,
        segment.seq,
        segment.ack,
        header << 10 | segment.reserved << 9 | segment.flags,
        segment.window,
        0,
        segment.urgent_pointer,
    )
    state = md5(source + destination + tail + fixed, usedforsecurity=False)
    state.update(segment.payload)
    state.update(key)
    return state.digest()


def _header_octets(options: tuple[Option, ...]) -> int:
    """What the codecs write: the options, padded to words."""
    return 20 + (option_octets(options) + 3) // 4 * 4
