"""shutdown, close, fcntl, ioctl."""

import errno
import socket

from userstack.config import SECOND
from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, Epoll, Wait, arguments, failure
from userstack.drill.calls.opening import SOCK_NONBLOCK as O_NONBLOCK
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.script import SystemCall, Value
from userstack.drill.values import describe, is_anything
from userstack.sim.socket_options import LINGER
from userstack.tcp.state import State

O_RDWR = 2
UNFINISHED = frozenset({State.FIN_WAIT_1, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK})
"""Something that was sent is not acknowledged."""
F_GETFD, F_SETFD, F_GETFL, F_SETFL = 1, 2, 3, 4
FIONBIO, SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK = 0x5421, 0x541B, 0x5411, 0x894B, 0x8905


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
    """``close(4) = 0``: the socket goes with the last descriptor that has it, after SO_LINGER's time at the latest."""
    (number,) = arguments(call, 1)
    key = context.reader.number(number)
    lingering: Descriptor | None = None
    until = 0

    def attempt() -> Done:
        nonlocal lingering, until
        if lingering is None:
            found = context.descriptors.pop(key, None)
            if found is None:
                raise failure(errno.EBADF)
            if not isinstance(found, Descriptor):
                return Done(0)
            found.names -= 1
            if found.names:
                return Done(0)
            for other in context.descriptors.values():
                if isinstance(other, Epoll):
                    other.forget(found)
            seconds = _linger(found)
            found.socket.close()
            if not seconds:
                return Done(0)
            lingering, until = found, context.system.now + seconds * SECOND
        if lingering.socket.info().state in UNFINISHED and context.system.now < until:
            raise Wait(until)
        return Done(0)

    return attempt


def _linger(descriptor: Descriptor) -> int:
    """For how many seconds at most close() waits until all is sent and acknowledged."""
    raw = descriptor.socket.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER.size)
    on, seconds = LINGER.unpack(raw) if isinstance(raw, bytes) else (0, 0)
    return max(seconds, 0) if on else 0


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
            case _ if what == SIOCATMARK:
                return Done(0, _differs(context, value, request, int(descriptor.socket.sockatmark())))
            case _ if what == SIOCOUTQNSD:
                return Done(0, _differs(context, value, request, descriptor.socket.info().unsent))
            case _:
                raise NotSupported(f"ioctl {describe(request)}")

    return attempt


def _differs(context: Context, expected: Value, name: Value, got: int) -> tuple[Field, ...]:
    if is_anything(expected) or context.reader.number(expected) == got:
        return ()
    return (Field(describe(name), describe(expected), str(got)),)
