"""What a socket is made of, and what every call asks of it first.

Law: every call is judged by two states at once, as in the kernel: the socket's own ``Phase`` and TCP's state. What no call has
reported yet of a connection that died waits as the pending error (SO_ERROR), and whoever asks first takes it away.
"""

import errno
import socket
from dataclasses import replace
from enum import Enum, auto

from userstack.address import Endpoint
from userstack.counters import Counters
from userstack.net.listener import Listener
from userstack.net.ports import Binding
from userstack.sim.engine import Engine
from userstack.sim.naming import Naming
from userstack.sim.sockaddr import failure
from userstack.sim.socket_options import SocketOptions
from userstack.tcp.connection import Connection
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.state import State

RD, WR = 1, 2
HANDSHAKE = frozenset({State.SYN_SENT, State.SYN_RECEIVED})


class Phase(Enum):
    """Where the socket stands, whatever TCP does below it (Linux ``sock->state``)."""

    UNCONNECTED = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    DISCONNECTING = auto()


class SocketState:
    """One stream socket, without the calls that change it."""

    __slots__ = (
        "_binding",
        "_connection",
        "_engine",
        "_listener",
        "_naming",
        "_open",
        "_options",
        "_pending",
        "_phase",
        "_reported",
        "_shut",
    )

    def __init__(self, engine: Engine, family: int) -> None:
        if family not in (socket.AF_INET, socket.AF_INET6):
            raise failure(errno.EAFNOSUPPORT)
        self._engine = engine
        self._options = SocketOptions(engine.core.config, family)
        self._naming = Naming(family)
        self._open = True
        self._phase = Phase.UNCONNECTED
        self._shut = 0
        """RD and WR, as far as shutdown() came."""
        self._binding: Binding | None = None
        self._listener: Listener | None = None
        self._connection: Connection | None = None
        self._pending: OSError | None = None
        self._reported = False
        """The connection's error has become the pending error already."""

    @property
    def state(self) -> State:
        """The state of RFC 9293 3.3.2; after close() still that of the connection."""
        if self._listener is not None:
            return State.LISTEN
        return State.CLOSED if self._connection is None else self._connection.state

    def info(self) -> ConnectionInfo:
        """What TCP_INFO would tell; of a socket without a connection, what one would begin with."""
        if self._connection is not None:
            return self._connection.info(now=self._now)
        # As in Linux its MSS is IPv4's, whatever its family.
        fresh = Connection(Endpoint(bytes(4), 0), config=self._options.config, isn=lambda *_: 0, counters=Counters())
        return replace(fresh.info(), state=self.state, local=self._naming.local)

    # --- inside ---

    @property
    def _tcp(self) -> State:
        """TCP's state as the kernel's socket sees it: one in TIME-WAIT is closed, a record of its own waits out the 2 MSL."""
        return State.CLOSED if self.state is State.TIME_WAIT else self.state

    @property
    def _now(self) -> int:
        return self._engine.now

    @property
    def _has_port(self) -> bool:
        """A port is the socket's: bind() took it, or a connection that lives (Linux ``inet_num``)."""
        return self._tcp is not State.CLOSED or self._binding is not None or self._naming.port_locked

    @property
    def _is_deferred(self) -> bool:
        """TCP_FASTOPEN_CONNECT: ``connect`` has returned, and the SYN waits for what is written first."""
        return self._connection is not None and self.state is State.SYN_SENT and self._connection.tcb.fast_open.deferred

    def _check_open(self) -> None:
        if not self._open:
            raise failure(errno.EBADF)

    def _touch(self, connection: Connection) -> None:
        self._engine.core.touch(connection)
        self._engine.flush()

    def _adopt(self, connection: Connection) -> None:
        self._connection = connection
        self._reported = False
        self._naming.local = connection.local
        self._options.apply(connection)

    def _take_port(self, local: Endpoint) -> Binding:
        options = self._options
        self._binding = self._engine.core.bind(local, reuse_address=options.reuse_address, v6only=options.v6only)
        self._naming.local = self._binding.local
        return self._binding

    def _disconnect(self) -> None:
        """Be a fresh socket again, but for what bind() had named."""
        self._connection = None
        self._phase = Phase.UNCONNECTED
        self._shut = 0
        self._naming.forget_address()

    def _has_error(self) -> bool:
        """An error is pending."""
        connection = self._connection
        return self._pending is not None or (connection is not None and connection.error is not None and not self._reported)

    def _take_error(self) -> OSError | None:
        """The pending error, which is then no more pending."""
        connection = self._connection
        if connection is not None and connection.error is not None and not self._reported:
            self._pending = connection.error
            self._reported = True
        error, self._pending = self._pending, None
        return error
