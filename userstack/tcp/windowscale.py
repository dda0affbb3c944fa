"""Window scale (RFC 7323 2): how a window that is larger than its 16 bits goes over the wire."""

from typing import Final

from userstack.config import StackConfig

MAX_WINDOW: Final = 0xFFFF
"""The most that the window field can hold (MUST-1)."""
MAX_SHIFT: Final = 14
"""RFC 7323 2.3: the window stays below 2**30, so that old and new sequence numbers can be told apart."""


def own_shift(config: StackConfig) -> int:
    """What this end offers."""
    return shift_for(config.receive_limit) if config.window_scale is None else config.window_scale


def syn_window(config: StackConfig, segment: int) -> int:
    """The window of a SYN, which is never scaled; ``segment`` is the text of one of the peer's."""
    window = min(config.receive_buffer, MAX_WINDOW)
    return window - window % segment if config.syn_window_in_segments and window > segment else window


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
