"""A connection as a program sees it: the kernel's stream socket with awaits. Law: what the kernel's socket raises, this raises.

Where a call has to wait it gives way to the event loop, and only there. A second task in the same call on the same connection is
refused (``Busy``): the bytes would go to either.
"""

import asyncio
import socket
import struct
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, overload

from userstack.address import format_address
from userstack.api import options
from userstack.api.errors import ClosedHandle
from userstack.api.guards import busy
from userstack.api.hangup import HangUp
from userstack.api.md5 import check_key
from userstack.api.names import SocketName, socket_name
from userstack.api.values import as_int, pack_linger, unpack_linger
from userstack.config import StackConfig
from userstack.errors import ConnectionAborted, InvalidArgument, NotConnected
from userstack.runtime.driver import Driver
from userstack.sim.raw_info import raw_info
from userstack.tcp import connection as tcp
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.report import Report
from userstack.tcp.state import CAN_RECEIVE_TEXT, CAN_SEND, State
from userstack.tcp.uto import nanoseconds
from userstack.wire.ip import Buffer

SHUT_RD = socket.SHUT_RD
SHUT_WR = socket.SHUT_WR
SHUT_RDWR = socket.SHUT_RDWR

_MOST_ROOM = 1024
"""Bytes that ``getsockopt`` can be asked for, as of the kernel's sockets in Python."""
_FIN_ACKNOWLEDGED = frozenset({State.FIN_WAIT_2, State.TIME_WAIT, State.CLOSED})


