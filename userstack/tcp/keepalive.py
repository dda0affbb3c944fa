"""Keep-alives (RFC 9293 3.8.4): whether a peer that says nothing is still there. Off unless asked for (MUST-25)."""

from typing import Final

from userstack.config import SECOND
from userstack.errors import ConnectionTimedOut
from userstack.tcp.probing import NOT_PROBING, Probing
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb

_WATCHED: Final = frozenset(set(State) - {State.CLOSED, State.LISTEN, State.SYN_SENT, State.SYN_RECEIVED, State.TIME_WAIT})


def arm(tcb: Tcb) -> None:
    """The setting, or the state, has changed, or a probe was answered: begin to watch, or stop."""
    tcb.keepalives = 0
    # As in Linux not where nobody waits for the peer's FIN any more: finwait2 ends that.
    watched = tcb.config.keepalive and tcb.state in _WATCHED and tcb.timers.fin_wait_2 is None
    tcb.timers.keepalive = tcb.heard_at + idle_time(tcb) if watched else None


def idle_time(tcb: Tcb) -> int:
    """After how long a silence the first probe goes out; RFC 5482 4.2: later than an adopted user timeout."""
    least = 0 if tcb.uto.adopted is None else tcb.uto.adopted + SECOND
    return max(tcb.config.keepalive_time, least)


def expired(tcb: Tcb, now: int) -> bool:
    """The timer has come: a probe, or, after ``keepalive_probes`` of them without an answer (MUST-29), the end.

    True where a probe goes out or the connection ends, and not only the timer goes on.
    """
    config = tcb.config
    silence = now - tcb.heard_at
    if tcb.waiting or silence < idle_time(tcb):  # MUST-26: only an idle connection is probed
        tcb.timers.keepalive = (now if tcb.waiting else tcb.heard_at) + idle_time(tcb)
        return False
    if _given_up(tcb, silence):
        tcb.counters.add("TcpExtTCPAbortOnTimeout")
        tcb.send_reset(now)
        error = tcb.soft_error if tcb.soft_error is not None else ConnectionTimedOut()
        tcb.die(error, cause="timer keep-alive", clause="3.8.4", now=now)
        return True
    tcb.keepalives += 1
    if tcb.probing is NOT_PROBING:
        tcb.probing = Probing()
    tcb.probing.unanswered += 1
    tcb.keepalive_due = True
    tcb.counters.add("TcpExtTCPKeepAlive")
    tcb.timers.keepalive = now + config.keepalive_intvl
    return True


def _given_up(tcb: Tcb, silence: int) -> bool:
    """So many probes, or the user timeout where there is one, as Linux has it."""
    own = tcb.user_timeout
    if own is not None:
        return tcb.keepalives > 0 and silence >= own
    return tcb.keepalives >= tcb.config.keepalive_probes
