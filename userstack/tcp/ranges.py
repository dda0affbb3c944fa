"""Sorted disjoint half-open ranges of sequence numbers: reassembly and the SACK scoreboard share them.

Invariant: ranges are non-empty, sorted, and neither overlap nor touch.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

_NONE: Final[list[int]] = []
"""What every set has that never held anything; nothing is ever put into it."""


class RangeSet:
    """A set of integers kept as ``[start, end)`` pieces."""

    __slots__ = ("_ends", "starts")

    def __init__(self) -> None:
        self.starts = self._ends = _NONE
        """``starts`` is true where there is a range; nobody else reads more of it."""

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self.starts, self._ends, strict=True))

    def __reversed__(self) -> Iterator[tuple[int, int]]:
        return zip(reversed(self.starts), reversed(self._ends), strict=True)

    def containing(self, number: int) -> tuple[int, int] | None:
        """The range that ``number`` lies in."""
        index = bisect_right(self.starts, number) - 1
        return (self.starts[index], self._ends[index]) if index >= 0 and number < self._ends[index] else None

    def overlap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first part of ``[start, end)`` that is in the set."""
        index = bisect_right(self._ends, start)
        if index == len(self.starts) or self.starts[index] >= end:
            return None
        return max(start, self.starts[index]), min(end, self._ends[index])

    def add(self, start: int, end: int) -> None:
        """Put ``[start, end)`` in; what overlaps or touches becomes one range."""
        if start >= end:
            return
        if not self.starts:
            self.starts, self._ends = [start], [end]
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self.starts, end)
        if first < last:
            start = min(start, self.starts[first])
            end = max(end, self._ends[last - 1])
        self.starts[first:last] = [start]
        self._ends[first:last] = [end]

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of ``[start, end)`` that are not in the set, in order."""
        found = []
        for index in range(bisect_right(self._ends, start), len(self.starts)):
            if self.starts[index] >= end:
                break
            if start < self.starts[index]:
                found.append((start, self.starts[index]))
            start = self._ends[index]
        if start < end:
            found.append((start, end))
        return found

    def discard_below(self, bound: int) -> None:
        """Take everything below ``bound`` out."""
        if not self.starts:
            return
        keep = bisect_right(self._ends, bound)
        del self.starts[:keep], self._ends[:keep]
        if self.starts and self.starts[0] < bound:
            self.starts[0] = bound

    def discard_above(self, bound: int) -> None:
        """Take ``bound`` and everything above it out."""
        if not self.starts:
            return
        keep = bisect_left(self.starts, bound)
        del self.starts[keep:], self._ends[keep:]
        if self._ends and self._ends[-1] > bound:
            self._ends[-1] = bound

    def clear(self) -> None:
        """Take everything out."""
        self.starts = self._ends = _NONE
