"""ICMPv6 (RFC 4443): the echo answered, errors of others taken apart into what TCP needs to know, and our own errors built.

The law: an error message is believed only as far as its quote goes, and none is ever answered with another (RFC 4443 2.4 (e)).
"""

import struct
from typing import Final

from userstack.address import Endpoint
from userstack.errors import (
    ConnectionRefused,
    HostUnreachable,
    MessageTooLong,
    NetworkUnreachable,
    PermissionDenied,
    ProtocolError,
)
from userstack.net.icmp import IcmpError
from userstack.net.interface import is_multicast, is_valid_source
from userstack.net.mtu import LEAST_MTU_V6
from userstack.wire.codec import WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import (
    ADDRESS_UNREACHABLE,
    ADMINISTRATIVELY_PROHIBITED,
    BEYOND_SCOPE,
    DESTINATION_UNREACHABLE,
    ECHO_REPLY,
    ECHO_REQUEST,
    LISTENER_QUERY,
    LISTENER_REPORT,
    LISTENER_REPORT_V2,
    NEIGHBOR_ADVERTISEMENT,
    NEIGHBOR_SOLICITATION,
    NO_ROUTE,
    PACKET_TOO_BIG,
    PARAMETER_PROBLEM,
    PORT_UNREACHABLE,
    REDIRECT,
    REJECT_ROUTE,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
    SOURCE_ADDRESS_FAILED_POLICY,
    TIME_EXCEEDED,
    is_error,
)
from userstack.wire.ip import EXTENSION_HEADERS, FRAGMENT, ICMPV6, TCP, Buffer

_FIXED: Final = struct.Struct("!B5xBx16s16s")
_TCP_QUOTE: Final = struct.Struct("!HHI")
_HEADER: Final = 40
_HOP_LIMIT_AT: Final = 7
_ERROR_HEADER: Final = 8

_NAMES: Final = {
    DESTINATION_UNREACHABLE: "DestUnreachs",
    PACKET_TOO_BIG: "PktTooBigs",
    TIME_EXCEEDED: "TimeExcds",
    PARAMETER_PROBLEM: "ParmProblems",
    ECHO_REQUEST: "Echos",
    ECHO_REPLY: "EchoReplies",
    LISTENER_QUERY: "GroupMembQueries",
    LISTENER_REPORT: "GroupMembResponses",
    LISTENER_REPORT_V2: "MLDv2Reports",
    ROUTER_SOLICITATION: "RouterSolicits",
    ROUTER_ADVERTISEMENT: "RouterAdvertisements",
    NEIGHBOR_SOLICITATION: "NeighborSolicits",
    NEIGHBOR_ADVERTISEMENT: "NeighborAdvertisements",
    REDIRECT: "Redirects",
}

_UNREACHABLE: Final[dict[int, tuple[type[OSError], bool]]] = {
    NO_ROUTE: (NetworkUnreachable, False),
    ADMINISTRATIVELY_PROHIBITED: (PermissionDenied, True),
    BEYOND_SCOPE: (HostUnreachable, False),
    ADDRESS_UNREACHABLE: (HostUnreachable, False),
    PORT_UNREACHABLE: (ConnectionRefused, True),
    SOURCE_ADDRESS_FAILED_POLICY: (PermissionDenied, True),
    REJECT_ROUTE: (PermissionDenied, True),
}
"""The error that the kernel's sockets give for each code of destination unreachable, and whether it is hard: RFC 9293 3.9.2.2 calls
0 and 3 soft, RFC 5927 5.1 calls 1 and 4 hard, and 5 and 6 are finer words for 1 (RFC 4443 3.1)."""


def counter_of(kind: int) -> str:
    """The counter of incoming messages of that type (RFC 4293, as Linux names them)."""
    return "Icmp6In" + _NAMES.get(kind, f"Type{kind}")


def echo_reply(message: IcmpMessage) -> IcmpMessage | None:
    """The answer to an echo request, with the same identifier, number and data (RFC 4443 4.2); None for anything else."""
    return IcmpMessage(ECHO_REPLY, 0, message.rest, message.payload) if message.type == ECHO_REQUEST else None


