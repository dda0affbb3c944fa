"""``struct tcp_md5sig`` of linux/tcp.h, built field by field, for the kernel's sockets and for ours."""

import socket
import struct

TCP_MD5SIG, TCP_MD5SIG_EXT = 14, 32
FLAG_PREFIX, FLAG_IFINDEX = 1, 2


def tcp_md5sig(
    address: str, key: bytes, *, prefix: int = 0, flags: int = 0, interface: int = 0, size: int | None = None, family: int = 0
) -> bytes:
    """The octets; ``size`` is what the key's length says where that is not its own."""
    if ":" in address:
        name = struct.pack("=HHI16sI", family or socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
    else:
        name = struct.pack("=HH4s8s", family or socket.AF_INET, 0, socket.inet_pton(socket.AF_INET, address), b"")
    given = len(key) if size is None else size
    return name.ljust(128, b"\0") + struct.pack("=BBHi", flags, prefix, given, interface) + key.ljust(80, b"\0")
