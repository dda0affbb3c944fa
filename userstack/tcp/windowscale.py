"""Window scale (RFC 7323 2): how a window that is larger than its 16 bits goes over the wire."""

MAX_WINDOW = 0xFFFF
"""The most that the window field can hold (MUST-1)."""
MAX_SHIFT = 14
"""RFC 7323 2.3: the window stays below 2**30, so that old and new sequence numbers can be told apart."""


def shift_for(buffer: int) -> int:
    """Rcv.Wind.Shift for a receive buffer of so many octets: the least that lets all of it be offered."""
    return min(max(buffer.bit_length() - 16, 0), MAX_SHIFT)


def to_field(offered: int, free: int, shift: int) -> int:
    """RCV.WND as it is written: rounded up where the buffer has more than the rounded-down window, so that the edge stays.

    RFC 7323 2.4: where the buffer has not, the window that the peer sees shrinks by less than one unit of the scale; what was
    offered before is honoured none the less.
    """
    field = offered >> shift
    if field << shift < min(offered, free):
        field += 1
    return min(field, MAX_WINDOW)
