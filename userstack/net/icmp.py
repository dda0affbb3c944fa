"""ICMP for IPv4 (RFC 792): the echo answered, and an error taken apart into what TCP needs to know.

The law: an error message is believed only as far as its quote goes. RFC 792 promises eight octets of the segment, so ports and
sequence number are all that is read, and no checksum or length within the quote is asked for.
"""

import struct
from dataclasses import dataclass
from typing import Final

from userstack.address import Endpoint
from userstack.errors import (
    ConnectionRefused,
    HostUnreachable,
    MessageTooLong,
    NetworkUnreachable,
    ProtocolError,
    ProtocolUnreachable,
)
from userstack.net.interface import is_unicast, is_valid_source
from userstack.wire.codec import Codec, WireError
from userstack.wire.icmp import (
    DESTINATION_UNREACHABLE,
    ECHO_REPLY,
    ECHO_REQUEST,
    ERRORS,
    PARAMETER_PROBLEM,
    SOURCE_QUENCH,
    TIME_EXCEEDED,
    IcmpMessage,
)
from userstack.wire.ip import ICMP, TCP, Buffer, IPPacket
from userstack.wire.source_route import SourceRoute, destination_of

MIN_MTU: Final = 68
"""RFC 1191 3: no path takes less."""

_PLATEAUS: Final = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, MIN_MTU)
"""RFC 1191 7.1: the MTUs that paths have, for a router that names none."""

_PROTOCOL_UNREACHABLE: Final = 2
_PORT_UNREACHABLE: Final = 3
_FRAGMENTATION_NEEDED: Final = 4
_NETWORK_CODES: Final = frozenset({0, 6, 9, 11})
"""RFC 1122 3.2.2.1: those codes of destination unreachable that speak of the network; the others speak of the host."""

_IP4_QUOTE: Final = struct.Struct("!BxHxxHBBxx4s4s")
_TCP_QUOTE: Final = struct.Struct("!HHI")
_OFFSET: Final = 0x1FFF
_REDIRECT: Final = 5
_UNANSWERED: Final = ERRORS | {_REDIRECT}
_MOST: Final = 576
_HEADERS: Final = 20 + 8
"""Octets of an ICMP error (RFC 1812 4.3.2.3), and what of them is no quote."""


@dataclass(frozen=True, slots=True)
class IcmpError:
    """What an ICMP error says of a connection of ours."""

    local: Endpoint
    remote: Endpoint
    seq: int
    """The sequence number of the segment that met the error, as on the wire; not in flight, it is forged (RFC 5927 4.1)."""
    error: OSError
    hard: bool
    """RFC 9293 3.9.2.2: abort the connection (SHLD-26); a soft error must not (MUST-56)."""
    mtu: int | None
    """The path's new MTU in bytes, with "fragmentation needed" only."""
    ttl: int = 255
    """The TTL or hop limit that the segment had left (RFC 5082 3: errors about it are judged as it would be)."""


_NAMES: Final = {
    ECHO_REPLY: "EchoReps",
    DESTINATION_UNREACHABLE: "DestUnreachs",
    SOURCE_QUENCH: "SrcQuenchs",
    _REDIRECT: "Redirects",
    ECHO_REQUEST: "Echos",
    TIME_EXCEEDED: "TimeExcds",
    PARAMETER_PROBLEM: "ParmProbs",
    13: "Timestamps",
    14: "TimestampReps",
    17: "AddrMasks",
    18: "AddrMaskReps",
}
"""Those that RFC 4293 and the kernel know by name."""


def counter_of(kind: int) -> str:
    """The counter of incoming messages of that type."""
    return "IcmpIn" + _NAMES[kind] if kind in _NAMES else f"IcmpMsgInType{kind}"


def echo_reply(
    packet: IPPacket, message: IcmpMessage, *, codec: Codec, ttl: int, route: SourceRoute | None = None
) -> IPPacket | None:
    """Answer an echo request with the same identifier, number and data, from the address that was asked (RFC 1122 3.2.2.6).

    ``packet`` carries ``message``, and ``route`` is the way back that it has recorded. None for anything else than an echo request
    of one host to one host.
    """
    if message.type != ECHO_REQUEST or not is_unicast(packet.destination) or not is_valid_source(packet.source):
        return None
    reply = codec.encode_icmp(IcmpMessage(ECHO_REPLY, 0, message.rest, message.payload))
    # RFC 1349 5.1: the request's TOS; but its ECN bits say nothing about this packet (RFC 3168 6).
    answer = IPPacket(packet.destination, packet.source, ICMP, reply, ttl=ttl, tos=packet.tos & 0xFC)
    return answer if route is None else route.lead(answer)


