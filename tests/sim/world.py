"""Scripts over non-blocking stream sockets that run unchanged on the kernel's sockets and on userstack's.

A script takes a ``World`` and records what each call gave: the value, or the error with its errno. Nothing here asserts; the
contract suite compares the records of the two worlds. A script names a socket's side only where the two ends matter, so that
the same text runs with both ends on one host and with one host each.
"""

import errno
import select
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol


class Names(NamedTuple):
    """The addresses that a script speaks of, as sockets of one family write them."""

    family: int
    here: str
    """The client's address."""
    there: str
    """The server's address."""
    outside: str
    """The client's address on the link to ``silent``."""
    silent: str
    """An address that never answers."""
    foreign: str
    """An address that neither end owns."""
    any: str


IPV4 = Names(socket.AF_INET, "10.9.1.1", "10.9.1.2", "198.51.100.1", "198.51.100.9", "203.0.113.7", "0.0.0.0")
IPV6 = Names(socket.AF_INET6, "fd3d:9:1::1", "fd3d:9:1::2", "2001:db8::1", "2001:db8::9", "fd3d:203::7", "::")
MAPPED = Names(socket.AF_INET6, *(f"::ffff:{address}" for address in IPV4[1:]))
FAMILIES = {"ipv4": IPV4, "ipv6": IPV6, "mapped": MAPPED}
LOCAL_HERE, LOCAL_THERE, LOCAL_SILENT = "fe80::a", "fe80::b", "fe80::9"
"""The client's and the server's link-local address on the link to ``silent``, and that of ``silent``."""
FIRST_PORT = 4000
PORTS = 20
"""How many ports a script has to itself."""
SHUT_RD, SHUT_WR, SHUT_RDWR = socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR
EVENTS = select.POLLIN | select.POLLPRI | select.POLLRDHUP | select.POLLHUP | select.POLLERR
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Sock(Protocol):
    """What both kinds of socket have; Python's own socket is the model."""

    def bind(self, address: Any, /) -> None: ...
    def listen(self, backlog: int = ..., /) -> None: ...
    def accept(self) -> "tuple[Any, Any]": ...
    def connect(self, address: Any, /) -> None: ...
    def connect_ex(self, address: Any, /) -> int: ...
    def send(self, data: Any, flags: int = ..., /) -> int: ...
    def recv(self, size: int, flags: int = ..., /) -> bytes: ...
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
    if isinstance(value, tuple) and len(value) in (2, 4) and isinstance(value[0], str):
        return name(value)
    return repr(value)


def name(address: "tuple[str, int] | tuple[str, int, int, int]") -> str:
    """A socket's name without what differs from world to world: ephemeral ports, and the number of the one link."""
    host, port, *rest = address
    text = f"{host} {'ephemeral' if port >= 32768 else port}"
    return f"{text} flow {rest[0]} scope {'link' if rest[1] else 0}" if rest else text


class World:
    """One place to run scripts in; ``settle`` lets everything that is in flight arrive."""

    link: int
    """The number of the link to ``silent``, the scope of link-local addresses."""

    def __init__(self, port: int, names: Names) -> None:
        self.names = names
        self.family, self.here, self.there, self.outside, self.silent, self.foreign, self.any = names
        self.port = port
        """The first of a few ports that are this script's own: what TIME-WAIT holds must not meet the next script."""
        self.record: list[tuple[str, str]] = []
        self._opened: list[Sock] = []

    def _make(self, server: bool, family: int) -> Sock:
        raise NotImplementedError

    def _ready(self, accepted: Sock) -> Sock:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def at_mark(self, sock: Sock) -> bool:
        """``sockatmark``."""
        raise NotImplementedError

    def events(self, sock: Sock) -> int:
        """What ``poll`` tells of reading, and of errors."""
        raise NotImplementedError

    def client(self, family: int | None = None) -> Sock:
        """A fresh socket on the client's host."""
        return self._keep(self._make(False, self.family if family is None else family))

    def server(self, family: int | None = None) -> Sock:
        """A fresh socket on the server's host."""
        return self._keep(self._make(True, self.family if family is None else family))

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
        listener.bind((self.there, self.port + offset))
        listener.listen(backlog)
        return listener

    def connecting(self, address: tuple[str, int]) -> Sock:
        """A client on its way to ``address``; what had to arrive has arrived."""
        client = self.client()
        client.bind((self.here if address[0] == self.there else self.outside, 0))
        client.connect_ex(address)
        self.settle()
        return client

    def pair(self, listener: Sock | None = None) -> tuple[Sock, Sock]:
        """Two ends of an established connection, the client's first."""
        listener = listener or self.listener()
        client = self.connecting((self.there, self.port))
        accepted = self.accept(listener)
        client.connect_ex((self.there, self.port))
        return client, accepted

    def accept(self, listener: Sock) -> Sock:
        """What ``listener`` accepts, non-blocking."""
        return self.accept_with_name(listener)[0]

    def accept_with_name(self, listener: Sock) -> tuple[Sock, Any]:
        """What ``listener`` accepts, non-blocking, and the peer's name."""
        accepted, peer = listener.accept()
        return self._keep(self._ready(accepted)), peer

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
