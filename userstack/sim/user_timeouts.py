"""How long a socket waits for its peer where no option of the kernel's has a number: R2 without end, and RFC 5482."""

from abc import ABC, abstractmethod
from dataclasses import replace

from userstack.sim.socket_options import SocketOptions
from userstack.tcp.connection import Connection
from userstack.tcp.uto import nanoseconds


class UserTimeouts(ABC):
    """Two calls of a socket."""

    __slots__ = ()
    _options: SocketOptions
    _connection: Connection | None

    @abstractmethod
    def _check_open(self) -> None:
        """Raise EBADF where the socket is closed."""

    @abstractmethod
    def _apply_options(self) -> None:
        """Hand the options on to the connection, or to those to come."""

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
