"""The scoreboard of RFC 6675 3: which octets of what is outstanding the peer has told to have."""

from typing import Final

from userstack.tcp.ranges import RangeSet
from userstack.tcp.sack import Block

DUP_THRESH: Final = 3
"""RFC 6675 2."""


class Scoreboard(RangeSet):
    """SACKed octets between HighACK and HighData. ``max_ranges`` bounds what a peer can make this end remember."""

    __slots__ = ("_max_ranges", "una")

    def __init__(self, max_ranges: int) -> None:
        super().__init__()
        self._max_ranges = max_ranges
        self.una = 0
        """SND.UNA when it was told last."""

    def __contains__(self, number: int) -> bool:
        return self.containing(number) is not None

    @property
    def octets(self) -> int:
        """How many octets are SACKed."""
        return sum(end - start for start, end in self)

    @property
    def end(self) -> int:
        """After the highest SACKed octet; 0 where there is none."""
        return max((end for _, end in self), default=0)

    def update(self, blocks: list[Block], snd_una: int, snd_nxt: int) -> tuple[int, int]:
        """Update (): take blocks in; how many octets are newly SACKed, and how many blocks were not to be believed.

        A block below SND.UNA is old, or a D-SACK (RFC 2883): it tells nothing about what is outstanding.
        """
        news = bogus = 0
        self.una = snd_una
        for start, end in blocks:
            if start >= end or end > snd_nxt:
                bogus += 1
            elif start >= snd_una:
                news += self.unsacked(start, end)
                self.add(start, end)
        while len(self) > self._max_ranges:
            self.discard_above(next(reversed(self))[0])
            bogus += 1
        return news, bogus

    def advance(self, snd_una: int) -> None:
        """What is acknowledged cumulatively needs no mark."""
        self.una = snd_una
        self.discard_below(snd_una)

    def loss_edge(self, mss: int) -> int:
        """IsLost () holds for all below it that is not SACKed: above are DupThresh ranges, or more than two segments of octets."""
        ranges = octets = 0
        for start, end in reversed(self):
            ranges, octets = ranges + 1, octets + end - start
            if ranges >= DUP_THRESH or octets > (DUP_THRESH - 1) * mss:
                return start
        return 0

    def unsacked(self, start: int, end: int) -> int:
        """How many octets of ``[start, end)`` are not SACKed."""
        return sum(last - first for first, last in self.gaps(start, end)) if start < end else 0

    def hole(self, start: int, end: int) -> Block | None:
        """The first part of ``[start, end)`` that is not SACKed."""
        return next(iter(self.gaps(start, end)), None)

    def last_hole(self, start: int, end: int) -> Block | None:
        """The last part of ``[start, end)`` that is not SACKed."""
        return next(reversed(self.gaps(start, end)), None)
