"""``recv`` of a stream socket: which arguments it takes, and what MSG_OOB gives, errno for errno what Linux does."""

import errno
import operator
import socket

from userstack.errors import InvalidArgument
from userstack.sim.sockaddr import failure
from userstack.tcp.connection import Connection

_KNOWN = socket.MSG_PEEK | socket.MSG_OOB


def check_arguments(size: int, flags: int) -> int:
    """``size`` as an int.

    Raises:
        OSError: EOPNOTSUPP: a flag that is not known.
        ValueError: the size is negative.
    """
    size = operator.index(size)
    if flags & ~_KNOWN:
        raise failure(errno.EOPNOTSUPP)
    if size < 0:
        raise ValueError("negative buffersize in recv")
    return size


def read_out_of_band(connection: Connection | None, flags: int, *, shut: bool) -> bytes:
    """The last urgent octet; ``b""`` where it will not come any more, as after ``shutdown(SHUT_RD)`` (``shut``).

    Raises:
        OSError: EINVAL: there is none, or not out of band; EAGAIN: it is not here yet; ENOTCONN: the connection is gone.
    """
    if connection is None:
        raise InvalidArgument("there is no urgent octet out of band")
    try:
        return connection.receive_urgent(peek=flags & socket.MSG_PEEK != 0)
    except BlockingIOError:
        if shut:
            return b""
        raise
