"""The values of socket options as ``setsockopt`` takes them and ``getsockopt`` gives them: ints, and packed structs."""

import math
import struct

from userstack.errors import InvalidArgument

_LINGER = struct.Struct("ii")
"""``struct linger``: on or off, and seconds."""
_LONGEST_LINGER = 2**31 - 1


def as_int(value: int | bytes) -> int:
    """The value of an option that is a number.

    Raises:
        InvalidArgument: it does not fit into 32 bits, or is too short for them.
        TypeError: it is neither an int nor bytes.
    """
    if isinstance(value, int):
        if not -(2**31) <= value < 2**31:
            raise InvalidArgument(f"an option's value is an int of 32 bits, not {value}")
        return value
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(f"an option's value is an int or bytes, not {type(value).__name__}")
    if len(value) < struct.calcsize("i"):
        raise InvalidArgument(f"an option's value is an int, or at least {struct.calcsize('i')} bytes, not {len(value)}")
    return int(struct.unpack_from("i", value)[0])


def unpack_linger(value: int | bytes) -> float | None:
    """The seconds of SO_LINGER; None where it is off.

    Raises:
        InvalidArgument: it is no ``struct linger``.
    """
    if isinstance(value, int) or len(value) < _LINGER.size:
        raise InvalidArgument("SO_LINGER takes a struct linger: struct.pack('ii', on, seconds)")
    on, seconds = _LINGER.unpack_from(value)
    if on and seconds < 0:
        raise InvalidArgument(f"SO_LINGER takes a number of seconds from 0 up, not {seconds}")
    return float(seconds) if on else None


def pack_linger(seconds: float | None) -> bytes:
    """The ``struct linger`` of so many seconds; None is off."""
    return _LINGER.pack(seconds is not None, math.ceil(min(seconds or 0, _LONGEST_LINGER)))  # up: 0 would be a reset
