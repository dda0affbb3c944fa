"""Addresses and other arguments of the socket calls, judged as Python's own socket judges them: same errors, same order."""

import errno
import operator
import os
from socket import AF_INET, EAI_NONAME, gaierror
from typing import NamedTuple

from userstack.address import Endpoint, format_address, from_mapped, is_link_local, pack_address, to_mapped
from userstack.wire.ip import Buffer

ANY, ANY_V6 = bytes(4), bytes(16)
FLOW_LABEL_MOST = 0xFFFFF
C_INT = range(-(1 << 31), 1 << 31)

SocketName = tuple[str, int] | tuple[str, int, int, int]
"""Host and port; of an IPv6 socket flow label, which is 0, and scope too."""


class SocketAddress(NamedTuple):
    """What a caller has named: the endpoint as the core knows it, IPv4-mapped ones as IPv4, and the scope, 0 for none."""

    endpoint: Endpoint
    scope: int


def failure(number: int) -> OSError:
    """The error of that errno, of the subclass that Python gives it."""
    return OSError(number, os.strerror(number))


def would_block(number: int = errno.EAGAIN) -> BlockingIOError:
    """EAGAIN, EALREADY or EINPROGRESS."""
    return BlockingIOError(number, os.strerror(number))


def any_address(family: int) -> bytes:
    """The wildcard of a family."""
    return bytes(4 if family == AF_INET else 16)


def parse_address(address: object, call: str, family: int) -> SocketAddress:
    """Read ``("192.168.0.1", 80)`` or ``("fd3d::1", 80, 0, 0)``; an empty host is the wildcard.

    Raises:
        TypeError: no tuple of a host and a port, and for IPv6, where they are there, flow label and scope.
        OverflowError: the port is not 0 to 65535, or the flow label has more than 20 bits.
        gaierror: the host is no address of the family; names are not looked up.
    """
    kind, most = ("AF_INET", 2) if family == AF_INET else ("AF_INET6", 4)
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): {kind} address must be tuple, not {type(address).__name__}")
    if not 2 <= len(address) <= most:
        form = "pair (host, port)" if family == AF_INET else "tuple (host, port[, flowinfo[, scopeid]])"
        raise TypeError(f"{call}(): {kind} address must be a {form}")
    host, port = _text(address[0], call), operator.index(address[1])
    # As in CPython, who takes the lowest 32 bits of these two.
    flow, scope = (operator.index(number) & 0xFFFFFFFF for number in (*address[2:], 0, 0)[:2])
    packed = _pack(host) if family == AF_INET else _pack_v6(host)
    if not 0 <= port <= 65535:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    if flow > FLOW_LABEL_MOST:
        raise OverflowError(f"{call}(): flowinfo must be 0-{FLOW_LABEL_MOST}.")
    return SocketAddress(Endpoint(from_mapped(packed), port), scope)


def format_name(endpoint: Endpoint, family: int, link: int = 0) -> SocketName:
    """An endpoint as a socket of that family names it; ``link`` is the one that the socket is held to, 0 for none."""
    if family == AF_INET:
        return format_address(endpoint.address), endpoint.port
    return format_address(to_mapped(endpoint.address)), endpoint.port, 0, link if is_link_local(endpoint.address) else 0


def buffer_of(data: Buffer) -> memoryview:
    """The octets of anything that has some.

    Raises:
        TypeError: it has none.
    """
    return memoryview(data).cast("B")


def room_in(buffer: bytearray | memoryview, nbytes: int) -> memoryview:
    """The place for at most ``nbytes`` (0: all of it) in a caller's buffer.

    Raises:
        TypeError: the buffer is read-only.
        ValueError: ``nbytes`` is negative, or more than the buffer has.
    """
    view = memoryview(buffer).cast("B")
    if view.readonly:
        raise TypeError(f"recv_into() argument 1 must be read-write bytes-like object, not {type(buffer).__name__}")
    if nbytes < 0:
        raise ValueError("negative buffersize in recv_into")
    if nbytes > len(view):
        raise ValueError("buffer too small for requested bytes")
    return view[: nbytes or len(view)]


def _text(host: object, call: str) -> str:
    """The host as text."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("latin-1")
    if not isinstance(host, str):
        raise TypeError(f"{call}(): host must be str, bytes or bytearray, not {type(host).__name__}")
    if "\0" in host:
        raise TypeError(f"{call}(): host name must not contain null character")
    return host


def _pack_v6(host: str) -> bytes:
    """The packed IPv6 address. As in CPython its zone is read and left out: the scope is what the tuple says."""
    if host in ("<broadcast>", "255.255.255.255"):
        raise OSError("address family mismatched")
    if not host:
        return ANY_V6
    text, percent, zone = host.partition("%")
    try:
        packed = pack_address(text)
    except ValueError:
        packed = b""
    if len(packed) != 16 or (percent and not (zone.isascii() and zone.isdigit())):
        raise gaierror(EAI_NONAME, f"{host!r} is no IPv6 address, and names, of hosts and of links, are not looked up")
    return packed


def _pack(host: str) -> bytes:
    """The packed IPv4 address."""
    if not host:
        return ANY
    try:
        packed = pack_address(host)
    except ValueError:
        packed = b""
    if len(packed) != 4:
        raise gaierror(EAI_NONAME, f"{host!r} is no IPv4 address, and names are not looked up")
    return packed
