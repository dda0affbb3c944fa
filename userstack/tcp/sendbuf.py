"""The octets that the application gave and the peer has not acknowledged, from SND.UNA on.

They lie in blocks. A large text of immutable ``bytes`` is a block as it stands, never copied, and so is a small one that finds no
other; everything else is copied once, small texts behind one another. What is sent is a view onto the blocks, so that nothing is
copied on the way out either.
"""

from bisect import bisect_right
from operator import itemgetter
from typing import Final

from userstack.wire.ip import Buffer

_WHOLE: Final = 4096
"""Octets: a text from here on is a block of its own; smaller ones, but for the first, share one of this size."""

_Block = tuple[int, Buffer]
"""The sequence number of its first octet, and its octets."""
_EMPTY: Final[list[_Block]] = []
"""The blocks of a buffer without text; nothing is ever put into this list."""
_start = itemgetter(0)


class SendBuffer:
    """A stretch of the sequence space; ``start`` is the number of its first octet, ``end`` that after its last."""

    __slots__ = ("_blocks", "_spare", "end", "limit", "start")

    def __init__(self, start: int, limit: int) -> None:
        self.start = start
        self.end = start
        """Where a FIN would stand."""
        self.limit = limit
        self._blocks = _EMPTY
        self._spare = 0
        """Octets that the last block has room for still."""

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def room(self) -> int:
        """How many octets SEND would still take."""
        return max(self.limit - (self.end - self.start), 0)

    def write(self, data: Buffer) -> int:
        """Take as much of ``data`` as there is room for; the number of octets taken."""
        size = min(len(data), self.room)
        if size >= _WHOLE or (size and not self._blocks):
            self._close_block()
            if not self._blocks:
                self._blocks = []
            self._blocks.append((self.end, _immutable(data, size)))
        elif size:
            self._copy(memoryview(data)[:size])
        self.end += size
        return size

    def read(self, seq: int, size: int) -> bytes:
        """Up to ``size`` octets from sequence number ``seq`` on."""
        return b"".join(self.pieces(seq, size))

    def pieces(self, seq: int, size: int) -> list[memoryview]:
        """The same, as views that stay what they are whatever is acknowledged or written."""
        found: list[memoryview] = []
        size = min(size, self.end - seq)
        index = bisect_right(self._blocks, seq, key=_start) - 1
        while size > 0:
            start, block = self._blocks[index]
            part = memoryview(block)[seq - start : seq - start + size]
            found.append(part)
            seq += len(part)
            size -= len(part)
            index += 1
        return found

    def acknowledge(self, seq: int) -> int:
        """Forget everything below ``seq``; the number of octets forgotten."""
        size = min(max(seq - self.start, 0), self.end - self.start)
        if size:
            self.start += size
            if self.start == self.end:
                self._forget()
            else:
                del self._blocks[: bisect_right(self._blocks, self.start, key=_start) - 1]
        return size

    def clear(self) -> None:
        """Flush (RFC 9293 3.10.5, 3.10.8)."""
        self.end = self.start
        self._forget()

    def _forget(self) -> None:
        self._blocks = _EMPTY
        self._spare = 0

    def _copy(self, data: memoryview) -> None:
        """Put a small text behind the last one, for there is one, and what has no room there into a new block."""
        taken = min(len(data), self._spare)
        if taken:
            block = self._blocks[-1][1]
            filled = _WHOLE - self._spare
            block[filled : filled + taken] = data[:taken]  # type: ignore[index] # only a bytearray of ours has spare room
            self._spare -= taken
        if taken < len(data):
            block = bytearray(_WHOLE)
            block[: len(data) - taken] = data[taken:]
            self._blocks.append((self.end + taken, block))
            self._spare = _WHOLE - (len(data) - taken)

    def _close_block(self) -> None:
        """Nothing more goes into the last block: what it has no text for must not look like text."""
        if self._spare:
            start, block = self._blocks[-1]
            self._blocks[-1] = (start, memoryview(block)[: _WHOLE - self._spare])
            self._spare = 0


def _immutable(data: Buffer, size: int) -> Buffer:
    """The first ``size`` octets, copied only if somebody else could change them."""
    view = memoryview(data)
    if isinstance(view.obj, bytes) and view.contiguous:
        return data if len(data) == size else view[:size]
    return bytes(view[:size])
