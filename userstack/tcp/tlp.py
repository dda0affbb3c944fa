"""Tail loss probes (RFC 8985 7): where no ACK comes for two round trips, something is sent that must bring one."""

from typing import Final

from userstack.config import MILLISECOND, SECOND
from userstack.tcp.rack import RackRecovery
from userstack.tcp.tcb import Tcb

_MAX_ACK_DELAY: Final = 200 * MILLISECOND
"""TLP.max_ack_delay: a lone segment's ACK may be a delayed one."""
_GRAIN: Final = 2 * MILLISECOND
"""As in Linux two ticks are the least beside the round trips."""


def schedule(tcb: Tcb, now: int) -> None:
    """7.2: new data went out, or was acknowledged; (re)start the timer where nothing else watches."""
    recovery = tcb.recovery
    if not isinstance(recovery, RackRecovery) or not recovery.outstanding or not recovery.undisturbed:
        tcb.timers.loss_probe = None
        return
    srtt = tcb.rtt.srtt
    timeout = SECOND if srtt is None else 2 * srtt + (_MAX_ACK_DELAY if recovery.outstanding == 1 else _GRAIN)
    limit = tcb.timers.retransmission
    tcb.timers.loss_probe = now + timeout if limit is None else min(now + timeout, limit)


def expired(tcb: Tcb, now: int) -> None:
    """7.3: owe a probe, unless one is on its way; whatever comes of it, the retransmission timer is next."""
    tcb.timers.loss_probe = None
    if not tcb.flight:
        return
    if tcb.tlp_end is None:
        tcb.tlp_due = True
    tcb.timers.retransmission = now + tcb.rtt.rto


def on_ack(tcb: Tcb, ack: int, *, duplicate: bool, dsack: bool) -> None:
    """7.4.2: a probe that repaired the only loss is told from one that was not needed."""
    if tcb.tlp_end is None or ack < tcb.tlp_end:
        return
    if not tcb.tlp_again or dsack:
        tcb.tlp_end = None
    elif ack > tcb.tlp_end:
        tcb.tlp_end = None
        if not tcb.recovery.fast:
            tcb.congestion.on_recovery(tcb.flight)
            tcb.ecn.slowed_down(tcb.snd_nxt)
            tcb.counters.add("TcpExtTCPLossProbeRecovery")
    elif duplicate:
        tcb.tlp_end = None
