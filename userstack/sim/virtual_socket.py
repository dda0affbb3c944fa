"""A non-blocking BSD stream socket over the sans-I/O host, errno for errno what Linux's sockets give.

Law: every call is judged by two states at once, as in the kernel: the socket's own ``Phase`` and TCP's state. What no call has
reported yet of a connection that died waits as the pending error (SO_ERROR), and whoever asks first takes it away.
"""

import errno
import operator
import socket
from dataclasses import replace
from enum import Enum, auto

from userstack.address import Endpoint, is_unspecified
from userstack.counters import Counters
from userstack.errors import (
    AlreadyConnected,
    BrokenPipe,
    ConnectionAborted,
    ConnectionReset,
    InvalidArgument,
    NotConnected,
)
from userstack.net.listener import Listener
from userstack.net.ports import Binding
from userstack.sim.engine import Engine
from userstack.sim.naming import Naming
from userstack.sim.opening import MSG_FASTOPEN, OpeningCalls, is_fast_open
from userstack.sim.raw_info import raw_info
from userstack.sim.readiness import connection_events, listener_events
from userstack.sim.receiving import check_arguments, read_out_of_band
from userstack.sim.sockaddr import SocketAddress, SocketName, buffer_of, failure, parse_address, room_in, would_block
from userstack.sim.socket_options import SocketOptions, pack_value, shape_value
from userstack.sim.socket_values import INT, int_of
from userstack.sim.soft_errors import take_soft_error
from userstack.sim.user_timeouts import UserTimeouts
from userstack.tcp.connection import Connection
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.state import CAN_SEND, State
from userstack.wire.ip import Buffer

DEFAULT_BACKLOG = 128
RD, WR = 1, 2
HANDSHAKE = frozenset({State.SYN_SENT, State.SYN_RECEIVED})


class Phase(Enum):
    """Where the socket stands, whatever TCP does below it (Linux ``sock->state``)."""

    UNCONNECTED = auto()
    CONNECTING = auto()
    CONNECTED = auto()
    DISCONNECTING = auto()


