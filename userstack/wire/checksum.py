"""The Internet checksum of RFC 1071.

A ones' complement sum of 16-bit words is a remainder modulo 0xFFFF, because 2^16 leaves 1: so a buffer of any length is one big
integer, and its sum one division in C. Three things follow. Sums of parts are added as plain integers, header fields included,
whatever their width. A word with its octets swapped is 2^8 times the word, so that little-endian parts and parts that begin at
an odd octet cost a shift. And the two zeros stay apart: a remainder of 0 means the sum 0xFFFF, unless every octet was zero.
"""

from typing import Final

from userstack.wire.ip import Buffer

_CHUNK: Final = 1536
"""Octets: beyond this size a buffer is summed in slices; a big integer's remainder takes twice the time of its addition."""
_WIDE: Final = 768 * 8
_WIDE_MASK: Final = (1 << 768 * 8) - 1
_NARROW: Final = 384 * 8
_NARROW_MASK: Final = (1 << 384 * 8) - 1


def word_sum(buffer: Buffer) -> int:
    """The sum of the buffer's 16-bit words, an odd last octet padded with zero, up to a multiple of 0xFFFF.

    The sum is 0 only if every octet is.
    """
    size = len(buffer)
    if size <= _CHUNK:
        # Little-endian puts an odd last octet where its padding belongs.
        number = int.from_bytes(buffer, "little")
    else:
        number = sum([int.from_bytes(buffer[at : at + _CHUNK], "little") for at in range(0, size, _CHUNK)])
    if size > 384:
        # Folding by shift and mask costs less than dividing what it saves.
        number = (number >> _WIDE) + (number & _WIDE_MASK)
        number = (number >> _NARROW) + (number & _NARROW_MASK)
    return (number % 0xFFFF or (number and 0xFFFF)) << 8


def pseudo_header_sum(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """The sum of the pseudo header of RFC 9293 3.1 (IPv4) or RFC 8200 8.1 (IPv6): the same words, the addresses tell which.

    Args:
        source: packed address.
        destination: packed address.
        protocol: the number of the protocol above IP.
        length: octets of its header and data.
    """
    return int.from_bytes(source, "big") + int.from_bytes(destination, "big") + protocol + length


def finish(total: int) -> int:
    """The checksum field for a sum that was taken with the field as zero."""
    return -total % 0xFFFF if total else 0xFFFF


def is_valid(total: int) -> bool:
    """True if a sum that was taken over the checksum field too is 0xFFFF (RFC 1071 1 (3))."""
    return total != 0 and total % 0xFFFF == 0


def internet_checksum(*buffers: Buffer) -> int:
    """The checksum of all buffers as if they were one; the checksum field in them must be zero."""
    return finish(_sum_all(buffers))


def verify_checksum(*buffers: Buffer) -> bool:
    """True if all buffers as one, the checksum field included, carry a right checksum."""
    return is_valid(_sum_all(buffers))


def _sum_all(buffers: tuple[Buffer, ...]) -> int:
    total = position = 0
    for buffer in buffers:
        part = word_sum(buffer)
        total += part << 8 if position & 1 else part
        position += len(buffer)
    return total