class Connection:
    """One end of a TCP connection; made by ``Stack.connect`` and ``Listener.accept``. An async context manager.

    One that nobody holds any more is closed, with a ``ResourceWarning``, as the kernel's sockets are.

    Urgent data (RFC 9293 3.8.5) is for programs that speak old protocols; new ones should not use it (SHLD-13), for what lies
    between the ends may clear the mark. It comes in line, as RFC 6093 6 demands; with SO_OOBINLINE set to 0 its last byte is
    read by ``recv_urgent`` and by nothing else, which is where the kernel's sockets begin. ``recv`` stops before that byte
    either way; then ``sockatmark`` holds.

    Args:
        core: the connection of the sans-I/O host.
        driver: what moves its packets.
        ipv6: whether it is a socket of IPv6, which names IPv4 by mapped addresses.
        reuse_address: what SO_REUSEADDR reads.
        hang_up: of the stack, which ends it with all others.
    """

    __slots__ = (
        "__weakref__", "_awaiting_urgent", "_closed", "_core", "_driver", "_hang_up", "_ipv6", "_linger", "_reading_shut",
        "_receiving", "_reuse_address", "_sending", "_told_urgent",
    )  # fmt: skip

    def __init__(
        self,
        core: tcp.Connection,
        driver: Driver,
        *,
        ipv6: bool,
        reuse_address: bool = False,
        hang_up: HangUp,
    ) -> None:
        self._core = core
        self._driver = driver
        self._ipv6 = ipv6
        self._reuse_address = reuse_address
        self._hang_up = hang_up
        self._linger: float | None = None
        self._reading_shut = False
        self._closed: Callable[[], OSError] | None = None
        self._receiving = self._sending = self._awaiting_urgent = False
        """A task is in that call, and waits."""
        self._told_urgent = 0
        """The end of the urgent data that ``wait_urgent`` has told of."""

    @property
    def state(self) -> State:
        """The state of RFC 9293 3.3.2."""
        return self._core.state

    def info(self) -> ConnectionInfo:
        """What ``ss -ti`` shows of a connection (RFC 9293 3.10.6, STATUS); works in every state, after ``close`` too."""
        return self._core.info(now=self._driver.now())

    @property
    def source_route(self) -> tuple[str, ...]:
        """The routers that every packet passes, in their order: those that ``connect`` was given, or the way back (MUST-53)."""
        route = self._core.route
        return () if route is None else tuple(format_address(hop) for hop in route.hops)

    def reports(self) -> AsyncIterator[Report]:
        """What the connection survives (RFC 9293 3.9.1.8, MUST-47): soft ICMP errors, and that R1 was reached (SHLD-9).

        ``async for report in connection.reports()`` ends with the connection. Reports are kept from this call on, and until the
        iterator is closed; whoever does not call it is told nothing (SHLD-20), and finds the last error under SO_ERROR.
        """
        self._check_open()
        self._core.reports.want(True)
        return self._tell_reports()

    async def _tell_reports(self) -> AsyncIterator[Report]:
        reports = self._core.reports
        try:
            while True:
                await self._driver.until(self._core, lambda: len(reports) > 0 or self._is_over)
                report = reports.take()
                if report is None:
                    return
                yield report
        finally:
            reports.want(False)

    @property
    def _is_over(self) -> bool:
        return self._is_closed or self._core.state is State.CLOSED

    async def recv(self, limit: int = 65536) -> bytes:
        """Receive up to ``limit`` bytes, at least one; ``b""`` when the peer will send no more, and at once where ``limit`` is 0.

        Raises:
            ConnectionResetError: the peer reset the connection; told once, after what had arrived in order before.
            TimeoutError: the peer fell silent; told once.
            Busy: another task is receiving.
            ClosedHandle: this end was closed. ``ConnectionAborted``: it was aborted.
        """
        if limit < 0:
            raise InvalidArgument(f"recv wants a number of bytes from 0 up, not {limit}")
        if not limit:
            self._check_open()
            return b""
        if self._receiving:
            raise busy("recv of this connection")
        while self._closed is not None or self._hang_up.hung_up or not self._core.has_text:
            if self._has_something_to_say():
                if self._is_readable():
                    break
                return b""
            self._receiving = True
            try:
                # Not ``until``: here is where thousands of tasks wait.
                await self._driver.enter(self._core, Connection._has_something_to_say, self)
            finally:
                self._receiving = False
        owed = self._core.owes_ack
        data = self._core.receive(limit, now=self._driver.now())
        self._tell_window(owed)
        return data

    async def recv_into(self, buffer: bytearray | memoryview) -> int:
        """Receive into ``buffer``, as much as is there and fits. Returns the number of bytes; 0 when the peer will send no more.

        Raises:
            OSError: as ``recv``.
            TypeError: the buffer cannot be written.
        """
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError(f"recv_into wants a buffer that can be written, not {type(buffer).__name__}")
        if not view:
            self._check_open()
            return 0
        if self._receiving:
            raise busy("recv of this connection")
        if self._closed is not None or self._hang_up.hung_up or not self._core.has_text:
            self._receiving = True
            try:
                await self._driver.until(self._core, self._has_something_to_say)
            finally:
                self._receiving = False
            if not self._is_readable():
                return 0
        owed = self._core.owes_ack
        size = self._core.receive_into(view, now=self._driver.now())
        self._tell_window(owed)
        return size

    async def wait_urgent(self) -> int:
        """Wait until the peer announces urgent data, or more than was told of before (MUST-32). Returns ``urgent_remaining``.

        The bytes themselves may still be on their way, even held up by a window that is shut. 0: the peer will send no more.

        Raises:
            Busy: another task is waiting.
            ClosedHandle: this end was closed. ``ConnectionAborted``: it was aborted.
        """
        if self._awaiting_urgent:
            raise busy("wait_urgent of this connection")
        self._awaiting_urgent = True
        try:
            await self._driver.until(self._core, lambda: self._urgent_news() or self._is_closed)
        finally:
            self._awaiting_urgent = False
        self._check_open()
        self._told_urgent = self._core.urgent_end
        return self._core.urgent_remaining

    @property
    def urgent_remaining(self) -> int:
        """How many bytes of urgent data have not been read, be they here or on their way (MUST-33); 0: no more is known of."""
        return self._core.urgent_remaining

    def sockatmark(self) -> bool:
        """Whether the next byte is the last of urgent data (SIOCATMARK)."""
        self._check_open()
        return self._core.at_mark

    def recv_urgent(self) -> bytes:
        """Receive the last byte of urgent data where SO_OOBINLINE is 0 (``recv`` with MSG_OOB); ``b""``: it will never come.

        Raises:
            OSError: with EINVAL, there is none, it has been read or passed by, or it is in line.
            BlockingIOError: it was announced and is not here yet; as on the kernel's sockets there is no waiting for it.
            ClosedHandle: this end was closed. ``ConnectionAborted``: it was aborted.
        """
        self._check_open()
        return self._core.receive_urgent()

    async def send(self, data: Buffer, *, urgent: bool = False, more: bool = False) -> None:
        """Send all of ``data``; waits while the send buffer is full, that is while the peer or the network does not keep up.

        With ``urgent`` the data ends in an urgent byte (MSG_OOB): the peer is told at once that it has to read up to there.
        With ``more`` (MSG_MORE) another send follows, and what makes no full segment waits for it, for 200 ms at most.

        Returning means that the stack has the bytes, not that the peer has. As with asyncio's ``sock_sendall``, a send that is
        cancelled or fails has sent a part that cannot be known: what to do then is close or abort.

        Raises:
            ConnectionResetError: the peer reset the connection; told once, then it is a ``BrokenPipeError``.
            BrokenPipeError: this end has shut down sending, or the connection is gone.
            TimeoutError: what was sent before was not acknowledged in time; told once.
            NetworkError: the device is gone.
            Busy: another task is sending.
            ClosedHandle: this end was closed. ``ConnectionAborted``: it was aborted.
        """
        rest = memoryview(data).cast("B")
        if self._sending:
            raise busy("send of this connection")
        self._sending = True
        try:
            while True:
                if self._is_closed or not self._core.writable:
                    await self._driver.until(self._core, lambda: self._core.writable or self._is_closed)
                    self._check_open()
                self._driver.check()
                taken = self._core.send(rest, now=self._driver.now(), more=more, urgent=urgent)
                self._driver.touch(self._core)
                rest = rest[taken:]
                if not rest:
                    return
        finally:
            self._sending = False

    async def shutdown(self, how: int = SHUT_WR) -> None:
        """Close one direction or both, and keep the connection: ``SHUT_WR`` sends a FIN once what was sent before is through.

        After ``SHUT_RD`` a receive gives what has arrived, then ``b""``; as with the kernel's sockets, the peer is told nothing.

        Raises:
            OSError: with ENOTCONN, where there is no connection any more.
        """
        if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
            raise InvalidArgument(f"shutdown takes SHUT_RD, SHUT_WR or SHUT_RDWR, not {how}")
        self._check_open()
        self._check_connected()
        if how != SHUT_RD and (self._core.state in CAN_SEND or self._core.state is State.SYN_RECEIVED):  # by Fast Open
            self._core.close(now=self._driver.now())
            self._driver.touch(self._core)
        if how != SHUT_WR:
            self._reading_shut = True
            self._core.stop_reading()
            self._driver.wake(self._core)

    async def close(self) -> None:
        """Be through with the connection; may be called twice. The stack finishes it in the background: what was sent arrives.

        Unread data, or data that still comes, makes it a reset (RFC 2525 2.17). ``set_linger`` changes what close does.
        ``wait_closed`` afterwards waits for the end.
        """
        if self._is_closed:
            return
        self._end(lambda: ClosedHandle("this connection was closed"))
        if self._linger == 0:
            self._abort_core()
            return
        self._core.release(now=self._driver.now())
        self._driver.touch(self._core)
        if self._linger is not None:
            # As in Linux: when the time is over, or the device is gone, close returns all the same.
            with suppress(OSError):
                async with asyncio.timeout(self._linger):
                    await self._driver.until(self._core, lambda: self._core.state in _FIN_ACKNOWLEDGED)

    def abort(self) -> None:
        """Reset the connection at once (RFC 9293 3.10.5), also after ``close``; what was not yet sent is lost."""
        if not self._is_closed:
            self._end(lambda: ConnectionAborted("this connection was aborted"))
        self._abort_core()

    async def wait_closed(self) -> None:
        """Wait until the state is CLOSED: both FINs acknowledged and TIME-WAIT over, or the connection broken."""
        await self.wait_state()

    async def wait_state(self, *states: State) -> State:
        """Wait until the connection is in one of ``states`` or in CLOSED, which it never leaves. Returns the state.

        A state that it only passes through while one batch of packets is processed may go unseen.
        """
        await self._driver.until(self._core, lambda: self._core.state in states or self._core.state is State.CLOSED)
        return self._core.state

    def getsockname(self) -> SocketName:
        """This end's address and port; of an IPv6 socket flow label and scope too."""
        self._check_open()
        return socket_name(self._core.local, ipv6=self._ipv6)

    def getpeername(self) -> SocketName:
        """The peer's address and port; of an IPv6 socket flow label and scope too.

        Raises:
            OSError: with ENOTCONN where the connection is over, TIME-WAIT included, as with the kernel's sockets.
        """
        self._check_open()
        remote = self._core.remote
        if remote is None or self._core.state in (State.CLOSED, State.TIME_WAIT):
            raise NotConnected
        return socket_name(remote, ipv6=self._ipv6)

    def set_linger(self, seconds: float | None) -> None:
        """Say what ``close`` does (SO_LINGER). None: return at once, finish in the background (the default). 0: reset.

        Above 0: wait up to that time for the peer to acknowledge everything, the FIN included; then go on in the background.
        """
        if seconds is not None and not seconds >= 0:
            raise InvalidArgument(f"set_linger takes a number of seconds from 0 up, or None, not {seconds}")
        self._linger = seconds

    def set_md5_key(self, key: bytes | None) -> None:
        """Change what both ends sign every segment with from now on (RFC 2385); None: they do not.

        Until the peer does the same, neither end hears the other.

        Raises:
            InvalidArgument: the key has not 1 to 80 octets.
        """
        self._check_open()
        check_key(key)
        self._core.md5_key = key
        self._driver.touch(self._core)

    def set_user_timeout(self, seconds: float | None) -> None:
        """Say how long something sent may stay unacknowledged before the connection is given up (RFC 9293 3.8.3, MUST-21).

        None: ``StackConfig.r2``; infinity: for ever. TCP_USER_TIMEOUT is the same in milliseconds.

        Raises:
            OSError: with EINVAL where it is not above 0.
        """
        self._check_open()
        self._core.user_timeout = nanoseconds(seconds)
        self._driver.touch(self._core)

    def set_user_timeout_option(self, *, enabled: bool = True, advertise: float | None = None, changeable: bool = True) -> None:
        """Say what the User Timeout Option of RFC 5482 does: ENABLED, ADV_UTO in seconds (None: the user timeout), CHANGEABLE.

        The peer is told with the next segment; ``StackConfig.uto`` puts the option into SYNs too. ``info()`` tells what the peer
        has said and what came of it.

        Raises:
            OSError: with EINVAL where ``advertise`` is not above 0.
        """
        self._check_open()
        self._core.set_user_timeout_option(enabled=enabled, advertise=nanoseconds(advertise), changeable=changeable)
        self._driver.touch(self._core)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option as on the kernel's sockets, in its numbers and units.

        There are TCP_NODELAY, TCP_CORK, TCP_QUICKACK, TCP_USER_TIMEOUT (milliseconds), TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_LINGER2
        (seconds), TCP_KEEPCNT, SO_KEEPALIVE, SO_OOBINLINE, and SO_LINGER (a packed ``struct linger``).

        A connection over IPv4 has IP_TTL, IP_TOS, IP_MINTTL and IP_MTU_DISCOVER, one over IPv6 IPV6_UNICAST_HOPS, IPV6_TCLASS,
        IPV6_MINHOPCOUNT and IPV6_MTU_DISCOVER instead. IP_MTU and IPV6_MTU can be read.

        Raises:
            OSError: with ENOPROTOOPT for every other option; with EINVAL for a value that cannot be.
            TypeError: the value is neither an int nor bytes.
        """
        self._check_open()
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._linger = unpack_linger(value)
            return
        options.set_option(self._core, level, option, as_int(value), self._config)
        self._driver.touch(self._core)

    @overload
    def getsockopt(self, level: int, option: int) -> int: ...
    @overload
    def getsockopt(self, level: int, option: int, buflen: int) -> bytes: ...
    def getsockopt(self, level: int, option: int, buflen: int = 0) -> int | bytes:
        """Read an option, as an int or, with ``buflen``, as packed bytes.

        There are those that can be set, and SO_ERROR (reading clears it), SO_REUSEADDR, SO_SNDBUF, SO_RCVBUF, SO_TYPE, TCP_MAXSEG.
        TCP_INFO is Linux's ``struct tcp_info`` (see ``tcp.linux_info``), up to ``buflen`` bytes of it.

        Raises:
            OSError: with ENOPROTOOPT for every other option; with EINVAL where ``buflen`` is not 0 to 1024.
        """
        self._check_open()
        if not 0 <= buflen <= _MOST_ROOM:
            raise InvalidArgument(f"a value has room for 0 to {_MOST_ROOM} bytes, not for {buflen}")
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            return pack_linger(self._linger)[:buflen] if buflen else int(self._linger is not None)
        if (level, option) == (socket.IPPROTO_TCP, options.TCP_INFO):
            raw = raw_info(self.info())
            return raw[:buflen] if buflen else int.from_bytes(raw[:4], sys.byteorder)
        if (level, option) == (socket.SOL_SOCKET, socket.SO_REUSEADDR):
            value = int(self._reuse_address)
        elif (level, option) == (options.MTU_OF_IPV6 if len(self._core.local.address) == 16 else options.MTU_OF_IPV4):
            value = self._core.path_mtu(now=self._driver.now())
        else:
            value = options.get_option(self._core, level, option, self._config)
        return struct.pack("i", value)[:buflen] if buflen else value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Connection {self._core.local} {self._core.remote or '*'} {self._core.state}>"

    def __del__(self) -> None:
        if not self._is_closed and self._core.state is not State.CLOSED:
            self._driver.abandon(self._core)
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=1, source=self)

    @property
    def _config(self) -> StackConfig:
        return self._driver.host.config

    def _is_readable(self) -> bool:
        """False where reading was shut down and nothing is left."""
        self._check_open()
        return self._core.readable

    def _has_something_to_say(self) -> bool:
        return self._core.readable or self._reading_shut or self._is_closed

    def _tell_window(self, owed: bool) -> None:
        """What was read may have opened the window; nothing else follows from it. An ACK that was ``owed`` before is on its way."""
        if self._core.owes_ack and not owed:
            self._driver.touch(self._core)

    def _urgent_news(self) -> bool:
        core = self._core
        return (core.urgent_end > self._told_urgent and core.urgent_remaining > 0) or core.state not in CAN_RECEIVE_TEXT

    @property
    def _is_closed(self) -> bool:
        """By the program, or with its stack."""
        return self._closed is not None or self._hang_up.hung_up

    def _check_open(self) -> None:
        if self._closed is not None:
            raise self._closed()
        self._hang_up.check()

    def _check_connected(self) -> None:
        if self._core.state in (State.CLOSED, State.TIME_WAIT):
            raise NotConnected

    def _end(self, make_error: Callable[[], OSError]) -> None:
        self._closed = make_error
        self._driver.wake(self._core)

    def _abort_core(self) -> None:
        if self._core.state is not State.CLOSED:
            self._core.abort(now=self._driver.now())
            self._driver.touch(self._core)
