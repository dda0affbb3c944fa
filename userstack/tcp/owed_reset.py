"""Resets that have to go out: processing promises them, ``output`` sends them, before anything else and in their order."""

from typing import Final, NamedTuple

from userstack.counters import Counters

_LIMIT: Final = 16
"""Resets owed at once: a batch of bad segments needs no more, and TcpExtTCPRstQDrop shows when it had more."""


class OwedReset(NamedTuple):
    """A RST that has to go out."""

    port: int | None
    """Where to; None for the remote socket's."""
    seq: int
    ack: int | None
    """None: without the ACK bit."""
    timestamps: tuple[int, int] | None
    """TSval and TSecr; None: without the option."""
    window: int = 0
    """As the field has it."""


class OwedResets:
    """Those of one connection; true while there are any."""

    __slots__ = ("_counters", "_owed")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._owed: list[OwedReset] = []

    def __bool__(self) -> bool:
        return bool(self._owed)

    def owe(self, reset: OwedReset) -> None:
        """Add one, unless there are too many already."""
        if len(self._owed) < _LIMIT:
            self._owed.append(reset)
        else:
            self._counters.add("TcpExtTCPRstQDrop")

    def take(self) -> OwedReset:
        """The next one, which is thereby paid."""
        return self._owed.pop(0)
