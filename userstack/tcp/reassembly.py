"""Text that has arrived beyond a hole (SHLD-31), in pieces that grow behind one another."""

from userstack.tcp.ranges import RangeSet
from userstack.wire.ip import Buffer


class Reassembly:
    """Pieces of the sequence space; ``max_pieces`` bounds how many."""

    __slots__ = ("_ends", "_max_pieces", "_pieces", "islands")

    def __init__(self, max_pieces: int) -> None:
        self._max_pieces = max_pieces
        self._pieces: dict[int, bytearray] = {}
        self._ends: dict[int, int] = {}
        """The start of the piece that ends there: what follows it in sequence is put behind it."""
        self.islands = RangeSet()
        """What is held, as ranges."""

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def hold(self, seq: int, data: Buffer) -> bool:
        """Keep text for later; what is held already stays as it is. False: there are too many pieces."""
        for start, end in self.islands.gaps(seq, seq + len(data)):
            if start not in self._ends and len(self._pieces) >= self._max_pieces:
                return False
            piece_start = self._ends.pop(start, start)
            self._pieces.setdefault(piece_start, bytearray()).extend(data[start - seq : end - seq])
            self._ends[end] = piece_start
            self.islands.add(start, end)
        return True

    def end_at(self, seq: int) -> None:
        """Nothing counts that is held from ``seq`` on."""
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

    def take(self, rcv_nxt: int) -> list[memoryview]:
        """What now begins at or left of ``rcv_nxt``, as far as it goes on without a hole."""
        taken: list[memoryview] = []
        for start in sorted(self._pieces):
            if start > rcv_nxt:
                break
            piece = self._pieces.pop(start)
            end = start + len(piece)
            del self._ends[end]
            if end > rcv_nxt:
                taken.append(memoryview(piece)[rcv_nxt - start :])
                rcv_nxt = end
        self.islands.discard_below(rcv_nxt)
        return taken
