"""The calls of a socket that open a connection: ``connect``, and with Fast Open (RFC 7413) ``sendto`` and ``sendmsg``; its options.

Law: errno for errno what Linux gives (``tcp_sendmsg_fastopen``, ``tcp_fastopen_defer_connect``).
"""

import errno
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from typing import overload

from userstack.config import FAST_OPEN_CLIENT, StackConfig
from userstack.errors import AlreadyConnected, InvalidArgument
from userstack.net.fastopen import KEY_OCTETS
from userstack.net.listener import Listener
from userstack.sim.sockaddr import SocketName, buffer_of, failure, would_block
from userstack.sim.socket_options import SocketOptions
from userstack.sim.socket_values import INT, int_of
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.ip import Buffer

MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE = 23, 30, 33, 34
"""By Linux's numbers: Python's ``socket`` has them only where the C library does."""
OPTIONS = frozenset({TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE})
Name = SocketName | tuple[str, int, int]


class OpeningCalls(ABC):
    """What a ``VirtualSocket`` opens with."""

    __slots__ = ()
    _options: SocketOptions
    _listener: Listener | None
    _connection: Connection | None

    @property
    @abstractmethod
    def state(self) -> State:
        """The state of RFC 9293 3.3.2."""

    @abstractmethod
    def send(self, data: Buffer, flags: int = 0) -> int:
        """Queue octets for sending."""

    @abstractmethod
    def _connect(self, address: Name, fast_open: memoryview | None, *, deferred: bool = False) -> None:
        """``connect``, with as much of ``fast_open`` as the SYN may carry, or waiting for what it may."""

    @abstractmethod
    def _touch(self, connection: Connection) -> None: ...

    # --- calls ---

    def connect(self, address: Name) -> None:
        """Begin to connect, or, where that has begun, say how it stands; returns once, when it is done.

        Raises:
            OSError: EINPROGRESS: begun; EALREADY: not done yet; EISCONN: done and told; what killed it, once; then ECONNABORTED.
        """
        self._connect(address, memoryview(b"") if self._options.fast_open_connect else None, deferred=True)

    def connect_ex(self, address: Name) -> int:
        """``connect``, the errno given back instead of raised."""
        try:
            self.connect(address)
        except socket.gaierror:
            raise
        except OSError as error:
            return error.errno or 0
        return 0

    @overload
    def sendto(self, data: Buffer, address: Name, /) -> int: ...
    @overload
    def sendto(self, data: Buffer, flags: int, address: Name | None, /) -> int: ...
    def sendto(self, data: Buffer, flags: int | Name, address: Name | None = None, /) -> int:
        """``send``; with MSG_FASTOPEN ``connect`` and ``send`` in one, so that the SYN may carry data (RFC 7413).

        How many octets were taken: with MSG_FASTOPEN only those that the SYN carries, until the connection is established.

        Raises:
            OSError: as ``send``. With MSG_FASTOPEN EINPROGRESS: begun, and nothing was taken, as without a cookie; EALREADY: not
                done yet; EISCONN: done and told, or listening; EOPNOTSUPP: the settings forbid it; EINVAL: there is no address.
        """
        flags = flags if isinstance(flags, int) else 0
        if not flags & MSG_FASTOPEN:
            return self.send(data, flags)  # As in Linux a stream socket does not look at the address.
        view = buffer_of(data)
        taken = self._send_with_syn(view, address)
        return self.send(view, flags & ~MSG_FASTOPEN) if taken is None else taken

    def sendmsg(
        self, buffers: Iterable[Buffer], ancdata: Iterable[object] = (), flags: int = 0, address: Name | None = None
    ) -> int:
        """``sendto`` of several buffers, one after the other.

        Raises:
            OSError: as ``sendto``; EINVAL: there are control messages, none of which TCP has here.
        """
        if any(True for _ in ancdata):
            raise InvalidArgument("there are no control messages to send")
        return self.sendto(b"".join(bytes(buffer_of(one)) for one in buffers), flags, address)

    def _send_with_syn(self, view: memoryview, address: Name | None) -> int | None:
        """What the SYN takes; None: the connection is there already, and ``send`` goes on (Linux tcp_sendmsg_fastopen)."""
        if not self._options.stack_config.fast_open & FAST_OPEN_CLIENT:
            raise failure(errno.EOPNOTSUPP)
        if self._is_deferred:
            return self._send_deferred(view)
        if address is None:
            raise AlreadyConnected if self.state is not State.CLOSED else InvalidArgument("there is no address to connect to")
        try:
            self._connect(address, view)
        except BlockingIOError as error:
            taken = 0 if self._connection is None else len(self._connection.tcb.sendbuf)
            if error.errno != errno.EINPROGRESS or not taken:
                raise
            return taken
        return None

    @property
    def _is_deferred(self) -> bool:
        """TCP_FASTOPEN_CONNECT: ``connect`` has returned, and the SYN waits for what is written first."""
        return self._connection is not None and self.state is State.SYN_SENT and self._connection.tcb.fast_open.deferred

    def _send_deferred(self, view: memoryview) -> int:
        """The first write: the SYN goes, with as much as it may carry."""
        connection = self._connection
        assert connection is not None
        taken = connection.send(view[: connection.tcb.fast_open.room], now=self._now)
        self._touch(connection)
        if not taken:
            raise would_block(errno.EINPROGRESS)
        return taken

    @property
    @abstractmethod
    def _now(self) -> int: ...

    # --- options ---

    def _set_fast_open(self, option: int, raw: bytes) -> None:
        """Take an option of Fast Open, as Linux would: most of them only before there is a connection."""
        if option == TCP_FASTOPEN_KEY:
            if len(raw) not in (KEY_OCTETS, 2 * KEY_OCTETS):
                raise InvalidArgument(f"TCP_FASTOPEN_KEY takes {KEY_OCTETS} octets, or {2 * KEY_OCTETS} for two keys")
            self._configure(replace(self._options.config, fast_open_key=raw))
            return
        value = int_of(raw)
        if option != TCP_FASTOPEN and value not in (0, 1):
            raise InvalidArgument(f"the option must be 0 or 1, not {value}")
        if option == TCP_FASTOPEN_CONNECT and not self._options.stack_config.fast_open & FAST_OPEN_CLIENT:
            raise failure(errno.EOPNOTSUPP)
        if value < 0 or self.state not in ({State.CLOSED} if option == TCP_FASTOPEN_CONNECT else {State.CLOSED, State.LISTEN}):
            raise InvalidArgument("the option cannot be set to that, or not any more")
        match option:
            case _ if option == TCP_FASTOPEN:
                self._options.fast_open = min(value, self._options.config.somaxconn)
                if self._listener is not None:
                    self._listener.fast_open.limit = self._options.fast_open
            case _ if option == TCP_FASTOPEN_CONNECT:
                self._options.fast_open_connect = value != 0
            case _:
                self._configure(replace(self._options.config, fast_open_no_cookie=value != 0))

    def _configure(self, config: StackConfig) -> None:
        self._options.config = config
        if self._listener is not None:
            self._listener.config = self._options.for_connections()

    def _get_fast_open(self, option: int) -> bytes:
        """The value as the kernel would copy it out."""
        match option:
            case _ if option == TCP_FASTOPEN_KEY:
                own = self._options.config.fast_open_key
                return own if own is not None and own != self._options.stack_config.fast_open_key else b""  # never the host's
            case _ if option == TCP_FASTOPEN:
                return INT.pack(self._options.fast_open)
            case _ if option == TCP_FASTOPEN_CONNECT:
                return INT.pack(self._options.fast_open_connect)
            case _:
                return INT.pack(self._options.config.fast_open_no_cookie)


def is_fast_open(level: int, option: int) -> bool:
    """The option is one of these four."""
    return level == socket.IPPROTO_TCP and option in OPTIONS
