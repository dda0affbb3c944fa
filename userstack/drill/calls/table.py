"""The system calls by name."""

from collections.abc import Callable

from userstack.drill.calls import control, opening, readiness, sockopts, transfer
from userstack.drill.calls.context import Attempt, Context
from userstack.drill.errors import NotSupported
from userstack.drill.script import SystemCall

Handler = Callable[[Context, SystemCall], Attempt]

HANDLERS: dict[str, Handler] = {
    "socket": opening.make,
    "bind": opening.bind,
    "listen": opening.listen,
    "accept": opening.accept,
    "accept4": opening.accept,
    "connect": opening.connect,
    "dup": opening.dup,
    "getsockname": opening.name_of,
    "getpeername": opening.name_of,
    "read": transfer.read,
    "readv": transfer.readv,
    "recv": transfer.recv,
    "recvfrom": transfer.recv,
    "recvmsg": transfer.recvmsg,
    "write": transfer.write,
    "writev": transfer.writev,
    "send": transfer.send,
    "sendto": transfer.send,
    "sendmsg": transfer.sendmsg,
    "shutdown": control.shutdown,
    "close": control.close,
    "fcntl": control.fcntl,
    "ioctl": control.ioctl,
    "getsockopt": sockopts.getsockopt,
    "setsockopt": sockopts.setsockopt,
    "poll": readiness.poll,
    "epoll_create": readiness.epoll_create,
    "epoll_create1": readiness.epoll_create,
    "epoll_ctl": readiness.epoll_ctl,
    "epoll_wait": readiness.epoll_wait,
    "epoll_pwait": readiness.epoll_wait,
}


def prepare(context: Context, call: SystemCall) -> Attempt:
    """Read the arguments of a call, and give what makes it.

    Raises:
        NotSupported: nobody here has that call.
        BadArgument: it does not take these arguments.
        OSError: the errno that the arguments alone give.
    """
    handler = HANDLERS.get(call.name)
    if handler is None:
        raise NotSupported(f"system call {call.name}")
    return handler(context, call)
