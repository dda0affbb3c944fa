"""Generic segmentation offload: a train of segments, which TCP makes as one, in the units that its device takes.

For a device that cuts (TSO) they are super-segments, as long as an IP packet can be; for others they are the packets of the wire.
What the units have in common is summed up once (RFC 1071 2: parts of a checksum add up), so that each costs its own text alone.
"""

import struct
from typing import Final, NamedTuple

from userstack.wire.checksum import word_sum
from userstack.wire.ip import Buffer
from userstack.wire.offload import LARGEST_PACKET, Offloaded
from userstack.wire.tcp import CWR, FIN, PSH

_TCP: Final = struct.Struct("!4sI4sH2sH")
"""Ports, SEQ, acknowledgement, data offset and flags, window, checksum; the urgent pointer and the options follow."""
_IPV4: Final = struct.Struct("!2sHH4sH8s")
"""Version and type of service, total length, identification, fragment to protocol, header checksum, addresses."""
_TCP_OVER_IPV4: Final = struct.Struct("!2sHH4sH8s4sI4sH2sH")
_TCP_OVER_IPV6: Final = struct.Struct("!4sH2s32s4sI4sH2sH")
"""Version to label, payload length, next header and hop limit, addresses; then TCP's."""


class Train(NamedTuple):
    """Segments of one size, the last of which may be shorter."""

    head: bytes
    """The headers of IP and TCP that a segment without text would have."""
    transport: int
    """Where in ``head`` the TCP header begins."""
    text: tuple[Buffer, ...]
    version: int
    """4 or 6."""
    size: int
    """Octets of text in each segment."""


def cut(train: Train) -> list[bytes]:
    """The packets, as a device that cuts makes them: FIN and PSH on the last, CWR on the first, the identification counts up."""
    headers, size, text = _Headers(train), train.size, memoryview(b"".join(train.text))
    packets = []
    for at in range(0, len(text), size):
        part = text[at : at + size]
        packets.append(headers.next(len(part), word_sum(part), last=at + size >= len(text)) + part)
    return packets


def divide(train: Train) -> list[Offloaded]:
    """The super-segments, whose checksums the device finishes."""
    headers, count = _Headers(train), sum(map(len, train.text))
    most = (LARGEST_PACKET - len(train.head)) // train.size * train.size
    pieces = [memoryview(piece) for piece in train.text]
    supers = []
    for at in range(0, count, most):
        octets = min(most, count - at)
        text = _take(pieces, octets)
        gso_size = train.size if octets > train.size else 0
        head = headers.next(octets, None, last=at + octets == count)
        supers.append(Offloaded(head, train.transport, text, len(head) + octets, version=train.version, gso_size=gso_size))
    return supers


def _take(pieces: list[memoryview], octets: int) -> tuple[Buffer, ...]:
    """So many octets off the front of ``pieces``."""
    taken: list[Buffer] = []
    while octets:
        piece = pieces[0]
        if len(piece) > octets:
            piece, pieces[0] = piece[:octets], piece[octets:]
        else:
            del pieces[0]
        taken.append(piece)
        octets -= len(piece)
    return tuple(taken)


class _Headers:
    """Those of one unit after the other."""

    __slots__ = (
        *("_ack", "_addresses", "_bits", "_first", "_identification", "_length", "_middle", "_outer", "_ports", "_pseudo", "_rest"),
        *("_seq", "_sum", "_transport", "_version", "_window"),
    )

    def __init__(self, train: Train) -> None:
        head, self._version, self._transport = train.head, train.version, train.transport
        self._length = len(head) - self._transport
        self._identification = self._outer = 0
        if self._version == 4:
            self._first, _, self._identification, self._middle, _, self._addresses = _IPV4.unpack_from(head)
            self._pseudo = word_sum(self._addresses) + head[9]
            """The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) but for the length."""
            self._outer = word_sum(self._first) + word_sum(self._middle) + word_sum(self._addresses)
        else:
            self._first, self._middle, self._addresses = head[:4], head[6:8], head[8:40]
            self._pseudo = word_sum(self._addresses) + head[6]
        self._ports, self._seq, self._ack, self._bits, self._window, _ = _TCP.unpack_from(head, self._transport)
        self._rest = head[self._transport + _TCP.size :]
        # 2^16 is 1 modulo 2^16 - 1: addresses, fields and lengths may be added up whatever their width
        self._sum = word_sum(self._ports) + word_sum(self._ack) + word_sum(self._window) + word_sum(self._rest)

    def next(self, octets: int, text: int | None, *, last: bool) -> bytes:
        """Those of the next unit, of so many octets; ``text`` is their sum, None where the checksum is to be partial."""
        seq, length, bits = self._seq, self._length + octets, self._bits
        if not last:
            bits &= ~(FIN | PSH)
        checksum = (self._pseudo + length) % 0xFFFF or 0xFFFF
        if text is not None:
            checksum = -(self._sum + checksum + seq + bits + text) % 0xFFFF
        self._seq, self._bits = seq + octets & 0xFFFFFFFF, self._bits & ~CWR
        first, middle, addresses, ports, ack = self._first, self._middle, self._addresses, self._ports, self._ack
        if self._version == 6:
            fixed = _TCP_OVER_IPV6.pack(first, length, middle, addresses, ports, seq, ack, bits, self._window, checksum)
        else:
            total, number = self._transport + length, self._identification
            self._identification = number + 1 & 0xFFFF
            outer = -(self._outer + total + number) % 0xFFFF
            fixed = _TCP_OVER_IPV4.pack(
                first, total, number, middle, outer, addresses, ports, seq, ack, bits, self._window, checksum
            )
        return fixed + self._rest