def may_be_answered(invoking: Buffer) -> bool:
    """True where RFC 1122 3.2.2 lets an error about ``invoking``, a whole IPv4 packet for an address of ours, go to its source."""
    first, _, fragment, _, protocol, source, _ = _IP4_QUOTE.unpack_from(invoking)
    if fragment & _OFFSET or not is_valid_source(source):
        return False
    at = (first & 0xF) * 4
    return protocol != ICMP or (at < len(invoking) and invoking[at] not in _UNANSWERED)


def parameter_problem(invoking: Buffer, *, pointer: int, mtu: int) -> IcmpMessage:
    """RFC 1122 3.2.2.5: the octet at ``pointer`` of ``invoking`` is at fault.

    As much is quoted as RFC 1812 4.3.2.3 and the ``mtu`` of the way back allow, but never less than RFC 792 wants.
    """
    least = (invoking[0] & 0xF) * 4 + 8
    return IcmpMessage(PARAMETER_PROBLEM, 0, pointer << 24, bytes(invoking[: max(min(_MOST, mtu) - _HEADERS, least)]))


def parse_error(message: IcmpMessage, *, path_mtu_discovery: bool) -> IcmpError | None:
    """Take an ICMP error apart; None where it is none, or not about a TCP segment, or a source quench (MUST-55).

    Raises:
        WireError: the quoted packet is broken, or too short to name a connection.
    """
    if message.type not in ERRORS or message.type == SOURCE_QUENCH:
        return None
    quote = _parse_quote(message.payload)
    if quote is None:
        return None
    local, remote, seq, total, ttl = quote
    mtu = None
    if message.type == DESTINATION_UNREACHABLE and message.code == _FRAGMENTATION_NEEDED:
        mtu = _path_mtu(message.rest & 0xFFFF, total)
    error, hard = _judge(message.type, message.code)
    return IcmpError(local, remote, seq, error, hard and not (mtu is not None and path_mtu_discovery), mtu, ttl)


def _parse_quote(data: Buffer) -> tuple[Endpoint, Endpoint, int, int, int] | None:
    """Source, destination, sequence number, total length and TTL of the quoted packet; None where it is no TCP segment's head.

    Of a packet on a source route the destination is the last of the route's, the header names only the next hop.
    """
    if len(data) < _IP4_QUOTE.size:
        raise WireError("IcmpInErrors", f"a quote of {len(data)} octets holds no IP header")
    first, total, fragment, ttl, protocol, source, destination = _IP4_QUOTE.unpack_from(data)
    header = (first & 0xF) * 4
    if first >> 4 != 4 or header < _IP4_QUOTE.size:
        raise WireError("IcmpInErrors", f"a quote that begins with octet {first:#04x} is no IPv4 packet")
    if protocol != TCP or fragment & _OFFSET:
        return None
    if len(data) < header + _TCP_QUOTE.size:
        raise WireError("IcmpInErrors", f"a quote of {len(data)} octets lacks the eight of the TCP header (RFC 792)")
    source_port, destination_port, seq = _TCP_QUOTE.unpack_from(data, header)
    if header > _IP4_QUOTE.size:
        destination = destination_of(destination, data[_IP4_QUOTE.size : header])
    return Endpoint(source, source_port), Endpoint(destination, destination_port), seq, total, ttl


def _path_mtu(named: int, quoted: int) -> int:
    """The MTU that the router named (RFC 1191 4) or, from one that does not know of it, the next plateau below what was sent."""
    if named:
        return max(named, MIN_MTU)
    return next((plateau for plateau in _PLATEAUS if plateau < quoted), MIN_MTU)


def _judge(kind: int, code: int) -> tuple[OSError, bool]:
    """The error that the kernel's sockets give, and whether RFC 9293 3.9.2.2 calls it hard.

    Note: it is silent on codes 6 to 15, which RFC 1122 and RFC 1812 added; an error that may go by is taken as soft.
    """
    if kind == TIME_EXCEEDED:
        return HostUnreachable(), False
    if kind == PARAMETER_PROBLEM:
        return ProtocolError(), False
    if code == _PROTOCOL_UNREACHABLE:
        return ProtocolUnreachable(), True
    if code == _PORT_UNREACHABLE:
        return ConnectionRefused(), True
    if code == _FRAGMENTATION_NEEDED:
        return MessageTooLong(), True
    return NetworkUnreachable() if code in _NETWORK_CODES else HostUnreachable(), False
