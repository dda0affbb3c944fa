"""The octets that the application gave and the peer has not acknowledged, from SND.UNA on."""

from userstack.wire.ip import Buffer

_COMPACT_ABOVE = 65536
"""Acknowledged octets are cut off only when there are this many of them: cutting moves all that follow."""


class SendBuffer:
    """A stretch of the sequence space; ``start`` is the number of its first octet, ``end`` that after its last."""

    __slots__ = ("_data", "_head", "limit", "start")

    def __init__(self, start: int, limit: int) -> None:
        self.start = start
        self.limit = limit
        self._data = bytearray()
        self._head = 0

    def __len__(self) -> int:
        return len(self._data) - self._head

    @property
    def end(self) -> int:
        """The sequence number after the last octet: where a FIN would stand."""
        return self.start + len(self)

    @property
    def room(self) -> int:
        """How many octets SEND would still take."""
        return max(self.limit - len(self), 0)

    def write(self, data: Buffer) -> int:
        """Take as much of ``data`` as there is room for; the number of octets taken."""
        size = min(len(data), self.room)
        self._data += memoryview(data)[:size]
        return size

    def read(self, seq: int, size: int) -> bytes:
        """Up to ``size`` octets from sequence number ``seq`` on."""
        first = self._head + seq - self.start
        return bytes(memoryview(self._data)[first : first + size])

    def acknowledge(self, seq: int) -> int:
        """Forget everything below ``seq``; the number of octets forgotten."""
        size = min(max(seq - self.start, 0), len(self))
        self._head += size
        self.start += size
        if self._head == len(self._data) or self._head > _COMPACT_ABOVE:
            del self._data[: self._head]
            self._head = 0
        return size

    def clear(self) -> None:
        """Flush (RFC 9293 3.10.5, 3.10.8)."""
        self._data = bytearray()
        self._head = 0
