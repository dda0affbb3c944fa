"""How much segments are reordered on their way, by what SACKs show (Linux ``tcpi_reordering``, ``tcpi_reord_seen``)."""

from typing import Final

from userstack.tcp.scoreboard import DUP_THRESH

_MOST: Final = 300
"""Linux tcp_max_reordering."""


class Reordering:
    """The degree for one connection."""

    __slots__ = ("degree", "seen")

    def __init__(self) -> None:
        self.degree = DUP_THRESH
        """The longest distance in segments so far, never below DupThresh."""
        self.seen = 0
        """How often."""

    def found(self, low: int, highest: int, mss: int) -> None:
        """A segment from ``low`` on, never sent again, was delivered after one that ends at ``highest``."""
        if low < highest:
            self.seen += 1
            self.degree = min(max(self.degree, -((low - highest) // mss)), _MOST)
