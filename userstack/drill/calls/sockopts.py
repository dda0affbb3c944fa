"""getsockopt and setsockopt."""

import errno
import struct

from userstack.drill.calls.context import Attempt, Context, Done, arguments
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.script import Sequence, SystemCall, Text, Value
from userstack.drill.values import INT, describe, is_anything

UNKNOWN = frozenset({errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT})
"""What a system answers about an option that it does not have."""


def setsockopt(context: Context, call: SystemCall) -> Attempt:
    """``setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0``."""
    number, level, option, value, length = arguments(call, 5)
    descriptor = context.socket(number)
    numbers = context.reader.number(level), context.reader.number(option)
    size = context.reader.number(length)
    octets = (b"" if is_anything(value) else context.reader.octets(value)).ljust(size, b"\0")[:size]

    def attempt() -> Done:
        with _Known(call):
            descriptor.socket.setsockopt(*numbers, octets)
        return Done(0)

    return attempt


def getsockopt(context: Context, call: SystemCall) -> Attempt:
    """``getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0``."""
    number, level, option, value, length = arguments(call, 5)
    descriptor = context.socket(number)
    numbers = context.reader.number(level), context.reader.number(option)
    size = INT.size if is_anything(length) else context.reader.number(length)

    def attempt() -> Done:
        with _Known(call):
            got = descriptor.socket.getsockopt(*numbers, size)
        return Done(0, _differs(context, value, got if isinstance(got, bytes) else INT.pack(got)))

    return attempt


class _Known:
    """Skip the script where the system lacks the option and the script thinks that it is there."""

    def __init__(self, call: SystemCall) -> None:
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in UNKNOWN and self._call.errno is None:
            _, level, option, *_ = self._call.arguments
            raise NotSupported(f"{self._call.name} {describe(level)} {describe(option)}") from None


def _differs(context: Context, expected: Value, got: bytes) -> tuple[Field, ...]:
    if is_anything(expected):
        return ()
    if isinstance(expected, Text) or (isinstance(expected, Sequence) and isinstance(expected.items[:1], Text)):
        wanted, got = context.reader.octets(expected).rstrip(b"\0"), got.rstrip(b"\0")
    else:
        wanted = context.reader.octets(expected)
    if wanted[: len(got)] == got:
        return ()
    return (Field("value", describe(expected), _show(got)),)


def _show(octets: bytes) -> str:
    if octets and len(octets) % INT.size == 0:
        return ", ".join(str(number) for (number,) in struct.iter_unpack("@i", octets))
    return repr(octets)
