"""socket, bind, listen, accept, connect, dup."""

import errno
import socket

from userstack.address import Endpoint
from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, Wait, allowed, arguments, endpoint_of
from userstack.drill.compare import Field
from userstack.drill.errors import NotSupported
from userstack.drill.script import Structure, SystemCall, Value
from userstack.drill.values import describe, is_anything

SOCK_NONBLOCK = 0o4000
SOCK_CLOEXEC = 0o2000000


def make(context: Context, call: SystemCall) -> Attempt:
    """``socket(..., SOCK_STREAM, IPPROTO_TCP) = 3``."""
    domain, kind, protocol = arguments(call, 3)
    family = context.family() if is_anything(domain) else context.reader.number(domain)
    flags = context.reader.number(kind)
    number = context.reader.number(protocol)
    if family not in {socket.AF_INET, socket.AF_INET6}:
        raise NotSupported(f"socket domain {describe(domain)}")
    if flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC) != socket.SOCK_STREAM:
        raise NotSupported(f"socket type {describe(kind)}")
    if number not in {0, socket.IPPROTO_TCP}:
        raise NotSupported(f"socket protocol {describe(protocol)}")

    def attempt() -> Done:
        descriptor = Descriptor(context.system.socket(family), family, blocking=not flags & SOCK_NONBLOCK)
        context.flows.made()
        return Done(context.install(call, descriptor))

    return attempt


def bind(context: Context, call: SystemCall) -> Attempt:
    """``bind(3, ..., ...) = 0``: the local address and ``--bind_port``, where the script gives no other."""
    number, address, _ = arguments(call, 3)
    descriptor = context.socket(number)
    name = context.name(descriptor, address, Endpoint(context.settings.local, context.settings.bind_port))

    def attempt() -> Done:
        descriptor.socket.bind(name)
        return Done(0)

    return attempt


def listen(context: Context, call: SystemCall) -> Attempt:
    """``listen(3, 1) = 0``."""
    number, backlog = arguments(call, 2)
    descriptor = context.socket(number)
    size = context.reader.number(backlog)

    def attempt() -> Done:
        descriptor.socket.listen(size)
        context.flows.listening(endpoint_of(descriptor.socket.getsockname()))
        return Done(0)

    return attempt


def accept(context: Context, call: SystemCall) -> Attempt:
    """``accept(3, ..., ...) = 4``, ``accept4(3, ..., ..., SOCK_NONBLOCK) = 4``."""
    number, address, _, *rest = arguments(call, 4 if call.name == "accept4" else 3)
    descriptor = context.socket(number)
    flags = allowed(context, rest[0], SOCK_NONBLOCK | SOCK_CLOEXEC) if rest else 0

    def attempt() -> Done:
        made, peer = descriptor.patiently(descriptor.socket.accept)
        remote = endpoint_of(peer)
        accepted = Descriptor(made, descriptor.family, blocking=not flags & SOCK_NONBLOCK)
        accepted.flow = context.flows.accepted(remote, made)
        return Done(context.install(call, accepted), name_differs(context, address, remote, chosen=True))

    return attempt


def connect(context: Context, call: SystemCall) -> Attempt:
    """``connect(3, ..., ...) = 0``: to the remote address and ``--connect_port``, where the script gives no other."""
    number, address, _ = arguments(call, 3)
    descriptor = context.socket(number)
    name = context.name(descriptor, address, Endpoint(context.settings.remote, context.settings.connect_port))

    def attempt() -> Done:
        try:
            descriptor.socket.connect(name)
        except BlockingIOError as error:
            if error.errno == errno.EINPROGRESS:
                begun(context, descriptor, name)
            if descriptor.blocking:
                raise Wait from None
            raise
        if descriptor.flow is None:
            begun(context, descriptor, name)  # TCP_FASTOPEN_CONNECT
        return Done(0)

    return attempt


def begun(context: Context, descriptor: Descriptor, name: tuple[str, int]) -> None:
    """The socket has begun to connect: its connection is under test."""
    local = endpoint_of(descriptor.socket.getsockname())
    descriptor.flow = context.flows.connecting(local, endpoint_of(name), descriptor.socket)


def dup(context: Context, call: SystemCall) -> Attempt:
    """``dup(3) = 4``."""
    (number,) = arguments(call, 1)
    descriptor = context.socket(number)

    def attempt() -> Done:
        descriptor.names += 1
        return Done(context.install(call, descriptor))

    return attempt


def name_of(context: Context, call: SystemCall) -> Attempt:
    """``getsockname(3, ..., ...) = 0``, ``getpeername``."""
    number, address, _ = arguments(call, 3)
    descriptor = context.socket(number)
    ask = descriptor.socket.getsockname if call.name == "getsockname" else descriptor.socket.getpeername

    active = descriptor.flow is not None and descriptor.flow.active
    passive = descriptor.flow is not None and not descriptor.flow.active
    chosen = active if call.name == "getsockname" else passive

    def attempt() -> Done:
        return Done(0, name_differs(context, address, endpoint_of(ask()), chosen=chosen))

    return attempt


def name_differs(context: Context, expected: Value, got: Endpoint, *, chosen: bool) -> tuple[Field, ...]:
    """A socket address that a call gave out. Ports that the system or the runner has ``chosen`` are not compared."""
    if not isinstance(expected, Structure):
        return ()
    wanted = context.reader.address(expected, got)
    context.check_version(wanted.address)
    if wanted.address == got.address and (chosen or wanted.port == got.port):
        return ()
    return (Field("address", str(wanted), str(got)),)
