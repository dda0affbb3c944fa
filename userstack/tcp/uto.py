"""The User Timeout Option of one connection (RFC 5482): what this end advertises, and what it adopts of the peer's.

Off unless asked for, as no kernel has it. Times are in ns; ``None`` is no time that was set.
"""

from collections.abc import Iterable
from typing import Final

from userstack.config import FOREVER, SECOND, StackConfig
from userstack.errors import InvalidArgument
from userstack.wire.encodable import option_octets
from userstack.wire.tcp import EOL, Option

USER_TIMEOUT: Final = 28
"""The kind of the option."""
OPTION_OCTETS: Final = 4

_MINUTE: Final = 60 * SECOND
_MINUTES: Final = 0x8000
"""G, the granularity bit."""
_MOST: Final = 0x7FFF


class UserTimeoutOption:
    """ENABLED, CHANGEABLE, ADV_UTO and what has come of them."""

    __slots__ = ("_advertised", "_config", "adopted", "changeable", "due", "enabled", "remote")

    def __init__(self, config: StackConfig) -> None:
        self._config = config
        self.enabled = config.uto
        self.changeable = config.uto_changeable
        self._advertised = config.uto_advertise
        self.adopted: int | None = None
        """USER_TIMEOUT, where the peer's option has changed it."""
        self.remote: int | None = None
        """REMOTE_UTO: the last that came; for the application to see where it is not adopted (3.1)."""
        self.due = False
        """The next segment carries the option."""

    def advertised(self, user_timeout: int | None) -> int:
        """ADV_UTO: what was set for it, else the user timeout of the connection, else that of the system."""
        chosen = user_timeout if self._advertised is None else self._advertised
        return self._config.r2 if chosen is None else chosen

    def set(self, *, enabled: bool, advertise: int | None, changeable: bool) -> None:
        """The application has chosen; what it advertises goes out with the next segment (3)."""
        self.enabled, self._advertised, self.changeable = enabled, advertise, changeable
        self.due = enabled
        if not (enabled and changeable):
            self.adopted = None

    def user_timeout_set(self) -> None:
        """The application has set USER_TIMEOUT itself: "CHANGEABLE MUST become false", and the peer is told (3)."""
        self.changeable = False
        self.adopted = None
        self.due = self.enabled

    def arrived(self, options: Iterable[Option], *, user_timeout: int | None, rto: int) -> bool:
        """What a segment says; True: the user timeout of the connection has changed by it (3.1)."""
        if not self.enabled:
            return False
        remote = next((value for kind, data in options if kind == USER_TIMEOUT and (value := read(data))), None)
        if remote is None:
            return False
        self.remote = remote
        if not self.changeable:
            return False
        config = self._config
        lower = max(config.uto_lower, rto + config.clock_granularity)  # "L_LIMIT MUST be larger than the current RTO"
        adopted = min(config.uto_upper, max(self.advertised(user_timeout), remote, lower))
        changed = adopted != self.adopted
        self.adopted = adopted
        return changed

    def write(self, user_timeout: int | None) -> Option:
        """The option, for a segment that is going out now."""
        self.due = False
        return Option(USER_TIMEOUT, write(self.advertised(user_timeout)))


OFF: Final = UserTimeoutOption(StackConfig())
"""That of every connection which takes no part in it."""


def nanoseconds(seconds: float | None) -> int | None:
    """A user timeout of a program's, in ns; infinity is ``FOREVER``.

    Raises:
        InvalidArgument: it is not above 0.
    """
    if seconds is None:
        return None
    if not seconds > 0:
        raise InvalidArgument(f"a user timeout is a number of seconds above 0, or None, not {seconds}")
    return min(round(min(seconds, FOREVER) * SECOND), FOREVER)


def read(data: bytes) -> int | None:
    """The time that an option names, in ns; None where its length is wrong or its value is the reserved 0 (3.4)."""
    if len(data) != OPTION_OCTETS - 2:
        return None
    field = int.from_bytes(data, "big")
    return (field & _MOST) * (_MINUTE if field & _MINUTES else SECOND) or None


def write(time: int) -> bytes:
    """The octets of the option for ``time`` ns: in seconds where 15 bits hold them, else in minutes, rounded up, at least 1."""
    seconds = max(-(-time // SECOND), 1)
    if seconds <= _MOST:
        return seconds.to_bytes(2, "big")
    return (_MINUTES | min(-(-time // _MINUTE), _MOST)).to_bytes(2, "big")


def added(options: tuple[Option, ...], option: Option, room: int) -> tuple[Option, ...]:
    """``options`` of a SYN with the option behind them, unless that would be more than ``room`` octets (RFC 5482 3)."""
    fits = option_octets(options) + OPTION_OCTETS <= room
    return (*options, option) if fits and not any(kind == EOL for kind, _ in options) else options
