"""What has arrived and the application has not read: octets in order, islands beyond holes, and the place of the FIN.

Invariant: no island starts at or below RCV.NXT once ``advance`` has run; the octet at RCV.NXT is never refused for want of islands.
"""

from collections.abc import Sequence
from typing import Final

from userstack.tcp.ranges import RangeSet
from userstack.tcp.reassembly import Reassembly
from userstack.wire.ip import Buffer

_WHOLE: Final = 16384
"""Octets: a chunk of more is not cut to fill up what is read."""
_COMPACT: Final = 64
"""Chunks that have been read are forgotten when there are so many, or when none is left."""
_EMPTY: Final[list[bytes]] = []
"""The chunks where none waits; nothing is ever put into this list."""
_NONE: Final = RangeSet()
"""What is held beyond holes where there are none: nobody adds to it."""


class ReceiveBuffer:
    """Reassembly and the application's queue. ``limit`` is RCV.BUFF in octets, ``max_pieces`` bounds what is held beyond holes."""

    __slots__ = ("_chunks", "_first", "_head", "_held", "_max_pieces", "fin_seq", "limit", "size")

    def __init__(self, limit: int, max_pieces: int) -> None:
        self.limit = limit
        self.size = 0
        """RCV.USER: octets in order that wait for the application."""
        self.fin_seq: int | None = None
        """The sequence number of the peer's FIN, once it is known, even beyond a hole."""
        self._chunks = _EMPTY
        self._first = self._head = 0
        """The first chunk that is not read to its end, and how far it is."""
        self._max_pieces = max_pieces
        self._held: Reassembly | None = None
        """Made for the first text beyond a hole."""

    @property
    def has_islands(self) -> bool:
        """Something is held beyond a hole."""
        return self._held is not None and bool(self._held)

    @property
    def islands(self) -> RangeSet:
        """What is held beyond holes."""
        return _NONE if self._held is None else self._held.islands

    @property
    def free(self) -> int:
        """RCV.BUFF - RCV.USER: octets that may still be offered."""
        return max(self.limit - self.size, 0)

    def extend(self, texts: Sequence[Buffer], size: int) -> None:
        """Text of ``size`` octets that begins at RCV.NXT, in pieces."""
        if not self._chunks:
            self._chunks = []
        if len(texts) > 1 and size < len(texts) * _WHOLE:
            self._chunks.append(b"".join(texts))
        else:
            self._chunks.extend(map(bytes, texts))
        self.size += size

    def hold(self, seq: int, data: Buffer) -> bool:
        """Keep text for later (SHLD-31); what is held already stays as it is. False: there are too many pieces."""
        if self._held is None:
            self._held = Reassembly(self._max_pieces)
        return self._held.hold(seq, data)

    def note_fin(self, seq: int) -> None:
        """The peer's FIN stands at ``seq``: nothing counts that was held behind it. The first FIN holds."""
        if self.fin_seq is None:
            self.fin_seq = seq
            if self._held is not None:
                self._held.end_at(seq)

    def advance(self, rcv_nxt: int) -> int:
        """Move what now begins at or left of ``rcv_nxt`` into the queue; the new RCV.NXT."""
        if self._held is not None:
            for piece in self._held.take(rcv_nxt):
                self.extend((piece,), len(piece))
                rcv_nxt += len(piece)
        return rcv_nxt

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` octets for the application, a large chunk uncut rather than copied; empty when there are none."""
        parts: list[bytes] = []
        while limit > 0 and self.size:
            chunk = self._chunks[self._first]
            if parts and len(chunk) > max(limit, _WHOLE):
                break
            part = chunk[self._head : self._head + limit] if self._head or len(chunk) > limit else chunk
            self._take(chunk, len(part))
            limit -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, buffer: memoryview) -> int:
        """As much as there is and ``buffer`` has room for; how many octets that was."""
        filled = 0
        while filled < len(buffer) and self.size:
            chunk = self._chunks[self._first]
            size = min(len(chunk) - self._head, len(buffer) - filled)
            buffer[filled : filled + size] = chunk if size == len(chunk) else memoryview(chunk)[self._head : self._head + size]
            self._take(chunk, size)
            filled += size
        return filled

    def _take(self, chunk: bytes, size: int) -> None:
        """So many octets of the first chunk have been read."""
        self._head += size
        self.size -= size
        if self._head == len(chunk):
            self._first, self._head = self._first + 1, 0
            if not self.size:
                self._chunks, self._first = _EMPTY, 0
            elif self._first == _COMPACT:
                del self._chunks[:_COMPACT]
                self._first = 0

    def peek(self, limit: int) -> bytes:
        """Up to ``limit`` octets, which stay where they are."""
        parts, head = [], self._head
        for chunk in self._chunks[self._first :]:
            if limit <= 0:
                break
            part = chunk[head : head + limit]
            parts.append(part)
            limit -= len(part)
            head = 0
        return b"".join(parts)

    def drop_islands(self) -> None:
        """Flush what lies beyond holes; what is in order stays readable."""
        self._held = None
