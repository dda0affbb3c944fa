"""The retransmission timer and the one that ends it all: RFC 6298 5, R2 and the user timeout of RFC 9293 3.8.3.

While something that takes sequence space is outstanding both run: one sends it again, the other gives up. At a zero window both
stand still, for the persist timer has taken over.
"""

from userstack.config import FOREVER
from userstack.tcp import orphans
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb


def arm(tcb: Tcb, now: int) -> None:
    """RFC 6298 (5.1): something that takes sequence space goes out; start the timer unless it runs."""
    if tcb.timers.retransmission is None:
        tcb.timers.retransmission = now + tcb.rtt.rto
    first = tcb.outstanding_since is None
    if first:
        tcb.outstanding_since = now
    if first or tcb.retransmits or tcb.orphan:  # otherwise nothing that R2 depends on has changed
        watch(tcb)


def restart(tcb: Tcb, now: int) -> None:
    """RFC 6298 (5.2), (5.3): something was acknowledged; begin anew for what is still outstanding, or stop."""
    tcb.retransmits = 0
    tcb.retransmitted_since = None
    if tcb.snd_nxt > tcb.snd_una:
        tcb.outstanding_since = now
        tcb.timers.retransmission = now + tcb.rtt.rto
        watch(tcb)
    else:
        stop(tcb)


def stop(tcb: Tcb) -> None:
    """Nothing is outstanding, or the window is shut."""
    tcb.outstanding_since = None
    tcb.timers.retransmission = tcb.timers.user_timeout = tcb.timers.loss_probe = tcb.timers.reordering = None


def restart_persist(tcb: Tcb, now: int) -> None:
    """The peer has spoken and its window is still shut: the next probe is as far away as the back-off and the user timeout say."""
    next_probe = now + min(tcb.rtt.rto << tcb.probing.sent, tcb.config.rto_max)
    own = user_timeout(tcb)
    if own is not None and tcb.probing.shut_since is not None:
        next_probe = max(min(next_probe, tcb.probing.shut_since + own), now)
    tcb.timers.persist = next_probe


def set_user_timeout(tcb: Tcb, timeout: int | None) -> None:
    """TCP_USER_TIMEOUT: how long something may stay unacknowledged, in ns; None goes back to R2, ``FOREVER`` never gives up."""
    if tcb.uto.enabled and timeout is not None and timeout != tcb.user_timeout:
        tcb.uto.user_timeout_set()
    tcb.user_timeout = timeout
    watch(tcb)


def user_timeout(tcb: Tcb) -> int | None:
    """The user timeout, where one was set or, in a synchronized state, adopted from the peer (RFC 5482 3.3)."""
    return tcb.uto.adopted if tcb.user_timeout is None and tcb.snd_una > tcb.iss else tcb.user_timeout


def patience(tcb: Tcb) -> int:
    """The user timeout, or R2 where there is none, in ns (MUST-20, MUST-21, MUST-23)."""
    return _patience(tcb, user_timeout(tcb))


def _patience(tcb: Tcb, own: int | None) -> int:
    if own is not None and not (tcb.orphan and own >= FOREVER):
        return own
    config = tcb.config
    if tcb.snd_una <= tcb.iss:
        return config.r2_syn if tcb.state is State.SYN_SENT else config.r2_synack
    return min(config.r2, orphans.patience(tcb)) if tcb.orphan else config.r2


def watch(tcb: Tcb) -> None:
    """What R2 is, or since when it is measured, may have changed."""
    since = tcb.outstanding_since
    if since is None:
        return
    own = user_timeout(tcb)
    if tcb.config.give_up_as_linux and tcb.syn_acked:
        # The time counts from the first retransmission on; without a user timeout it is looked at when the next one is due.
        since = tcb.retransmitted_since if own is not None else None
    longest = _patience(tcb, own)
    tcb.timers.user_timeout = None if since is None or longest >= FOREVER else since + longest


def spent(tcb: Tcb, now: int) -> bool:
    """The retransmission timer has come, and with it R2 as Linux measures it."""
    if not (tcb.config.give_up_as_linux and tcb.syn_acked) or tcb.retransmitted_since is None:
        return False
    return now - tcb.retransmitted_since >= patience(tcb)
