"""What has arrived and the application has not read: octets in order, islands beyond holes, and the place of the FIN.

Invariant: no island starts at or below RCV.NXT once ``advance`` has run; the octet at RCV.NXT is never refused for want of islands.
"""

from collections import deque

from userstack.tcp.ranges import RangeSet
from userstack.wire.ip import Buffer


class ReceiveBuffer:
    """Reassembly and the application's queue of one connection. ``limit`` is RCV.BUFF in octets."""

    __slots__ = ("_chunks", "_head", "_islands", "_pieces", "fin_seq", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        """RCV.USER: octets in order that wait for the application."""
        self.fin_seq: int | None = None
        """The sequence number of the peer's FIN, once it is known, even beyond a hole."""
        self._chunks: deque[bytes] = deque()
        self._head = 0
        self._pieces: dict[int, bytes] = {}
        self._islands = RangeSet()

    @property
    def islands(self) -> int:
        """How many pieces are held beyond holes."""
        return len(self._pieces)

    @property
    def free(self) -> int:
        """RCV.BUFF - RCV.USER: octets that may still be offered."""
        return max(self.limit - self.size, 0)

    def append(self, data: Buffer) -> None:
        """Text that begins at RCV.NXT where no island lies in its way."""
        self._chunks.append(bytes(data))
        self.size += len(data)

    def hold(self, seq: int, data: Buffer) -> None:
        """Keep text for later (SHLD-31); what is held already stays as it is."""
        for start, end in self._islands.gaps(seq, seq + len(data)):
            self._pieces[start] = bytes(data[start - seq : end - seq])
        self._islands.add(seq, seq + len(data))

    def advance(self, rcv_nxt: int) -> int:
        """Move the islands that now begin at ``rcv_nxt`` into the queue; the new RCV.NXT."""
        for _start, end in self._islands:
            if _start > rcv_nxt:
                break
            rcv_nxt = self._take_pieces(rcv_nxt, end)
        self._islands.discard_below(rcv_nxt)
        return rcv_nxt

    def _take_pieces(self, seq: int, end: int) -> int:
        # Text that ran over the start of an island was trimmed by nobody: pieces may begin left of RCV.NXT.
        for start in sorted(start for start in self._pieces if start < end):
            piece = self._pieces.pop(start)
            if start + len(piece) > seq:
                self.append(piece[seq - start :])
                seq = start + len(piece)
        return seq

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` octets for the application; empty when there are none."""
        parts = []
        while limit > 0 and self._chunks:
            chunk = self._chunks[0]
            part = chunk[self._head : self._head + limit] if self._head or len(chunk) > limit else chunk
            self._head += len(part)
            if self._head == len(chunk):
                self._chunks.popleft()
                self._head = 0
            limit -= len(part)
            self.size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def drop_islands(self) -> None:
        """Flush what lies beyond holes; what is in order stays readable."""
        self._pieces.clear()
        self._islands.clear()
