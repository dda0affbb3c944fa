"""The options of Fast Open (RFC 7413) as Linux takes them and gives them back."""

import errno
import socket
from dataclasses import replace

from userstack.config import FAST_OPEN_CLIENT
from userstack.errors import InvalidArgument
from userstack.net.fastopen import KEY_OCTETS
from userstack.sim.sockaddr import failure
from userstack.sim.socket_options import SocketOptions
from userstack.sim.socket_values import INT, int_of
from userstack.tcp.state import State

TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE = 23, 30, 33, 34
"""By Linux's numbers: Python's ``socket`` has them only where the C library does."""
OPTIONS = frozenset({TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE})


def is_fast_open(level: int, option: int) -> bool:
    """The option is one of these four."""
    return level == socket.IPPROTO_TCP and option in OPTIONS


def set_fast_open(options: SocketOptions, option: int, raw: bytes, state: State) -> None:
    """Take an option as Linux would: most of them only before there is a connection. ``state`` is the socket's.

    Raises:
        OSError: EINVAL: no such value, or not any more; EOPNOTSUPP: the settings have no Fast Open for clients.
    """
    if option == TCP_FASTOPEN_KEY:
        if len(raw) not in (KEY_OCTETS, 2 * KEY_OCTETS):
            raise InvalidArgument(f"TCP_FASTOPEN_KEY takes {KEY_OCTETS} octets, or {2 * KEY_OCTETS} for two keys")
        options.config = replace(options.config, fast_open_key=raw)
        return
    value = int_of(raw)
    if option != TCP_FASTOPEN and value not in (0, 1):
        raise InvalidArgument(f"the option must be 0 or 1, not {value}")
    if option == TCP_FASTOPEN_CONNECT and not options.stack_config.fast_open & FAST_OPEN_CLIENT:
        raise failure(errno.EOPNOTSUPP)
    if value < 0 or state not in ({State.CLOSED} if option == TCP_FASTOPEN_CONNECT else {State.CLOSED, State.LISTEN}):
        raise InvalidArgument("the option cannot be set to that, or not any more")
    if option == TCP_FASTOPEN:
        options.fast_open = min(value, options.config.somaxconn)
    elif option == TCP_FASTOPEN_CONNECT:
        options.fast_open_connect = value != 0
    else:
        options.config = replace(options.config, fast_open_no_cookie=value != 0)


def get_fast_open(options: SocketOptions, option: int) -> bytes:
    """The value as the kernel would copy it out."""
    if option == TCP_FASTOPEN_KEY:
        own = options.config.fast_open_key
        return own if own is not None and own != options.stack_config.fast_open_key else b""  # never the host's
    if option == TCP_FASTOPEN:
        return INT.pack(options.fast_open)
    if option == TCP_FASTOPEN_CONNECT:
        return INT.pack(options.fast_open_connect)
    return INT.pack(options.config.fast_open_no_cookie)
