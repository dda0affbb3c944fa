"""The only modular arithmetic of the project (RFC 9293 3.4).

A sequence number is unwrapped once, where a segment enters the core, and wrapped once, where one leaves it. In between it is a
plain integer that never wraps, so that ordinary ``<`` is right everywhere.
"""

from typing import Final

MODULUS: Final = 1 << 32
MASK: Final = MODULUS - 1
_HALF: Final = 1 << 31


def unwrap(wire: int, near: int) -> int:
    """The integer nearest to ``near`` that reads ``wire`` modulo 2**32; ``near`` itself, not an equal one, where it is that."""
    distance = ((wire - near + _HALF) & MASK) - _HALF
    return near + distance if distance else near


def wrap(number: int) -> int:
    """The 32 bits of ``number`` as they go on the wire."""
    return number & MASK
