"""getsockopt and setsockopt."""

import errno
import struct
from collections.abc import Iterator

from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, arguments
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.script import Structure, SystemCall, Text, Value
from userstack.drill.settings import Variant
from userstack.drill.symbols import LINUX as SYMBOLS
from userstack.drill.tcpinfo import LINUX
from userstack.drill.values import INT, BadArgument, describe, is_anything, items

NOTHING = {
    SYMBOLS["SOL_SOCKET"]: frozenset(SYMBOLS[name] for name in ("SO_DEBUG", "SO_PRIORITY", "SO_REUSEPORT", "SO_NOSIGPIPE")),
}
"""Options by level that change nothing of what a TCP shows: they can be set, and are not looked at."""
CONGESTION_CONTROLS = frozenset({b"reno", b"newreno", b"cubic"})
"""Those that are alike until something is lost: TCP_CONGESTION may ask for one of them."""
LARGEST = 1024
"""Octets of an option: more than any has."""
STACK = b"freebsd"
"""The name of FreeBSD's own TCP, which TCP_FUNCTION_BLK chooses; the others work in other ways."""
_TCP_INFO = SYMBOLS["SOL_TCP"], SYMBOLS["TCP_INFO"]
_TCP_CONGESTION = SYMBOLS["SOL_TCP"], SYMBOLS["TCP_CONGESTION"]
_TCP_FUNCTION_BLK = SYMBOLS["SOL_TCP"], SYMBOLS["TCP_FUNCTION_BLK"]
_COMMON = frozenset({"tcpi_state", "tcpi_options", "tcpi_snd_wscale", "tcpi_rcv_wscale", "tcpi_rto", "tcpi_rtt", "tcpi_rttvar"})
"""Fields of TCP_INFO that Linux and FreeBSD tell in the same units, states by their names."""
UNKNOWN = frozenset({errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EAFNOSUPPORT})
"""What a system answers about an option that it does not have."""


def setsockopt(context: Context, call: SystemCall) -> Attempt:
    """``setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0``."""
    number, level, option, value, length = arguments(call, 5)
    descriptor = context.socket(number)
    numbers = context.reader.number(level), context.reader.number(option)
    size = _size(context, length)
    octets = (b"" if is_anything(value) else context.reader.octets(value)).ljust(size, b"\0")[:size]

    def attempt() -> Done:
        if _changes_nothing(*numbers, octets):
            return Done(0)
        if numbers[0] == SYMBOLS["SOL_IP"] and context.settings.variant is Variant.IPV6:
            raise NotSupported("SOL_IP in a run over IPv6")
        with _Known(call):
            descriptor.socket.setsockopt(*numbers, octets)
        return Done(0)

    return attempt


def getsockopt(context: Context, call: SystemCall) -> Attempt:
    """``getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0``."""
    number, level, option, value, length = arguments(call, 5)
    descriptor = context.socket(number)
    numbers = context.reader.number(level), context.reader.number(option)
    size = INT.size if is_anything(length) else _size(context, length)

    def attempt() -> Done:
        if numbers == _TCP_INFO and isinstance(value, Structure):
            return Done(0, tuple(_info_differs(context, descriptor, value)))
        with _Known(call):
            got = descriptor.socket.getsockopt(*numbers, size)
        octets = got if isinstance(got, bytes) else INT.pack(got)
        wrong = () if is_anything(length) or len(octets) == size else (Field("length", str(size), str(len(octets))),)
        return Done(0, _differs(context, value, octets) + wrong)

    return attempt


def _size(context: Context, length: Value) -> int:
    size = context.reader.number(length)
    if not 0 <= size <= LARGEST:
        raise BadArgument(f"an option of {size} octets")
    return size


def _changes_nothing(level: int, option: int, value: bytes) -> bool:
    if (level, option) == _TCP_CONGESTION:
        return value.rstrip(b"\0") in CONGESTION_CONTROLS
    if (level, option) == _TCP_FUNCTION_BLK:
        return value.partition(b"\0")[0] == STACK
    return option in NOTHING.get(level, ())


def _info_differs(context: Context, descriptor: Descriptor, expected: Structure) -> Iterator[Field]:
    """``{tcpi_state=TCPS_ESTABLISHED}``: the fields that the script names; one that is not known skips it."""
    told = LINUX.fields(descriptor.socket.info())
    for field in expected.fields:
        if is_anything(field.value):
            continue
        if field.name not in _COMMON or field.name not in told:
            raise NotSupported(f"{field.name} of TCP_INFO")
        if context.reader.number(field.value) != told[field.name]:
            yield Field(field.name, describe(field.value), str(told[field.name]))


class _Known:
    """Skip the script where the system lacks the option and the script does not think so."""

    def __init__(self, call: SystemCall) -> None:
        self._call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and error.errno in UNKNOWN and getattr(errno, self._call.errno or "", None) != error.errno:
            _, level, option, *_ = self._call.arguments
            raise NotSupported(f"{self._call.name} {describe(level)} {describe(option)}") from None


def _differs(context: Context, expected: Value, got: bytes) -> tuple[Field, ...]:
    if is_anything(expected):
        return ()
    if any(isinstance(item, Text) for item in items(expected)):
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
