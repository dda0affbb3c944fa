"""Generic receive offload: packets of one batch that belong together are taken in as one segment.

They are text in order, with headers that say the same, whether of one segment or put together by the device already; or
acknowledgements without text, each of more than the one before. Nothing is lost by it: the packets are kept until the segment was
taken, and go the long way one by one where it is not.
"""

import struct
from collections.abc import Callable
from typing import Final

from userstack.net.table import Entry
from userstack.tcp.prediction import Plain, plain_of
from userstack.wire.checksum import word_sum
from userstack.wire.ip import TCP, Buffer
from userstack.wire.offload import LARGEST_PACKET
from userstack.wire.tcp import PSH

_Ipv4 = tuple[bytes, int, int, bytes, int, bytes, int, int, int, int]
_Ipv6 = tuple[bytes, int, bytes, bytes, int, int, int, int]
_unpack_ipv4: Final[Callable[[Buffer], _Ipv4]] = struct.Struct("!2sHH4sH12sIIHH").unpack_from
"""Version and type of service, total length, identification, fragment to protocol, header checksum, flow; SEQ, ACK, data offset
and flags, window."""
_unpack_ipv6: Final[Callable[[Buffer], _Ipv6]] = struct.Struct("!4sH2s36sIIHH").unpack_from
"""Version to label, payload length, next header and hop limit, flow; then as above."""
_STAMPS: Final = struct.Struct("!4xII")
_KIND: Final = 4
"""Octets of the options that do not change: two of padding, kind and length of the timestamps (RFC 7323 appendix A)."""
_FLAGS: Final = 0x0FFF


class Bundle:
    """What belongs together of one batch, at first one packet.

    Args:
        entry: its connection's.
        data: the packet, whose headers are the usual ones and whose checksums are right.
        transport: where its TCP header begins.
        text: where its text begins.
        vouched: the device vouches for its checksum, and for that of each that is to belong to it.
    """

    __slots__ = (
        *(
            "_ack",
            "_bits",
            "_changing",
            "_first",
            "_flow",
            "_heads",
            "_kind",
            "_middle",
            "_next",
            "_options",
            "_others",
        ),
        *("_room", "_seq", "_size", "_text", "_texts", "_transport", "_vouched", "_window", "entry"),
    )

    def __init__(self, entry: Entry, data: Buffer, transport: int, text: int, *, vouched: bool) -> None:
        self.entry = entry
        self._heads = [bytes(data[:text])]
        self._texts = [bytes(data[text:])]
        self._transport = transport
        self._text = text
        self._vouched = vouched
        if transport == 20:
            first, length, identification, middle, check, flow, seq, ack, bits, window = _unpack_ipv4(data)
            self._changing = length + identification + check
            """The words of the IPv4 header that differ from packet to packet: with the right checksums their sums do not."""
            self._others = word_sum(flow[:-4]) + TCP - transport
            """What the checksum is over besides the packet's words and its size (of IPv6: besides them)."""
        else:
            first, length, middle, flow, seq, ack, bits, window = _unpack_ipv6(data)
            self._changing = 0
            self._others = TCP - word_sum(first) - word_sum(middle)
        self._first, self._middle, self._flow, self._seq, self._ack, self._window = first, middle, flow, seq, ack, window
        self._bits = bits | PSH
        self._options = self._heads[0][transport + 20 :]
        self._kind = self._options[:_KIND]
        self._size = len(data) - text
        """Octets of text."""
        self._next = self._seq + self._size & 0xFFFFFFFF
        self._room = LARGEST_PACKET if vouched else self._size
        """Octets of text that the next packet may have: segments are cut alike, and a shorter one is the last."""

    @property
    def tos(self) -> int:
        """The type of service of each packet."""
        return self._first[1] if self._transport == 20 else int.from_bytes(self._first[:2], "big") >> 4 & 0xFF

    @property
    def packets(self) -> list[bytes]:
        """All of it as it came."""
        return list(map(bytes.__add__, self._heads, self._texts))

    @property
    def count(self) -> int:
        """How many packets it is."""
        return len(self._texts)

    @property
    def octets(self) -> int:
        """Octets of all of them, headers included."""
        return len(self._texts) * self._text + self._size

    def add(self, data: Buffer, *, vouched: bool) -> bool:
        """Take a packet that belongs here; False, and nothing has happened, where it does not."""
        size, text, transport = len(data), self._text, self._transport
        if size < text or vouched is not self._vouched:
            return False
        if transport == 20:
            first, length, identification, middle, check, flow, seq, ack, bits, window = _unpack_ipv4(data)
            sound = (length + identification + check - self._changing) % 0xFFFF == 0
        else:
            first, length, middle, flow, seq, ack, bits, window = _unpack_ipv6(data)
            length, sound = length + 40, True
        if (
            not sound
            or flow != self._flow
            or seq != self._next
            or bits | PSH != self._bits
            or first != self._first
            or middle != self._middle
            or length != size
        ):
            return False
        octets, head = size - text, bytes(data[:text])
        if self._size:  # more text, with nothing else to say
            says = 0 < octets <= self._room and ack == self._ack and window == self._window and head.endswith(self._options)
        else:  # an acknowledgement of more says all that the one before has said
            says = not octets and 0 < ack - self._ack & 0xFFFFFFFF < 1 << 31 and head.startswith(self._kind, transport + 20)
        if not says or not (vouched or self._is_right(data, size)):
            return False
        self._heads.append(head)
        self._texts.append(bytes(data[text:]) if octets else b"")
        self._size += octets
        self._next = seq + octets & 0xFFFFFFFF
        self._ack, self._window = ack, window
        if octets < self._room and not vouched:
            self._room = 0
        return True

    def _is_right(self, data: Buffer, size: int) -> bool:
        """The checksum of a packet whose headers belong here.

        It is taken over the whole packet: the words of a sound IPv4 header add up to nothing; those of IPv6's are known.
        """
        return (word_sum(data) + self._others + (size if self._transport == 20 else 0)) % 0xFFFF == 0

    def segment(self, segments_in: Callable[[int], int]) -> Plain:
        """All of it as one; ``segments_in`` tells of how many segments so much text is."""
        stamps = _STAMPS.unpack_from(self._heads[-1], self._transport + 20) if self._options else None
        count = len(self._texts)
        if self._vouched:
            count = sum([segments_in(len(text)) for text in self._texts])
        return plain_of((self._seq, self._ack, self._bits & _FLAGS, self._window, self._texts, self._size, stamps, count))
