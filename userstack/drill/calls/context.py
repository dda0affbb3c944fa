"""What every system call works with: the script's descriptors, the system, and how a call says that it waits."""

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from userstack.address import Endpoint, format_address, from_mapped, is_mapped, pack_address, to_mapped
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.flow import Flow
from userstack.drill.flows import Flows
from userstack.drill.script import SystemCall, Value
from userstack.drill.settings import Settings, Variant
from userstack.drill.system import Address, DrillSocket, System
from userstack.drill.values import BadArgument, Reader, describe, is_anything, items

T = TypeVar("T")


class Wait(Exception):
    """The call would sleep now. ``until``: when it wakes up by itself; None: never."""

    def __init__(self, until: int | None = None) -> None:
        super().__init__()
        self.until = until


@dataclass(frozen=True, slots=True)
class Done:
    """What a call returned, and where what it gave out is not what the script says."""

    value: int
    differences: tuple[Field, ...] = ()


Attempt = Callable[[], Done]
"""Try the call: ``Done``, or ``OSError`` with the errno that it returns, or ``Wait``. Tried again until it does not wait."""


@dataclass(slots=True, eq=False)
class Descriptor:
    """What a number of the script stands for: a socket."""

    socket: DrillSocket
    family: int
    blocking: bool = True
    flow: Flow | None = None
    names: int = 1
    """Descriptors that share it."""

    def patiently(self, call: Callable[[], T], *, at_once: bool = False) -> T:
        """Make a call of the socket; what cannot be done now waits where the descriptor does, else it is an errno.

        Raises:
            Wait: the descriptor blocks, and ``at_once`` (MSG_DONTWAIT) is not asked for.
        """
        try:
            return call()
        except BlockingIOError:
            if self.blocking and not at_once:
                raise Wait from None
            raise


@dataclass(slots=True, eq=False)
class Interest:
    """One descriptor that an epoll instance watches."""

    descriptor: Descriptor
    events: int
    data: Value
    reported: tuple[object, ...] | None = None
    """Edge-triggered: what was so when it was told last."""


@dataclass(slots=True, eq=False)
class Epoll:
    """What a number of the script stands for: an epoll instance."""

    interests: dict[int, Interest] = field(default_factory=dict)

    def forget(self, descriptor: Descriptor) -> None:
        """The last number of that socket's is closed."""
        self.interests = {number: one for number, one in self.interests.items() if one.descriptor is not descriptor}


@dataclass(slots=True)
class Context:
    """The process of the script."""

    system: System
    settings: Settings
    reader: Reader
    flows: Flows
    descriptors: dict[int, Descriptor | Epoll] = field(default_factory=dict)

    def socket(self, value: Value) -> Descriptor:
        """The socket of that number.

        Raises:
            OSError: EBADF: there is none; ENOTSOCK: it is something else.
        """
        found = self.descriptors.get(self.reader.number(value))
        if found is None:
            raise failure(errno.EBADF)
        if not isinstance(found, Descriptor):
            raise failure(errno.ENOTSOCK)
        return found

    def install(self, call: SystemCall, made: Descriptor | Epoll) -> int:
        """Give a new descriptor the number that the script expects; the number.

        Raises:
            BadArgument: that number is taken.
        """
        number = None if is_anything(call.result) else self.reader.number(call.result)
        if number is None or number < 0:
            number = next(free for free in range(3, len(self.descriptors) + 4) if free not in self.descriptors)
        if number in self.descriptors:
            raise BadArgument(f"descriptor {number} is open already")
        self.descriptors[number] = made
        return number

    def family(self) -> int:
        """The family of the sockets that the script does not name."""
        return socket.AF_INET if self.settings.variant is Variant.IPV4 else socket.AF_INET6

    def name(self, descriptor: Descriptor, value: Value, default: Endpoint) -> tuple[str, int]:
        """A socket address for a call on that socket: what the script gives, else the default.

        Raises:
            NotSupported: the script speaks of the other IP version than it is run over.
        """
        endpoint = default if is_anything(value) else self.reader.address(value, default)
        self.check_version(endpoint.address)
        address = endpoint.address
        if descriptor.family == socket.AF_INET6 and len(address) == 4:
            address = to_mapped(address) if any(address) else bytes(16)
        if len(address) == 16 and descriptor.family == socket.AF_INET:
            raise NotSupported("AF_INET in a run over IPv6")
        return format_address(address), endpoint.port

    def check_version(self, address: bytes) -> None:
        """Refuse an address of the script that no packet of this run can have; the wildcards are everybody's.

        Raises:
            NotSupported: it is one.
        """
        if any(address) and len(from_mapped(address)) != len(self.settings.local):
            given, used = ("IPv4", "IPv6") if len(self.settings.local) == 16 else ("IPv6", "IPv4")
            raise NotSupported(f"{given} addresses in a run over {used}")


def endpoint_of(address: Address) -> Endpoint:
    """A socket address as the packets have it."""
    packed = pack_address(str(address[0]).partition("%")[0])
    return Endpoint(from_mapped(packed) if is_mapped(packed) else packed, address[1])


def failure(number: int) -> OSError:
    """The error with that errno."""
    return OSError(number, os.strerror(number))


def listed(context: Context, array: Value, count: Value) -> tuple[Value, ...]:
    """The members of an array that is given with their number.

    Raises:
        BadArgument: they are not that many.
    """
    members = items(array)
    if not is_anything(count) and context.reader.number(count) != len(members):
        raise BadArgument(f"{describe(array)} has not {describe(count)} members")
    return members


def allowed(context: Context, value: Value, known: int) -> int:
    """Flags of a call, all of which must be known.

    Raises:
        NotSupported: another one is set.
    """
    flags = context.reader.number(value)
    if flags & ~known:
        raise NotSupported(f"flags {describe(value)}")
    return flags


def arguments(call: SystemCall, least: int, most: int | None = None) -> tuple[Value, ...]:
    """The arguments of a call, whose number is checked.

    Raises:
        BadArgument: they are too few or too many.
    """
    given = len(call.arguments)
    if not least <= given <= (most or least):
        wanted = str(least) if most is None else f"{least} to {most}"
        raise BadArgument(f"{call.name} takes {wanted} arguments, not {given}")
    return call.arguments
