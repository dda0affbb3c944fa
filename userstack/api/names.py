"""Addresses as programs write and read them, where the core has packed bytes.

Law: what a call gives is what the kernel's sockets give. A socket of IPv6 names four things, flow label and scope among them, and
sees IPv4 as mapped addresses (RFC 3493 3.3, 3.7); one of IPv4 names two.
"""

from collections.abc import Sequence
from typing import NamedTuple

from userstack.address import LINK_INDEX, Endpoint, format_address, from_mapped, is_link_local, pack_address, to_mapped
from userstack.api.guards import parse_port
from userstack.errors import InvalidArgument
from userstack.wire.source_route import SourceRoute

SocketName = tuple[str, int] | tuple[str, int, int, int]
"""Host and port; of an IPv6 socket flow label, which is 0, and scope too."""


class SocketAddress(NamedTuple):
    """What a program has called an end of a connection."""

    endpoint: Endpoint
    """As the core knows it: a mapped address is one of IPv4."""
    ipv6: bool
    """Whether the program's socket is one of IPv6."""


def parse_address(address: str, port: int, *, device: str) -> SocketAddress:
    """Read an address's text, ``10.9.0.1``, ``fd3d::1``, ``::ffff:10.9.0.1`` or ``fe80::1%userstack0``, and a port.

    Args:
        address: the text; what follows a % is the link, by the name of the device or by its number.
        port: 0 to 65535.
        device: the name of the stack's own.

    Raises:
        InvalidArgument: it is no IP address, or no port; a link-local address without its link, or another with one.
        TypeError: the address is no str, or the port no integer.
    """
    number = parse_port(port)
    if not isinstance(address, str):
        raise TypeError(f"an IP address is a str, as in '10.9.0.2', not {type(address).__name__}")
    text, percent, zone = address.partition("%")
    packed = parse_host(text)
    if percent and not is_link_local(packed):
        raise InvalidArgument(f"{address!r} names a link, which only an address of fe80::/10 has: leave out what begins with %")
    if percent and zone not in (device, str(LINK_INDEX)):
        raise InvalidArgument(f"{address!r} names a link that is not this stack's, which is {device}")
    if is_link_local(packed) and not percent:
        raise InvalidArgument(f"{address!r} is on some link: say on which, as in {text}%{device}")
    return SocketAddress(Endpoint(from_mapped(packed), number), ipv6=len(packed) == 16)


def parse_host(text: str) -> bytes:
    """Read an address that no link need be named for.

    Raises:
        InvalidArgument: it is no IP address.
        TypeError: it is no str.
    """
    try:
        return pack_address(text)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None


def parse_route(hops: Sequence[str], *, strict: bool) -> SourceRoute | None:
    """Read the routers of a source route; None where there are none.

    Raises:
        InvalidArgument: too many, or one is no IPv4 address; ``strict`` without any.
        TypeError: one is no str, or they are one str.
    """
    if isinstance(hops, str):
        raise TypeError(f"a source route is a list of addresses, not the text {hops!r}")
    if not hops:
        if strict:
            raise InvalidArgument("a strict route needs its routers: name them in source_route")
        return None
    return SourceRoute(tuple(parse_host(hop) for hop in hops), strict)


def scoped_text(address: bytes, *, device: str) -> str:
    """The text of an address as ``parse_address`` reads it: a link-local one with its link, ``fe80::1%userstack0``."""
    return f"{format_address(address)}%{device}" if is_link_local(address) else format_address(address)


def socket_name(endpoint: Endpoint, *, ipv6: bool) -> SocketName:
    """An end of a connection as a socket of the kernel's names it, one of IPv6 or of IPv4."""
    if not ipv6:
        return format_address(endpoint.address), endpoint.port
    return format_address(to_mapped(endpoint.address)), endpoint.port, 0, LINK_INDEX if is_link_local(endpoint.address) else 0