class VirtualSocket(OpeningCalls, UserTimeouts):
    """One stream socket of a ``VirtualHost``. No call waits: what cannot be done now raises ``BlockingIOError``."""

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

    # --- opening ---

    def bind(self, address: SocketName | tuple[str, int, int]) -> None:
        """Take a local address and port; host ``""`` is every address, port 0 an ephemeral one.

        Raises:
            OSError: EINVAL: bound already, or a link-local address without its link; EADDRNOTAVAIL: not this host's address;
                EADDRINUSE: the port is taken; ENODEV: no such link.
        """
        local = parse_address(address, "bind", self._naming.family)
        self._check_open()
        if self._naming.family == socket.AF_INET:
            self._engine.require_own(local.endpoint.address)  # As in Linux, who asks this of IPv6 last.
        if self._has_port:
            raise InvalidArgument("the socket is bound already")
        self._naming.judge_local(local, v6only=self._options.v6only)
        self._take_port(local.endpoint)
        self._naming.lock(local.endpoint)
        if len(local.endpoint.address) == 16 and not is_unspecified(local.endpoint.address):
            self._options.v6only = True  # As in Linux: a socket with an IPv6 address can speak nothing else any more.

    def listen(self, backlog: int = DEFAULT_BACKLOG) -> None:
        """Let connections come; a second call only changes the backlog.

        Raises:
            OSError: EINVAL: the socket is or was connected; EADDRINUSE: another one listens there.
        """
        backlog = max(operator.index(backlog), 0)
        self._check_open()
        if self._phase is not Phase.UNCONNECTED:
            raise InvalidArgument("a connected socket cannot listen")
        if self._listener is not None:
            self._listener.set_backlog(backlog)
            return
        binding = self._binding or self._take_port(self._naming.locked)
        config = self._options.for_connections()
        fast_open = self._options.fast_open
        self._listener = self._engine.core.listen(binding, backlog=backlog, now=self._now, config=config, fast_open=fast_open)
        self._listener.md5_keys = self._options.md5_keys
        self._options.fast_open = self._listener.fast_open.limit
        self._binding = None

    def accept(self) -> tuple["VirtualSocket", SocketName]:
        """The oldest connection that was established, and its peer's address.

        Raises:
            OSError: EINVAL: not listening; EAGAIN: none is there.
        """
        self._check_open()
        if self._listener is None:
            raise InvalidArgument("the socket does not listen")
        connection = self._listener.accept()
        if connection is None:
            raise would_block()
        assert connection.remote is not None
        accepted = VirtualSocket(self._engine, self._naming.family)
        accepted._options = self._options.for_accepted(connection)
        accepted._naming.inherit(self._naming, connection.remote)
        accepted._adopt(connection)
        accepted._phase = Phase.CONNECTED
        self._engine.flush()
        return accepted, accepted._naming.format(connection.remote)

    def _connect(self, address: SocketName | tuple[str, int, int], fast_open: memoryview | None, *, deferred: bool = False) -> None:
        remote = parse_address(address, "connect", self._naming.family)
        self._check_open()
        match self._phase:
            case Phase.CONNECTED:
                raise AlreadyConnected
            case Phase.DISCONNECTING:
                raise InvalidArgument("the socket was shut down while it connected")
            case Phase.UNCONNECTED:
                self._begin_connecting(remote, fast_open, deferred=deferred)
            case Phase.CONNECTING if self._is_deferred:
                raise AlreadyConnected
            case Phase.CONNECTING:
                self._finish_connecting()

    def _begin_connecting(self, address: SocketAddress, fast_open: memoryview | None, *, deferred: bool) -> None:
        if self._listener is not None:
            raise AlreadyConnected("a listening socket cannot connect")
        address = self._resolve(address)
        self._naming.judge_remote(address, v6only=self._options.v6only)
        remote = address.endpoint
        if self._binding is None and not self._naming.is_unbound:
            self._take_port(self._naming.locked)
        config = self._options.for_connections()
        connection = self._engine.core.connect(
            remote, binding=self._binding, now=self._now, config=config, fast_open=fast_open, deferred=deferred
        )
        self._binding = None
        self._adopt(connection)
        self._phase = Phase.CONNECTING
        self._touch(connection)
        if not self._is_deferred:
            raise would_block(errno.EINPROGRESS)

    def _resolve(self, address: SocketAddress) -> SocketAddress:
        """The unspecified address means this host (RFC 1122 3.2.1.3 (a)); of a socket that is bound to IPv4 so does ::."""
        remote, local = address.endpoint, self._naming.local.address
        if not is_unspecified(remote.address):
            return address
        if len(local) < len(remote.address):
            remote = Endpoint(bytes(len(local)), remote.port)
        same = len(local) == len(remote.address) and not is_unspecified(local)
        return SocketAddress(Endpoint(local if same else self._engine.this_host(remote.address), remote.port), address.scope)

    def _finish_connecting(self) -> None:
        if self._tcp in HANDSHAKE:
            raise would_block(errno.EALREADY)
        if self._tcp is State.CLOSED:
            error = self._take_error() or ConnectionAborted()
            self._disconnect()
            raise error
        self._phase = Phase.CONNECTED

    # --- transfer ---

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Queue octets for sending; how many were taken. MSG_MORE says that others follow, MSG_OOB that they are urgent.

        Raises:
            OSError: EAGAIN: no room, or not connected yet; what killed the connection, once; EPIPE: nothing can be sent any more;
                EOPNOTSUPP: another flag.
        """
        view = buffer_of(data)
        if flags & MSG_FASTOPEN:
            return self.sendto(view, flags, None)
        if flags & ~(socket.MSG_MORE | socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT | socket.MSG_OOB):
            raise failure(errno.EOPNOTSUPP)
        self._check_open()
        connection = self._connection
        if self._is_deferred:
            return self._send_deferred(view)
        early = connection is not None and connection.tcb.early
        if self._tcp in HANDSHAKE and not early:
            raise would_block()
        error = self._take_error()
        if error is not None:
            raise error
        if connection is None or not (early or self._tcp in CAN_SEND) or self._shut & WR:
            raise BrokenPipe
        if not len(view):
            return 0
        more, urgent = flags & socket.MSG_MORE != 0, flags & socket.MSG_OOB != 0
        taken = connection.send(view, now=self._engine.now, more=more, urgent=urgent)
        self._touch(connection)
        return taken

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to ``size`` octets in order; ``b""`` at the end of the stream. With MSG_PEEK they can be read again.

        With MSG_OOB the last octet of urgent data, which without SO_OOBINLINE no other read gives.

        Raises:
            OSError: EAGAIN: nothing is there yet; ENOTCONN: not connected; what killed it, once; EOPNOTSUPP: another flag;
                EINVAL: there is no urgent octet to read.
        """
        size = check_arguments(size, flags)
        if not size:
            return b""
        self._check_open()
        connection, data = self._connection, b""
        if flags & socket.MSG_OOB and self._listener is None:
            return read_out_of_band(connection, flags, shut=self._shut & RD != 0)
        if connection is not None:
            data = connection.peek(size) if flags else connection.read(size, now=self._engine.now)
            self._touch(connection)
        if not data:
            self._check_end()
        return data

    def sockatmark(self) -> bool:
        """The next octet to read is the last one of urgent data (SIOCATMARK)."""
        self._check_open()
        return self._connection is not None and self._connection.at_mark

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0) -> int:
        """``recv`` into the caller's own buffer; how many octets came."""
        room = room_in(buffer, nbytes)
        data = self.recv(len(room))
        room[: len(data)] = data
        return len(data)

    def _check_end(self) -> None:
        """Nothing waits to be read: return where that is the end of the stream, else say why (tcp_recvmsg in Linux)."""
        connection = self._connection
        if connection is not None and connection.fin_received:
            return
        error = self._take_error() if self._listener is None else None
        if error is not None:
            raise error
        if self._listener is not None or (connection is None and not self._shut & RD):
            raise NotConnected
        if not self._shut & RD and self._tcp is not State.CLOSED:
            raise would_block()

    # --- ending ---

    def shutdown(self, how: int) -> None:
        """Close one direction or both: SHUT_RD, SHUT_WR, SHUT_RDWR.

        Raises:
            OSError: EINVAL: no such direction; ENOTCONN: there is no connection.
        """
        ways = operator.index(how) + 1
        self._check_open()
        if ways not in (RD, WR, RD | WR):
            raise InvalidArgument(f"shutdown takes SHUT_RD, SHUT_WR or SHUT_RDWR, not {how}")
        if self._phase is Phase.CONNECTING:
            self._phase = Phase.DISCONNECTING if self._tcp in HANDSHAKE or self._tcp is State.CLOSED else Phase.CONNECTED
        if self._listener is not None:
            if ways & RD:
                self._stop_listening()
        elif self._tcp is State.SYN_SENT:
            self._give_up_connecting()
        else:
            self._shut_down(ways)

    def close(self) -> None:
        """Give the socket back. Data not yet sent still goes out; unread data, or SO_LINGER with 0 seconds, makes it a reset.

        With a time SO_LINGER would let the kernel's call wait; here no call does, and ``state`` tells how far the connection is.
        """
        if not self._open:
            return
        self._open = False
        if self._listener is not None:
            self._stop_listening()
        connection = self._connection
        if connection is not None:
            if self._options.resets_on_close and self._tcp is not State.CLOSED:
                connection.abort(now=self._engine.now)
            else:
                connection.release(now=self._engine.now)
            self._touch(connection)
        if self._binding is not None:
            self._engine.core.unbind(self._binding)

    def _shut_down(self, ways: int) -> None:
        self._shut |= ways
        connection = self._connection
        if connection is None or self._tcp is State.CLOSED:
            raise NotConnected
        if ways & RD:
            connection.stop_reading()
        if ways & WR and (self._tcp in CAN_SEND or self._tcp is State.SYN_RECEIVED):
            connection.close(now=self._engine.now)
            self._touch(connection)

    def _give_up_connecting(self) -> None:
        """Linux disconnects a socket that is shut down in SYN-SENT, and leaves ECONNRESET for whoever asks."""
        connection = self._connection
        assert connection is not None
        connection.abort(now=self._engine.now)
        self._touch(connection)
        self._disconnect()
        self._pending = ConnectionReset()

    def _stop_listening(self) -> None:
        assert self._listener is not None
        self._listener.close(now=self._engine.now)
        self._listener = None
        self._engine.flush()

    # --- names, options, state ---

    def getsockname(self) -> SocketName:
        """The local address and port, of an IPv6 socket flow label and scope too; ``("0.0.0.0", 0)`` before there is one."""
        self._check_open()
        return self._naming.format(self._naming.local)

    def getpeername(self) -> SocketName:
        """The remote address and port, of an IPv6 socket flow label and scope too.

        Raises:
            OSError: ENOTCONN: there is no connection, or not yet, or no more.
        """
        self._check_open()
        connection = self._connection
        if connection is None or connection.remote is None or self._tcp in {State.CLOSED, State.SYN_SENT}:
            raise NotConnected
        return self._naming.format(connection.remote)

    def setsockopt(self, level: int, option: int, value: int | Buffer) -> None:
        """Set an option; ENOPROTOOPT for what is not there."""
        raw = pack_value(value)
        self._check_open()
        if (level, option) == (socket.IPPROTO_TCP, socket.TCP_QUICKACK):
            self._set_quickack(bool(int_of(raw) & 1))
            return
        if is_fast_open(level, option):
            self._set_fast_open(option, raw)
            return
        self._options.set(level, option, raw, bound=self._has_port)
        self._apply_options()

    def _apply_options(self) -> None:
        if self._listener is not None:
            self._listener.config = self._options.for_connections()
            self._listener.rekey()
        if self._connection is not None:
            self._options.apply(self._connection)
            self._touch(self._connection)

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> int | bytes:
        """Read an option, as an int or, with ``buflen``, as at most that many octets. Reading SO_ERROR clears it."""
        self._check_open()
        return shape_value(self._read_option(level, option), buflen)

    def poll(self) -> int:
        """Tell the events of ``poll`` that hold now, asked for or not, by Linux's numbers."""
        self._check_open()
        if self._listener is not None:
            return listener_events(self._listener)
        return connection_events(self._connection, self._tcp, self._shut, failed=self._has_error())

    def queued(self) -> tuple[int, int]:
        """Octets that wait to be read (SIOCINQ), and octets written that the peer has not acknowledged, a FIN as one (SIOCOUTQ).

        Raises:
            OSError: EINVAL: the socket listens.
        """
        self._check_open()
        if self._listener is not None:
            raise InvalidArgument("a listening socket has nothing queued")
        info = self.info()
        if self._connection is None or self._tcp in HANDSHAKE:
            return 0, 0
        return self._connection.unread, info.unacked + info.unsent

    @property
    def state(self) -> State:
        """The state of RFC 9293 3.3.2; after close() still that of the connection."""
        if self._listener is not None:
            return State.LISTEN
        return State.CLOSED if self._connection is None else self._connection.state

    def info(self) -> ConnectionInfo:
        """What TCP_INFO would tell; of a socket without a connection, what one would begin with."""
        if self._connection is not None:
            return self._connection.info(now=self._engine.now)
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

    def _maxseg(self) -> int:
        """TCP_MAXSEG: what is sent at most, or, as long as nobody is connected, what was set."""
        wish = self._options.config.max_segment
        return wish if wish is not None and self.state in {State.CLOSED, State.LISTEN} else self.info().snd_mss

    def _set_quickack(self, value: bool) -> None:
        if self._connection is not None:
            self._connection.quickack = value
            self._touch(self._connection)

    def _read_option(self, level: int, option: int) -> bytes:
        """An option's octets: what asks for the connection is answered here, the rest by the options themselves."""
        match (level, option):
            case (socket.SOL_SOCKET, socket.SO_ERROR):
                error = self._take_error() or take_soft_error(self._connection)
                return INT.pack(0 if error is None else error.errno)
            case (socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return INT.pack(self._listener is not None)
            case (socket.IPPROTO_TCP, socket.TCP_MAXSEG):
                return INT.pack(self._maxseg())
            case (socket.IPPROTO_TCP, socket.TCP_INFO):
                return raw_info(self.info(), self._listener)
            case (socket.IPPROTO_TCP, socket.TCP_QUICKACK):
                return INT.pack(self._connection is None or self._connection.quickack)
            case _ if is_fast_open(level, option):
                return self._get_fast_open(option)
            case _:
                return self._options.get(level, option, self._connection, now=self._engine.now)
