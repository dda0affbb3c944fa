"""A train: several segments that go down as one, and are cut at the very end (wire/gso.py); the wire sees the same.

What one has to say for itself keeps a segment alone: a signature, an urgent pointer, an option that not all have; and a FIN, which
follows the last.
"""

from typing import Final

from userstack.tcp.tcb import Tcb

_MOST_TEXT: Final = 1 << 18
"""Octets: of more the start alone would keep others waiting."""


def count(tcb: Tcb, first: int, size: int, full: int) -> int:
    """How many full segments of the ``size`` octets from ``first`` on may go as one."""
    if tcb.md5_key is not None or tcb.lower.route is not None or tcb.snd_up > tcb.snd_una:
        return 1
    most = (size if size < _MOST_TEXT else _MOST_TEXT) // full
    if tcb.close_requested and first + most * full == tcb.sendbuf.end:
        most -= 1
    return max(most, 1)
