"""What is worth a segment now: silly window avoidance of the sender (RFC 9293 3.8.6.2.1), Nagle (3.7.4), TCP_CORK and MSG_MORE.

Note: nothing of these holds urgent data back, which asks to be told of at once; so do the kernels.
"""

from userstack.tcp.tcb import Tcb


def worth_sending(tcb: Tcb, unsent: int, usable: int) -> bool:
    """Whether ``unsent`` octets, of which ``usable`` are allowed, make a segment; the numbers are the rules' of 3.8.6.2.1."""
    size = min(unsent, usable)
    if size <= 0:
        return False
    if size >= tcb.segment_limit:  # (1)
        return True
    idle = tcb.nodelay or tcb.urgent or not _holds(tcb)
    held = (tcb.cork or tcb.more) and not tcb.close_requested and not tcb.urgent
    if unsent <= usable and not held and (idle or tcb.close_requested):  # (2): every SEND is pushed, nothing follows a CLOSE
        return True
    if idle and not held and 2 * size >= tcb.max_snd_wnd:  # (3)
        return True
    if tcb.override_due:  # (4)
        tcb.override_due = False
        return True
    return False


def _holds(tcb: Tcb) -> bool:
    """Something outstanding keeps small segments waiting: anything, or in Minshall's variant a small segment."""
    return tcb.small_sent_end > tcb.snd_una if tcb.config.minshall else tcb.snd_nxt > tcb.text_una
