"""The retransmission timer and the one that ends it all: RFC 6298 5, R2 and the user timeout of RFC 9293 3.8.3.

While something that takes sequence space is outstanding both run: one sends it again, the other gives up. At a zero window both
stand still, for the persist timer has taken over.
"""

from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb


def arm(tcb: Tcb, now: int) -> None:
    """RFC 6298 (5.1): something that takes sequence space goes out; start the timer unless it runs."""
    if tcb.outstanding_since is None:
        tcb.outstanding_since = now
    if tcb.timers.retransmission is None:
        tcb.timers.retransmission = now + tcb.rtt.rto
    _watch(tcb)


def restart(tcb: Tcb, now: int) -> None:
    """RFC 6298 (5.2), (5.3): something was acknowledged; begin anew for what is still outstanding, or stop."""
    tcb.retransmits = 0
    if tcb.flight:
        tcb.outstanding_since = now
        tcb.timers.retransmission = now + tcb.rtt.rto
        _watch(tcb)
    else:
        stop(tcb)


def stop(tcb: Tcb) -> None:
    """Nothing is outstanding, or the window is shut."""
    tcb.outstanding_since = None
    tcb.timers.retransmission = tcb.timers.user_timeout = tcb.timers.loss_probe = tcb.timers.reordering = None


def restart_persist(tcb: Tcb, now: int) -> None:
    """The peer has spoken and its window is still shut: the next probe is as far away as the back-off says."""
    tcb.timers.persist = now + min(tcb.rtt.rto << tcb.probes, tcb.config.rto_max)


def set_user_timeout(tcb: Tcb, timeout: int | None) -> None:
    """TCP_USER_TIMEOUT: how long something may stay unacknowledged, in ns; None goes back to R2."""
    tcb.user_timeout = timeout
    _watch(tcb)


def patience(tcb: Tcb) -> int:
    """The user timeout, or R2 where there is none, in ns (MUST-20, MUST-21, MUST-23)."""
    if tcb.user_timeout is not None:
        return tcb.user_timeout
    if tcb.syn_acked:
        return tcb.config.r2
    return tcb.config.r2_syn if tcb.state is State.SYN_SENT else tcb.config.r2_synack


def _watch(tcb: Tcb) -> None:
    if tcb.outstanding_since is not None:
        tcb.timers.user_timeout = tcb.outstanding_since + patience(tcb)
