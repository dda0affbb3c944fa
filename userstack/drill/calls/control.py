"""shutdown, close, fcntl, ioctl."""

import errno

from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, arguments, failure
from userstack.drill.calls.opening import SOCK_NONBLOCK as O_NONBLOCK
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.script import SystemCall, Value
from userstack.drill.values import describe, is_anything

O_RDWR = 2
F_GETFD, F_SETFD, F_GETFL, F_SETFL = 1, 2, 3, 4
FIONBIO, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD = 0x5421, 0x541B, 0x5411, 0x894B


def shutdown(context: Context, call: SystemCall) -> Attempt:
    """``shutdown(4, SHUT_WR) = 0``."""
    number, how = arguments(call, 2)
    descriptor = context.socket(number)
    ways = context.reader.number(how)

    def attempt() -> Done:
        descriptor.socket.shutdown(ways)
        return Done(0)

    return attempt


def close(context: Context, call: SystemCall) -> Attempt:
    """``close(4) = 0``: the socket goes with the last descriptor that has it."""
    (number,) = arguments(call, 1)
    key = context.reader.number(number)

    def attempt() -> Done:
        found = context.descriptors.pop(key, None)
        if found is None:
            raise failure(errno.EBADF)
        if isinstance(found, Descriptor):
            found.names -= 1
            if not found.names:
                found.socket.close()
        return Done(0)

    return attempt


def fcntl(context: Context, call: SystemCall) -> Attempt:
    """``fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0``."""
    number, command, *rest = arguments(call, 2, 3)
    descriptor = context.socket(number)
    what = context.reader.number(command)
    value = context.reader.number(rest[0]) if rest else 0

    def attempt() -> Done:
        match what:
            case _ if what == F_GETFL:
                return Done(O_RDWR | (0 if descriptor.blocking else O_NONBLOCK))
            case _ if what == F_SETFL:
                descriptor.blocking = not value & O_NONBLOCK
                return Done(0)
            case _:
                raise NotSupported(f"fcntl {describe(command)}")

    return attempt


def ioctl(context: Context, call: SystemCall) -> Attempt:
    """``ioctl(4, SIOCINQ, [1000]) = 0``, ``ioctl(3, FIONBIO, [1]) = 0``."""
    number, request, value = arguments(call, 3)
    descriptor = context.socket(number)
    what = context.reader.number(request)

    def attempt() -> Done:
        match what:
            case _ if what == FIONBIO:
                descriptor.blocking = not context.reader.number(value)
                return Done(0)
            case _ if what == SIOCINQ:
                return Done(0, _differs(context, value, request, descriptor.socket.queued()[0]))
            case _ if what == SIOCOUTQ:
                return Done(0, _differs(context, value, request, descriptor.socket.queued()[1]))
            case _ if what == SIOCOUTQNSD:
                return Done(0, _differs(context, value, request, descriptor.socket.info().unsent))
            case _:
                raise NotSupported(f"ioctl {describe(request)}")

    return attempt


def _differs(context: Context, expected: Value, name: Value, got: int) -> tuple[Field, ...]:
    if is_anything(expected) or context.reader.number(expected) == got:
        return ()
    return (Field(describe(name), describe(expected), str(got)),)
