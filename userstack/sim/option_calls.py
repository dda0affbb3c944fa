"""``setsockopt`` and ``getsockopt`` of a socket, and its two calls for what no option of the kernel's has a number."""

import socket
from dataclasses import replace

from userstack.sim.fast_open_options import get_fast_open, is_fast_open, set_fast_open
from userstack.sim.raw_info import raw_info
from userstack.sim.socket_options import pack_value, shape_value
from userstack.sim.socket_state import SocketState
from userstack.sim.socket_values import INT, int_of
from userstack.sim.soft_errors import take_soft_error
from userstack.tcp.state import State
from userstack.tcp.uto import nanoseconds
from userstack.wire.ip import Buffer


class OptionCalls(SocketState):
    """What the options of a ``VirtualSocket`` are set and read with."""

    __slots__ = ()

    def setsockopt(self, level: int, option: int, value: int | Buffer) -> None:
        """Set an option; ENOPROTOOPT for what is not there."""
        raw = pack_value(value)
        self._check_open()
        if (level, option) == (socket.IPPROTO_TCP, socket.TCP_QUICKACK):
            self._set_quickack(bool(int_of(raw) & 1))
            return
        if is_fast_open(level, option):
            set_fast_open(self._options, option, raw, self.state)
            self._apply_to_listener()
            return
        self._options.set(level, option, raw, bound=self._has_port)
        self._apply_options()

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> int | bytes:
        """Read an option, as an int or, with ``buflen``, as at most that many octets. Reading SO_ERROR clears it."""
        self._check_open()
        return shape_value(self._read_option(level, option), buflen)

    def set_user_timeout(self, seconds: float | None) -> None:
        """Say how long something sent may stay unacknowledged: TCP_USER_TIMEOUT, with infinity for R2 without end (MUST-21).

        Raises:
            OSError: EINVAL: not above 0.
        """
        self._check_open()
        self._options.user_timeout = nanoseconds(seconds)
        self._apply_options()

    def set_user_timeout_option(self, *, enabled: bool = True, advertise: float | None = None, changeable: bool = True) -> None:
        """Say what the User Timeout Option of RFC 5482 does: ENABLED, ADV_UTO in seconds (None: the user timeout), CHANGEABLE.

        Before ``connect`` or ``listen`` it goes into the SYN too. ``info()`` tells what the peer has said and what came of it.

        Raises:
            OSError: EINVAL: not above 0.
        """
        self._check_open()
        time = nanoseconds(advertise)
        self._options.config = replace(self._options.config, uto=enabled, uto_advertise=time, uto_changeable=changeable)
        if self._connection is not None:
            self._connection.set_user_timeout_option(enabled=enabled, advertise=time, changeable=changeable)
        self._apply_options()

    # --- inside ---

    def _apply_options(self) -> None:
        """Hand the options on to the connection, or to those to come."""
        self._apply_to_listener()
        if self._connection is not None:
            self._options.apply(self._connection)
            self._touch(self._connection)

    def _apply_to_listener(self) -> None:
        if self._listener is not None:
            self._listener.config = self._options.for_connections()
            self._listener.fast_open.limit = self._options.fast_open
            self._listener.rekey()

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
                return get_fast_open(self._options, option)
            case _:
                return self._options.get(level, option, self._connection, now=self._now)

    def _maxseg(self) -> int:
        """TCP_MAXSEG: what is sent at most, or, as long as nobody is connected, what was set."""
        wish = self._options.config.max_segment
        return wish if wish is not None and self.state in {State.CLOSED, State.LISTEN} else self.info().snd_mss
