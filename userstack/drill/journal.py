"""What was seen while a script ran, for the message that says where it went wrong."""

from collections import deque
from collections.abc import Callable

from userstack.drill.outcome import Seen

_KEPT = 64
"""Entries: what a person reads back from a mismatch, and no more memory than that for a script of any length."""


class Journal:
    """The latest events. Their text is made when it is asked for: the script's numbers may be known only by then."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: deque[tuple[int, str, Callable[[], str]]] = deque(maxlen=_KEPT)

    def note(self, time: int, arrow: str, text: Callable[[], str]) -> None:
        """Something happened."""
        self._entries.append((time, arrow, text))

    def seen(self, script_time: Callable[[int], int]) -> tuple[Seen, ...]:
        """All that is kept, oldest first, at the script's times."""
        return tuple(Seen(script_time(time), arrow, text()) for time, arrow, text in self._entries)
