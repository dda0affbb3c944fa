"""Busy polling (SO_BUSY_POLL of socket(7)): where packets come in close succession, the loop looks for the next before it sleeps.

A processor that sleeps takes longer to wake than a segment takes to be answered. Nothing has to wait for it: each look is a turn of
the loop, in which everything else that is ready has its own.
"""

import asyncio

from userstack.config import MICROSECOND
from userstack.runtime.clock import MonotonicClock

BUSY_POLL = 50 * MICROSECOND
"""How long to look for the next packet; what the kernel's documentation recommends for net.core.busy_poll."""
CLOSE = 4 * BUSY_POLL
"""Packets not further apart are in close succession: a peer that answers at once, and the waking of both ends."""


class BusyPoll:
    """Keeps a loop awake.

    Args:
        loop: which watches the device.
    """

    __slots__ = ("_handle", "_last", "_loop", "_now", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._now = MonotonicClock.now  # whatever the stack's time is: the processor's is what counts
        self._last = self._until = self._now() - CLOSE
        self._handle: asyncio.Handle | None = None

    def extend(self) -> None:
        """Packets came, and were answered: look for more from now on where they came soon after those before."""
        now = self._now()
        if now - self._last < CLOSE:
            self._until = now + BUSY_POLL
            if self._handle is None:
                self._look()
        self._last = now

    def stop(self) -> None:
        """Let the loop sleep."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look(self) -> None:
        self._handle = self._loop.call_soon(self._look) if self._now() < self._until else None
