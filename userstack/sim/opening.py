"""The calls of a socket that open a connection: bind, listen, accept, connect, and what connect leaves to the first write.

With Fast Open (RFC 7413) the SYN carries data, so ``connect`` may wait until there is some, and a write may be what connects (Linux
``tcp_fastopen_defer_connect``, ``tcp_sendmsg_fastopen``).
"""

import errno
import operator
import socket
from typing import Self

from userstack.address import Endpoint, is_unspecified
from userstack.config import FAST_OPEN_CLIENT
from userstack.errors import AlreadyConnected, ConnectionAborted, InvalidArgument
from userstack.sim.sockaddr import SocketAddress, SocketName, failure, parse_address, would_block
from userstack.sim.socket_state import HANDSHAKE, Phase, SocketState
from userstack.tcp.state import State

DEFAULT_BACKLOG = 128
Name = SocketName | tuple[str, int, int]


class OpeningCalls(SocketState):
    """What a ``VirtualSocket`` opens with."""

    __slots__ = ()

    def bind(self, address: Name) -> None:
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

    def accept(self) -> tuple[Self, SocketName]:
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
        accepted = type(self)(self._engine, self._naming.family)
        accepted._options = self._options.for_accepted(connection)
        accepted._naming.inherit(self._naming, connection.remote)
        accepted._adopt(connection)
        accepted._phase = Phase.CONNECTED
        self._engine.flush()
        return accepted, accepted._naming.format(connection.remote)

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

    # --- inside ---

    def _connect(self, address: Name, fast_open: memoryview | None, *, deferred: bool = False) -> None:
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

    def _send_deferred(self, view: memoryview) -> int:
        """The first write: the SYN goes, with as much as it may carry."""
        connection = self._connection
        assert connection is not None
        taken = connection.send(view[: connection.tcb.fast_open.room], now=self._now)
        self._touch(connection)
        if not taken:
            raise would_block(errno.EINPROGRESS)
        return taken
