"""Selective acknowledgement (RFC 2018, RFC 2883): the option, and what this end reports in it."""

from typing import Final

from userstack.tcp import seq
from userstack.tcp.ranges import RangeSet
from userstack.wire.tcp import NOP, SACK, Option

Block = tuple[int, int]
"""The sequence number of a block's first octet, and the one after its last."""

BLOCK_OCTETS: Final = 8
HEAD_OCTETS: Final = 4
"""What the option takes beside its blocks: kind, length, and the two NOPs that align it."""

_REMEMBERED: Final = 4
"""RFC 2018 3: no option has room for more blocks."""


def read_blocks(options: tuple[Option, ...], near: int) -> list[Block]:
    """The blocks of a segment's SACK option, unwrapped near SND.UNA; none where there is no option, or a broken one.

    Of two options the last counts.
    """
    for kind, data in reversed(options):
        if kind == SACK and data and len(data) % BLOCK_OCTETS == 0:
            edges = [seq.unwrap(int.from_bytes(data[at : at + 4], "big"), near) for at in range(0, len(data), 4)]
            return list(zip(edges[::2], edges[1::2], strict=True))
    return []


def is_duplicate(blocks: list[Block], ack: int) -> bool:
    """RFC 2883 4: the first block is a D-SACK where it lies below the ACK, or within the second block."""
    (start, end), rest = blocks[0], blocks[1:]
    return end <= ack or bool(rest and rest[0][0] <= start and end <= rest[0][1])


def write_blocks(blocks: list[Block]) -> tuple[Option, ...]:
    """The option with these blocks, and the NOPs before it."""
    data = b"".join(seq.wrap(edge).to_bytes(4, "big") for block in blocks for edge in block)
    return Option(NOP), Option(NOP), Option(SACK, data)


class SackReport:
    """What the next ACK says about islands beyond RCV.NXT, most recent first, and about a duplicate."""

    __slots__ = ("_recent", "duplicate")

    def __init__(self) -> None:
        self._recent: tuple[int, ...] = ()
        """A sequence number in each of the islands that got something last, the latest first."""
        self.duplicate: Block | None = None
        """RFC 2883 4: what has arrived again and was not reported yet."""

    def arrived(self, number: int, islands: RangeSet) -> None:
        """Text that begins at ``number`` was put on one of the islands."""
        island = islands.containing(number)
        others = (recent for recent in self._recent if island is None or not island[0] <= recent < island[1])
        self._recent = (number, *others)[:_REMEMBERED]

    def arrived_again(self, first: int, end: int) -> None:
        """This part was here before: the next ACK says so, once."""
        self.duplicate = first, end

    def blocks(self, islands: RangeSet, most: int) -> list[Block]:
        """RFC 2018 4: the block with the latest segment, then those reported most recently.

        RFC 2883 4: a duplicate before all, even one that is a whole island: the island behind it says that it is a duplicate.
        """
        found: list[Block] = []
        for number in self._recent:
            island = islands.containing(number)
            if island is not None and island not in found:
                found.append(island)
        return (found if self.duplicate is None else [self.duplicate, *found])[:most]


NOTHING_TO_REPORT: Final = SackReport()
"""That of every connection which has received no text; see ``first_text``."""
