"""The one place that reads a clock. Law: a stack knows one monotonic time in nanoseconds, and it is handed in from here."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where a driver reads the time of its stack."""

    def now(self) -> int:
        """Nanoseconds that never go back; their zero means nothing."""
        ...


class MonotonicClock:
    """The machine's monotonic clock."""

    __slots__ = ()

    now = staticmethod(time.monotonic_ns)
    """Nanoseconds of ``CLOCK_MONOTONIC``: the function of C itself, for it is called several times a packet."""
