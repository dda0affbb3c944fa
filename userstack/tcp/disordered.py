"""ACKs that were overtaken on their way: what the kernel makes of an old timestamp on a segment without text (RFC 7323 5.3).

R1 calls them old duplicates and answers them, and what they have of SACK is lost. Linux believes those that only repeat the last
ACK, if they are not much older than a retransmission can be, and drops without an answer those that newer text has overtaken.
"""

from enum import Enum, auto
from typing import Final

from userstack.config import SECOND
from userstack.tcp.segment import Segment
from userstack.tcp.tcb import Tcb

_FASTEST_CLOCK: Final = 1200
"""Ticks a second that the peer's timestamp clock is taken to make at most, as in Linux."""


class Verdict(Enum):
    """What becomes of a segment with an old timestamp."""

    OLD = auto()
    DROP = auto()
    BELIEVE = auto()


def judge(tcb: Tcb, segment: Segment) -> Verdict:
    """What Linux's tcp_disordered_ack_check() says."""
    if not segment.has_ack or segment.length or segment.timestamps is None:
        return Verdict.OLD
    if segment.seq != tcb.rcv_nxt:
        return Verdict.DROP if segment.seq < tcb.rcv_nxt else Verdict.OLD
    if segment.ack != tcb.snd_una or _moves_window(tcb, segment):
        return Verdict.OLD
    late = tcb.timestamps.older_by(segment.timestamps[0])
    return Verdict.BELIEVE if late <= tcb.rtt.rto * _FASTEST_CLOCK // SECOND else Verdict.OLD


def _moves_window(tcb: Tcb, segment: Segment) -> bool:
    return segment.seq > tcb.snd_wl1 or segment.window > tcb.snd_wnd or not segment.window
