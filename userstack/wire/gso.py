"""Generic segmentation offload: a super-segment cut into the packets of a wire, for a device that cannot cut it (TSO) itself.

What the packets have in common is summed up once (RFC 1071 2: parts of a checksum add up), so that each costs its own text alone.
"""

import struct

from userstack.wire.checksum import word_sum
from userstack.wire.offload import Offloaded
from userstack.wire.tcp import CWR, FIN, PSH

_TCP = struct.Struct("!4sI4sH2sH")
"""Ports, SEQ, acknowledgement, data offset and flags, window, checksum; the urgent pointer and the options follow."""
_IPV4 = struct.Struct("!2sHH4sH8s")
"""Version and type of service, total length, identification, fragment to protocol, header checksum, addresses."""


def cut(packet: Offloaded) -> list[bytes]:
    """The packets, as a device that cuts makes them: FIN and PSH on the last, CWR on the first, the identification counts up.

    Args:
        packet: one of IP, without a link header; its own headers are those of a segment with all of the text.
    """
    if not packet.gso_size:
        return [packet.finish()]
    whole, size = memoryview(b"".join(packet.text)), packet.gso_size
    head, transport = packet.head, packet.transport
    outer = _Outer(packet)
    ports, seq, ack, bits, window, _ = _TCP.unpack_from(head, transport)
    rest = head[transport + _TCP.size :]
    # 2^16 is 1 modulo 2^16 - 1: addresses, fields and lengths may be added up whatever their width
    same = outer.pseudo + word_sum(ports) + word_sum(ack) + word_sum(window) + word_sum(rest)
    packets = []
    for at in range(0, len(whole), size):
        text = whole[at : at + size]
        flags = bits & ~CWR if at else bits
        if at + size < len(whole):
            flags &= ~(FIN | PSH)
        length = len(head) - transport + len(text)
        number = seq + at & 0xFFFFFFFF
        checksum = -(same + length + number + flags + word_sum(text)) % 0xFFFF
        packets.append(b"".join((outer.next(length), _TCP.pack(ports, number, ack, flags, window, checksum), rest, text)))
    return packets


class _Outer:
    """The IP headers of the packets."""

    __slots__ = ("_addresses", "_first", "_identification", "_middle", "_sum", "_transport", "_version", "pseudo")

    def __init__(self, packet: Offloaded) -> None:
        head, self._version, self._transport = packet.head, packet.version, packet.transport
        self._identification = self._sum = 0
        if self._version == 4:
            self._first, _, self._identification, self._middle, _, self._addresses = _IPV4.unpack_from(head)
            self.pseudo = word_sum(self._addresses) + head[9]
            """The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) but for the length."""
            self._sum = word_sum(self._first) + word_sum(self._middle) + word_sum(self._addresses)
        else:
            self._first, self._middle, self._addresses = head[:4], head[6:8], head[8:40]
            self.pseudo = word_sum(self._addresses) + head[6]

    def next(self, length: int) -> bytes:
        """That of the next packet, with ``length`` octets behind it."""
        if self._version == 6:
            return b"".join((self._first, length.to_bytes(2, "big"), self._middle, self._addresses))
        total, identification = self._transport + length, self._identification
        self._identification = identification + 1 & 0xFFFF
        checksum = -(self._sum + total + identification) % 0xFFFF
        return _IPV4.pack(self._first, total, identification, self._middle, checksum, self._addresses)
