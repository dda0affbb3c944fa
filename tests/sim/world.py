"""Scripts over non-blocking stream sockets that run unchanged on the kernel's sockets and on userstack's.

A script takes a ``World`` and records what each call gave: the value, or the error with its errno. Nothing here asserts; the
contract suite compares the records of the two worlds. A script names a socket's side only where the two ends matter, so that
the same text runs with both ends on one host and with one host each.
"""

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any, Protocol

HERE = "10.9.1.1"
"""The client's address."""
THERE = "10.9.1.2"
"""The server's address."""
OUTSIDE = "198.51.100.1"
"""The client's address on the link to ``SILENT``."""
SILENT = "198.51.100.9"
"""An address that never answers."""
FOREIGN = "203.0.113.7"
"""An address that neither end owns."""
FIRST_PORT = 4000
PORTS = 20
"""How many ports a script has to itself."""
SHUT_RD, SHUT_WR, SHUT_RDWR = socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Sock(Protocol):
    """What both kinds of socket have; Python's own socket is the model."""

    def bind(self, address: Any, /) -> None: ...
    def listen(self, backlog: int = ..., /) -> None: ...
    def accept(self) -> "tuple[Any, Any]": ...
    def connect(self, address: Any, /) -> None: ...
    def connect_ex(self, address: Any, /) -> int: ...
    def send(self, data: Any, /) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def recv_into(self, buffer: Any, nbytes: int = ..., /) -> int: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...
    def setsockopt(self, level: int, option: int, value: Any, /) -> None: ...
    def getsockopt(self, level: int, option: int, buflen: int = ..., /) -> Any: ...
    def getsockname(self) -> Any: ...
    def getpeername(self) -> Any: ...


def outcome(call: Callable[[], object]) -> str:
    """The text by which two worlds are compared: a value with its ephemeral ports blanked, or an error with class and errno."""
    try:
        value = call()
    except socket.gaierror:
        return "gaierror"
    except OSError as error:
        builtin = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
        return f"{errno.errorcode.get(error.errno or 0, '-')} {builtin}"
    except (TypeError, ValueError, OverflowError) as error:
        return type(error).__name__
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        return f"{value[0]} {'ephemeral' if value[1] >= 32768 else value[1]}"
    return repr(value)


class World:
    """One place to run scripts in; ``settle`` lets everything that is in flight arrive."""

    def __init__(self, port: int) -> None:
        self.port = port
        """The first of a few ports that are this script's own: what TIME-WAIT holds must not meet the next script."""
        self.record: list[tuple[str, str]] = []
        self._opened: list[Sock] = []

    def _make(self, server: bool) -> Sock:
        raise NotImplementedError

    def _ready(self, accepted: Sock) -> Sock:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def client(self) -> Sock:
        """A fresh socket on the client's host."""
        return self._keep(self._make(False))

    def server(self) -> Sock:
        """A fresh socket on the server's host."""
        return self._keep(self._make(True))

    def step(self, label: str, call: Callable[..., object], *args: object) -> None:
        """Make the call, record what it gave, and let what it caused arrive."""
        self._write(label, outcome(lambda: call(*args)))
        self.settle()

    def note(self, label: str, value: object) -> None:
        """Record a value that needs no call."""
        self._write(label, repr(value))

    def listener(self, backlog: int = 5, offset: int = 0) -> Sock:
        """A listening socket of the server."""
        listener = self.server()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((THERE, self.port + offset))
        listener.listen(backlog)
        return listener

    def connecting(self, address: tuple[str, int]) -> Sock:
        """A client on its way to ``address``; what had to arrive has arrived."""
        client = self.client()
        client.bind((HERE if address[0] == THERE else OUTSIDE, 0))
        client.connect_ex(address)
        self.settle()
        return client

    def pair(self, listener: Sock | None = None) -> tuple[Sock, Sock]:
        """Two ends of an established connection, the client's first."""
        listener = listener or self.listener()
        client = self.connecting((THERE, self.port))
        accepted = self.accept(listener)
        client.connect_ex((THERE, self.port))
        return client, accepted

    def accept(self, listener: Sock) -> Sock:
        """What ``listener`` accepts, non-blocking."""
        return self._keep(self._ready(listener.accept()[0]))

    def finish(self) -> None:
        """Close what the script left open, with a reset, so that nothing lingers."""
        for opened in self._opened:
            try:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            except OSError:
                continue
            opened.close()
        self.settle()

    def _write(self, label: str, result: str) -> None:
        self.record.append((f"{len(self.record) + 1}. {label}", result))

    def _keep(self, opened: Sock) -> Sock:
        self._opened.append(opened)
        return opened


def port_of(index: int) -> int:
    """The first port of the script at that place in the table."""
    return FIRST_PORT + PORTS * index
