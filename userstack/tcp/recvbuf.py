"""What has arrived and the application has not read: octets in order, islands beyond holes, and the place of the FIN.

Invariant: no island starts at or below RCV.NXT once ``advance`` has run; the octet at RCV.NXT is never refused for want of islands.
"""

from collections import deque

from userstack.tcp.ranges import RangeSet
from userstack.wire.ip import Buffer

_WHOLE = 16384
"""Octets: a chunk of more is not cut to fill up what is read."""


class ReceiveBuffer:
    """Reassembly and the application's queue. ``limit`` is RCV.BUFF in octets, ``max_pieces`` bounds what is held beyond holes."""

    __slots__ = ("_chunks", "_ends", "_head", "_max_pieces", "_pieces", "fin_seq", "islands", "limit", "size")

    def __init__(self, limit: int, max_pieces: int) -> None:
        self.limit = limit
        self.size = 0
        """RCV.USER: octets in order that wait for the application."""
        self.fin_seq: int | None = None
        """The sequence number of the peer's FIN, once it is known, even beyond a hole."""
        self._chunks: deque[bytes] = deque()
        self._head = 0
        self._max_pieces = max_pieces
        self._pieces: dict[int, bytearray] = {}
        self._ends: dict[int, int] = {}
        """The start of the piece that ends there: what follows it in sequence is put behind it."""
        self.islands = RangeSet()
        """What is held beyond holes."""

    @property
    def has_islands(self) -> bool:
        """Something is held beyond a hole."""
        return bool(self._pieces)

    @property
    def free(self) -> int:
        """RCV.BUFF - RCV.USER: octets that may still be offered."""
        return max(self.limit - self.size, 0)

    def append(self, data: Buffer) -> None:
        """Text that begins at RCV.NXT."""
        self._chunks.append(bytes(data))
        self.size += len(data)

    def hold(self, seq: int, data: Buffer) -> bool:
        """Keep text for later (SHLD-31); what is held already stays as it is. False: there are too many pieces."""
        for start, end in self.islands.gaps(seq, seq + len(data)):
            if start not in self._ends and len(self._pieces) >= self._max_pieces:
                return False
            piece_start = self._ends.pop(start, start)
            self._pieces.setdefault(piece_start, bytearray()).extend(data[start - seq : end - seq])
            self._ends[end] = piece_start
            self.islands.add(start, end)
        return True

    def note_fin(self, seq: int) -> None:
        """The peer's FIN stands at ``seq``: nothing counts that was held behind it. The first FIN holds."""
        if self.fin_seq is not None:
            return
        self.fin_seq = seq
        for end, start in list(self._ends.items()):
            if end > seq:
                del self._ends[end]
                piece = self._pieces[start]
                del piece[max(seq - start, 0) :]
                if piece:
                    self._ends[seq] = start
                else:
                    del self._pieces[start]
        self.islands.discard_above(seq)

    def advance(self, rcv_nxt: int) -> int:
        """Move what now begins at or left of ``rcv_nxt`` into the queue; the new RCV.NXT."""
        for start in sorted(self._pieces):
            if start > rcv_nxt:
                break
            piece = self._pieces.pop(start)
            end = start + len(piece)
            del self._ends[end]
            if end > rcv_nxt:
                self.append(piece[rcv_nxt - start :])
                rcv_nxt = end
        self.islands.discard_below(rcv_nxt)
        return rcv_nxt

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` octets for the application, a large chunk uncut rather than copied; empty when there are none."""
        parts: list[bytes] = []
        while limit > 0 and self._chunks:
            chunk = self._chunks[0]
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
        while filled < len(buffer) and self._chunks:
            chunk = self._chunks[0]
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
            self._chunks.popleft()
            self._head = 0

    def peek(self, limit: int) -> bytes:
        """Up to ``limit`` octets, which stay where they are."""
        parts, head = [], self._head
        for chunk in self._chunks:
            if limit <= 0:
                break
            part = chunk[head : head + limit]
            parts.append(part)
            limit -= len(part)
            head = 0
        return b"".join(parts)

    def drop_islands(self) -> None:
        """Flush what lies beyond holes; what is in order stays readable."""
        self._pieces.clear()
        self._ends.clear()
        self.islands.clear()
