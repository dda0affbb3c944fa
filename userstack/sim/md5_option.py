"""TCP_MD5SIG and TCP_MD5SIG_EXT: the octets of ``struct tcp_md5sig``, judged as Linux judges them."""

import socket
import struct
from typing import NamedTuple

from userstack.address import from_mapped
from userstack.errors import InvalidArgument
from userstack.net.md5keys import Md5Keys
from userstack.tcp.md5sig import MAX_KEY

TCP_MD5SIG, TCP_MD5SIG_EXT = 14, 32
"""By their numbers, for Python's socket names only the first, and not on every system."""
FLAG_PREFIX, FLAG_IFINDEX = 0x1, 0x2

_STRUCT = struct.Struct("@128sBBHi80s")
"""A ``sockaddr_storage``, flags, prefix length, key length, interface index, key."""
_INET = struct.Struct("@H2s4s")
_INET6 = struct.Struct("@H2s4s16s")


class _Command(NamedTuple):
    address: bytes
    prefix: int | None
    key: bytes


def set_md5(keys: Md5Keys, option: int, raw: bytes, family: int) -> None:
    """Add, change or, where the key has no octets, delete the key of a peer.

    Raises:
        InvalidArgument: too few octets, another family than the socket's, a prefix or key that is too long, or an interface:
            only one that is the master of a domain could be named, and there is none.
        NoSuchKey: there is nothing to delete.
        OutOfMemory: there are too many.
    """
    address, prefix, key = _parse(option, raw, family)
    if key:
        keys.set(address, key, prefix)
    else:
        keys.delete(address, prefix)


def _parse(option: int, raw: bytes, family: int) -> _Command:
    if len(raw) < _STRUCT.size:
        raise InvalidArgument(f"struct tcp_md5sig has {_STRUCT.size} octets, not {len(raw)}")
    name, flags, prefix, size, interface, key = _STRUCT.unpack_from(raw)
    found, *_, address = (_INET if family == socket.AF_INET else _INET6).unpack_from(name)
    if found != family:
        raise InvalidArgument("the peer's address is not of the socket's family")
    if option == TCP_MD5SIG_EXT and flags & FLAG_IFINDEX and interface:
        raise InvalidArgument("the interface is not the master of a domain")
    if size > MAX_KEY:
        raise InvalidArgument(f"a key has {MAX_KEY} octets at most, not {size}")
    given = option == TCP_MD5SIG_EXT and flags & FLAG_PREFIX
    # Note: of a mapped address the prefix is that of its IPv4 part.
    return _Command(from_mapped(address), prefix if given else None, key[:size])
