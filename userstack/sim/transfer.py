"""The calls of a socket that write and read, with the flags that Linux's have.

Law: errno for errno what Linux gives (``tcp_sendmsg``, ``tcp_recvmsg``).
"""

import errno
import socket
from collections.abc import Iterable
from typing import overload

from userstack.errors import BrokenPipe, InvalidArgument, NotConnected
from userstack.sim.opening import Name, OpeningCalls
from userstack.sim.receiving import check_arguments, read_out_of_band
from userstack.sim.sockaddr import buffer_of, failure, room_in, would_block
from userstack.sim.socket_state import HANDSHAKE, RD, WR
from userstack.tcp.state import CAN_SEND, State
from userstack.wire.ip import Buffer

MSG_FASTOPEN = 0x20000000
"""By Linux's number: Python's ``socket`` has it only where the C library does."""


class TransferCalls(OpeningCalls):
    """What a ``VirtualSocket`` writes and reads with; with MSG_FASTOPEN a write opens."""

    __slots__ = ()

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
        taken = connection.send(view, now=self._now, more=more, urgent=urgent)
        self._touch(connection)
        return taken

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
            data = connection.peek(size) if flags else connection.read(size, now=self._now)
            self._touch(connection)
        if not data:
            self._check_end()
        return data

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0) -> int:
        """``recv`` into the caller's own buffer; how many octets came."""
        room = room_in(buffer, nbytes)
        data = self.recv(len(room))
        room[: len(data)] = data
        return len(data)

    def sockatmark(self) -> bool:
        """The next octet to read is the last one of urgent data (SIOCATMARK)."""
        self._check_open()
        return self._connection is not None and self._connection.at_mark

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
