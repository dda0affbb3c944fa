"""sendto and sendmsg with MSG_FASTOPEN: connect and write in one (RFC 7413)."""

from collections.abc import Callable

from userstack.address import Endpoint
from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, Wait
from userstack.drill.calls.opening import begun
from userstack.drill.script import Number, Value
from userstack.sim.transfer import MSG_FASTOPEN
from userstack.tcp.state import State

NOWHERE = Number(0)
"""No address is given."""
_HANDSHAKE = frozenset({State.SYN_SENT, State.SYN_RECEIVED})


def sending(
    context: Context, descriptor: Descriptor, data: bytes, name: Value, *, at_once: bool, rest: Callable[[bytes], Attempt]
) -> Attempt:
    """The call; who may sleep does so until the connection is there, and writes the ``rest`` then, as in Linux."""
    taken: int | None = None
    further: Attempt | None = None

    def attempt() -> Done:
        nonlocal taken, further
        if taken is None:
            taken = _open(context, descriptor, data, name, at_once=at_once)
        if at_once:
            return Done(taken)
        if descriptor.socket.info().state in _HANDSHAKE:
            raise Wait
        if 0 < taken == len(data):
            return Done(taken)
        further = further or rest(data[taken:])
        return Done(taken + further().value)

    return attempt


def until_connected(descriptor: Descriptor, writing: Attempt) -> Attempt:
    """A write that may sleep: where it is the one that a SYN has waited for (TCP_FASTOPEN_CONNECT), until it is answered."""
    done: Done | None = None

    def attempt() -> Done:
        nonlocal done
        done = done or writing()
        if descriptor.socket.info().state is State.SYN_SENT:
            raise Wait
        return done

    return attempt


def _open(context: Context, descriptor: Descriptor, data: bytes, name: Value, *, at_once: bool) -> int:
    """The first try; how many octets were taken.

    Raises:
        BlockingIOError: it has begun to connect and taken none, and ``at_once`` is asked for.
    """
    taken, remote = 0, None
    if name is not NOWHERE:
        remote = context.name(descriptor, name, Endpoint(context.settings.remote, context.settings.connect_port))
    try:
        taken = descriptor.socket.sendto(data, MSG_FASTOPEN, remote)
    except BlockingIOError:
        if at_once:
            raise
    finally:
        if descriptor.flow is None and remote is not None and descriptor.socket.info().state in _HANDSHAKE:
            begun(context, descriptor, remote)
        if descriptor.flow is not None:
            descriptor.flow.written += data[:taken]
    return taken