def parse_error(message: IcmpMessage, *, path_mtu_discovery: bool) -> IcmpError | None:
    """Take an ICMPv6 error apart; None where it is none, or not about a TCP segment, or about an MTU that is not to be taken.

    Raises:
        WireError: the quoted packet is broken, or too short to name a connection.
    """
    if not is_error(message.type):
        return None
    if message.type == PACKET_TOO_BIG and (message.rest < LEAST_MTU_V6 or not path_mtu_discovery):
        # RFC 8201 4: below 1280 octets it is to be discarded; and who does not discover sends no more than that.
        return None
    quote = _parse_quote(message.payload)
    if quote is None:
        return None
    error, hard = _judge(message)
    return IcmpError(*quote, error, hard, message.rest if message.type == PACKET_TOO_BIG else None, message.payload[_HOP_LIMIT_AT])


def _parse_quote(data: Buffer) -> tuple[Endpoint, Endpoint, int] | None:
    """Source, destination and sequence number of the quoted packet; None where it is no TCP segment.

    Note: what this stack sends has no extension headers, so that a quote which has some is not of a segment of ours.
    """
    if len(data) < _HEADER:
        raise WireError("Icmp6InErrors", f"a quote of {len(data)} octets holds no IPv6 header")
    first, protocol, source, destination = _FIXED.unpack_from(data)
    if first >> 4 != 6:
        raise WireError("Icmp6InErrors", f"a quote that begins with octet {first:#04x} is no IPv6 packet")
    if protocol != TCP:
        return None
    if len(data) < _HEADER + _TCP_QUOTE.size:
        raise WireError("Icmp6InErrors", f"a quote of {len(data)} octets does not name a connection")
    source_port, destination_port, seq = _TCP_QUOTE.unpack_from(data, _HEADER)
    return Endpoint(source, source_port), Endpoint(destination, destination_port), seq


def _judge(message: IcmpMessage) -> tuple[OSError, bool]:
    """The error that the kernel's sockets give, and whether it is hard; of what is not known it is soft (RFC 4443 2.4 (a))."""
    if message.type == DESTINATION_UNREACHABLE:
        kind, hard = _UNREACHABLE.get(message.code, (HostUnreachable, False))
        return kind(), hard
    if message.type == PACKET_TOO_BIG:
        return MessageTooLong(), False
    return HostUnreachable() if message.type == TIME_EXCEEDED else ProtocolError(), False


def may_be_answered(invoking: Buffer, *, multicast: bool) -> bool:
    """True where RFC 4443 2.4 (e) lets an error go to the source of ``invoking``.

    Args:
        invoking: the whole IPv6 packet, whatever is wrong with it.
        multicast: the error is of those that multicast may cause, too (e.3).
    """
    _, protocol, source, destination = _FIXED.unpack_from(invoking)
    if not is_valid_source(source) or (is_multicast(destination) and not multicast):
        return False
    kind = _icmp_type(invoking, protocol)
    return kind is None or not (is_error(kind) or kind == REDIRECT)


def _icmp_type(packet: Buffer, protocol: int) -> int | None:
    """The type of the ICMPv6 message behind whatever extension headers; None where there is none."""
    at = _HEADER
    while protocol in EXTENSION_HEADERS and at + 8 <= len(packet):
        if protocol == FRAGMENT and (packet[at + 2] or packet[at + 3] & 0xF8):
            return None  # not the first fragment: what it is part of cannot be told
        protocol, at = packet[at], at + 8 + (0 if protocol == FRAGMENT else 8 * packet[at + 1])
    return packet[at] if protocol == ICMPV6 and at < len(packet) else None


def parameter_problem(invoking: Buffer, *, code: int, pointer: int) -> IcmpMessage:
    """RFC 4443 3.4: the octet at ``pointer`` of ``invoking`` is at fault. As much is quoted as every link takes (2.4 (c))."""
    return IcmpMessage(PARAMETER_PROBLEM, code, pointer, bytes(invoking[: LEAST_MTU_V6 - _HEADER - _ERROR_HEADER]))
