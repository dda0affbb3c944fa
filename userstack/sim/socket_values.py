"""The numbers that options of a socket take, as octets of the kernel's interface."""

import struct

from userstack.errors import InvalidArgument

INT = struct.Struct("@i")


def int_of(raw: bytes) -> int:
    """The int that options of the socket and of TCP take.

    Raises:
        InvalidArgument: there are too few octets.
    """
    if len(raw) < INT.size:
        raise InvalidArgument(f"the option takes an int of {INT.size} octets, not {len(raw)}")
    return int(INT.unpack_from(raw)[0])


def short_number(raw: bytes) -> int:
    """The number that options of IP take, for which one octet is enough."""
    if len(raw) >= INT.size:
        return int_of(raw)
    return raw[0] if raw else 0
