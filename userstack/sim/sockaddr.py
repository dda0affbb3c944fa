"""Addresses and other arguments of the socket calls, judged as Python's own socket judges them: same errors, same order."""

import errno
import operator
import os
from socket import EAI_NONAME, gaierror

from userstack.address import Endpoint, format_address, pack_address
from userstack.wire.ip import Buffer

ANY = bytes(4)
C_INT = range(-(1 << 31), 1 << 31)


def failure(number: int) -> OSError:
    """The error of that errno, of the subclass that Python gives it."""
    return OSError(number, os.strerror(number))


def would_block(number: int = errno.EAGAIN) -> BlockingIOError:
    """EAGAIN, EALREADY or EINPROGRESS."""
    return BlockingIOError(number, os.strerror(number))


def parse_address(address: object, call: str) -> Endpoint:
    """Read ``("192.168.0.1", 80)``; an empty host is the wildcard.

    Raises:
        TypeError: no tuple of a host and a port.
        OverflowError: the port is not 0 to 65535.
        gaierror: the host is no IPv4 address; names are not looked up.
    """
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): AF_INET address must be tuple, not {type(address).__name__}")
    if len(address) != 2:
        raise TypeError(f"{call}(): AF_INET address must be a pair (host, port)")
    host, port = _text(address[0], call), operator.index(address[1])
    packed = _pack(host)
    if not 0 <= port <= 65535:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    return Endpoint(packed, port)


def format_name(endpoint: Endpoint) -> tuple[str, int]:
    """An endpoint as the socket calls give it back."""
    return format_address(endpoint.address), endpoint.port


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
