"""What a sender with something to send waits for, and how long in all: the network, the peer's window, or its own send buffer.

The names are those of Linux (``tcpi_busy_time``, ``tcpi_rwnd_limited``, ``tcpi_sndbuf_limited``); the idea is that of RFC 4898, 3.2
(tcpEStatsPerfSndLim...). One of them runs at a time, and each begins where the one before it ends.
"""

from typing import Final

IDLE: Final = 0
BUSY: Final = 1
RWND_LIMITED: Final = 2
SNDBUF_LIMITED: Final = 3


class Chronograph:
    """Where the time of one connection's sender went. In ns."""

    __slots__ = ("_busy", "_rwnd_limited", "_since", "_sndbuf_limited", "_why")

    def __init__(self) -> None:
        self._why = IDLE
        self._since = self._busy = self._rwnd_limited = self._sndbuf_limited = 0

    def switch(self, why: int, now: int) -> None:
        """From now on it waits for ``why``."""
        if why == self._why:
            return
        if self._why == BUSY:
            self._busy += now - self._since
        elif self._why == RWND_LIMITED:
            self._rwnd_limited += now - self._since
        elif self._why == SNDBUF_LIMITED:
            self._sndbuf_limited += now - self._since
        self._why, self._since = why, now

    def spent(self, why: int, now: int) -> int:
        """How long it has waited for that, up to now; ``IDLE`` is not measured."""
        before = (0, self._busy, self._rwnd_limited, self._sndbuf_limited)[why]
        return before + (now - self._since if why == self._why else 0)

    def busy(self, now: int) -> int:
        """How long there was something to send, or not acknowledged, whatever it waited for."""
        return sum(self.spent(why, now) for why in (BUSY, RWND_LIMITED, SNDBUF_LIMITED))


NEVER_BUSY: Final = Chronograph()
"""That of every connection which has had nothing to send; see ``first_text``."""
