"""A non-blocking BSD stream socket over the sans-I/O host, errno for errno what Linux's sockets give."""

import operator

from userstack.errors import ConnectionReset, InvalidArgument, NotConnected
from userstack.sim.option_calls import OptionCalls
from userstack.sim.readiness import connection_events, listener_events
from userstack.sim.sockaddr import SocketName
from userstack.sim.socket_state import HANDSHAKE, RD, WR, Phase
from userstack.sim.transfer import TransferCalls
from userstack.tcp.state import CAN_SEND, State


class VirtualSocket(TransferCalls, OptionCalls):
    """One stream socket of a ``VirtualHost``. No call waits: what cannot be done now raises ``BlockingIOError``."""

    __slots__ = ()

    # --- names and events ---

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
                connection.abort(now=self._now)
            else:
                connection.release(now=self._now)
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
            connection.close(now=self._now)
            self._touch(connection)

    def _give_up_connecting(self) -> None:
        """Linux disconnects a socket that is shut down in SYN-SENT, and leaves ECONNRESET for whoever asks."""
        connection = self._connection
        assert connection is not None
        connection.abort(now=self._now)
        self._touch(connection)
        self._disconnect()
        self._pending = ConnectionReset()

    def _stop_listening(self) -> None:
        assert self._listener is not None
        self._listener.close(now=self._now)
        self._listener = None
        self._engine.flush()
