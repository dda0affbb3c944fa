"""TIMEOUTS: what happens when a deadline of a connection comes (RFC 9293 3.8 and 3.10.8, RFC 6298 5)."""

from userstack.errors import ConnectionTimedOut
from userstack.tcp import acknowledge, calls, fastopen, first_text, keepalive, loss_counts, orphans, retransmission, tlp
from userstack.tcp.probing import NOT_PROBING, Probing
from userstack.tcp.report import Reason
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb
from userstack.trace import TimerFired


def on_deadline(tcb: Tcb, *, now: int) -> None:
    """Act on every timer whose time has come."""
    timers = tcb.timers
    if timers.delayed_ack is not None and now >= timers.delayed_ack:
        timers.delayed_ack = None
        tcb.delayed_ack.expired(tcb.rtt.rto)
        tcb.counters.add("TcpExtDelayedACKs")
        tcb.ack_now = True
    if timers.override is not None and now >= timers.override:
        timers.override = None
        tcb.override_due = True
    if timers.fin_wait_2 is not None and now >= timers.fin_wait_2:
        _trace(tcb, "FIN-WAIT-2", "nobody reads and the peer sends no FIN", now)
        calls.user_timeout(tcb, now=now)
    if timers.keepalive is not None and now >= timers.keepalive and keepalive.expired(tcb, now):
        _trace(tcb, "keep-alive", f"probe {tcb.keepalives}", now)
    if timers.persist is not None and now >= timers.persist:
        _persist(tcb, now)
    if timers.user_timeout is not None and now >= timers.user_timeout:
        _patience_ends(tcb, now)
    if timers.reordering is not None and now >= timers.reordering:
        acknowledge.judge(tcb, now)
    if timers.loss_probe is not None and now >= timers.loss_probe:
        tlp.expired(tcb, now)
        _trace(tcb, "loss probe", "no ACK for two round trips", now)
    if timers.retransmission is not None and now >= timers.retransmission:
        _retransmission(tcb, now)


def _retransmission(tcb: Tcb, now: int) -> None:
    """3.10.8, RETRANSMISSION TIMEOUT, with RFC 6298 (5.4) to (5.6)."""
    if retransmission.spent(tcb, now) and not _shut_but_answering(tcb, now):
        _give_up(tcb, now)
        return
    if tcb.orphan and orphans.out_of_memory(tcb, now):
        return
    tcb.counters.add("TcpExtTCPTimeouts")
    loss_counts.timed_out(tcb)
    first_text.tally(tcb).timed_out(now, first=not tcb.retransmits)
    tcb.retransmits += 1
    fastopen.timed_out(tcb, now)
    if tcb.retransmitted_since is None:
        tcb.retransmitted_since = now
        retransmission.watch(tcb)
    if tcb.state is not State.SYN_SENT or tcb.retransmits > tcb.config.syn_linear_timeouts:
        tcb.rtt.back_off()
    tcb.rtt.forget_timing()
    if tcb.retransmits == tcb.config.r1:  # SHLD-9
        _tell_of_r1(tcb, now)
    if tcb.syn_acked:
        tcb.ecn.slowed_down(tcb.snd_nxt)
        tcb.tlp_end = None
        if tcb.recovery.on_timeout(tcb.snd_una, tcb.snd_nxt, tcb.congestion, now):
            tcb.counters.add("TcpExtTCPSACKReneging")
        tcb.congestion.on_timeout(tcb.flight, again=tcb.retransmits > 1)
    else:
        tcb.syn_due = not (tcb.deferred and tcb.retransmits < tcb.config.defer_accept)
        tcb.syn_lost |= tcb.syn_due
    tcb.timers.retransmission = now + tcb.rtt.rto
    _trace(tcb, "retransmission", f"attempt {tcb.retransmits}, RTO now {tcb.rtt.rto // 1_000_000} ms", now)


def _tell_of_r1(tcb: Tcb, now: int) -> None:
    """An ICMP error says more: it stays the one that is remembered."""
    error = ConnectionTimedOut(f"{tcb.retransmits} retransmissions without an answer")
    if tcb.reports is not None:
        tcb.reports.add(now, Reason.RETRANSMISSIONS, error)
    if tcb.soft_error is None:
        tcb.soft_error = error


def _persist(tcb: Tcb, now: int) -> None:
    """3.8.6.1: probe, and back off; as long as the peer answers the connection stays (MUST-37)."""
    if tcb.probing is NOT_PROBING:
        tcb.probing = Probing()
    tcb.probing.due(now)
    if _probed_long_enough(tcb, now):
        _give_up(tcb, now)
        return
    if tcb.orphan and orphans.out_of_memory(tcb, now):
        return
    tcb.probe_due = True
    tcb.urgent_probe_due = tcb.urgent
    tcb.probing.probed()
    retransmission.restart_persist(tcb, now)
    _trace(tcb, "persist", f"zero-window probe {tcb.probing.sent}", now)


def _probed_long_enough(tcb: Tcb, now: int) -> bool:
    """The peer has not answered for R2, or nobody uses the connection, or the application has said how long it may take.

    Note: the user timeout, as in Linux, runs though the peer answers: what was written is not through, and that is what it limits.
    """
    probing = tcb.probing
    own = retransmission.user_timeout(tcb)
    if own is not None and probing.shut_for(now) >= own:
        return True
    if tcb.orphan:
        return orphans.probed_enough(tcb)
    return own is None and probing.unanswered_for(now) >= retransmission.patience(tcb)


def _patience_ends(tcb: Tcb, now: int) -> None:
    """R2 or the user timeout."""
    if not _shut_but_answering(tcb, now):
        _give_up(tcb, now)


def _shut_but_answering(tcb: Tcb, now: int) -> bool:
    """SHLD-17: what was sent into a window that has shut since is only a probe, and whoever answers it is not given up."""
    if tcb.snd_wnd or not tcb.syn_acked or tcb.orphan or retransmission.user_timeout(tcb) is not None:
        return False
    patience = retransmission.patience(tcb)
    if now - tcb.heard_at >= patience:
        return False
    tcb.outstanding_since = tcb.heard_at
    tcb.timers.user_timeout = None if tcb.config.give_up_as_linux else tcb.heard_at + patience
    return True


def _give_up(tcb: Tcb, now: int) -> None:
    """R2 (3.8.3) or the user timeout (3.10.8) has been reached. An earlier soft error says more than "timed out" does."""
    by_user = retransmission.user_timeout(tcb) is not None
    _trace(tcb, "user timeout" if by_user else "R2", "nothing was acknowledged for too long", now)
    tcb.counters.add("TcpExtTCPAbortOnTimeout")
    fastopen.failed(tcb, now)
    fastopen.timed_out(tcb, now, last=True)
    error = tcb.soft_error if tcb.soft_error is not None else ConnectionTimedOut()
    if by_user:
        tcb.die(error, cause="user timeout", clause="3.10.8", now=now)
    else:
        tcb.die(error, cause="timer R2", clause="3.8.3", now=now)


def _trace(tcb: Tcb, timer: str, detail: str, now: int) -> None:
    if tcb.trace is not None:
        tcb.trace(TimerFired(now, tcb.local, tcb.remote, timer, detail))
