"""STATUS (RFC 9293 3.10.6): what the control block has to tell, as a ``ConnectionInfo``."""

from userstack.tcp import measured, retransmission, urgent
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.tcb import Tcb


def of(tcb: Tcb, now: int | None) -> ConnectionInfo:
    """All of it. Without ``now`` what counts time stands as of when something was last sent or received."""
    timer = earliest(tcb)
    synchronized = tcb.rcv_nxt > 0  # the peer's SYN is here, and with it what options were agreed
    return ConnectionInfo(
        state=tcb.state if tcb.time_wait is None else tcb.time_wait.state,
        local=tcb.local,
        remote=tcb.remote,
        passive=tcb.passive,
        rto=tcb.rtt.rto,
        srtt=tcb.rtt.srtt,
        rttvar=tcb.rtt.rttvar,
        cwnd=tcb.congestion.cwnd,
        ssthresh=tcb.congestion.ssthresh,
        snd_mss=tcb.snd_mss,
        rcv_mss=tcb.rcv_mss,
        path_mtu=tcb.path_mtu,
        rcv_tos=tcb.lower.rcv_tos,
        snd_wnd=tcb.snd_wnd,
        rcv_wnd=tcb.rcv_wnd,
        snd_wscale=tcb.snd_wind_shift if synchronized and tcb.window_scaling else None,
        rcv_wscale=tcb.rcv_wind_shift if synchronized and tcb.window_scaling else None,
        timestamps=synchronized and tcb.snd_ts_ok,
        sack_permitted=synchronized and tcb.sack_permitted,
        ecn=tcb.ecn.ok,
        syn_data=tcb.fast_open.acked,
        phase=measured.phase(tcb),
        sacked=tcb.recovery.sacked,
        unacked=tcb.flight,
        unsent=tcb.unsent,
        unread=tcb.recvbuf.size,
        urgent_unread=urgent.remaining(tcb),
        retransmits=tcb.retransmits,
        backoffs=tcb.rtt.backoffs,
        probes=tcb.probing.sent,
        total_retrans=tcb.total_retrans,
        bytes_sent=tcb.bytes_sent,
        bytes_acked=tcb.bytes_acked,
        bytes_received=tcb.bytes_received,
        bytes_retrans=tcb.bytes_retrans,
        segs_out=tcb.segs_out,
        segs_in=tcb.segs_in,
        orphan=tcb.orphan,
        user_timeout=retransmission.user_timeout(tcb),
        peer_user_timeout=tcb.uto.remote,
        timer=timer[0] if timer else "",
        timer_expires=timer[1] if timer else None,
        **measured.of(tcb, measured.last_event(tcb) if now is None else now).keywords,
    )


def earliest(tcb: Tcb) -> tuple[str, int] | None:
    """The name and the time of the next deadline, whoever keeps it; None: no timer runs."""
    if tcb.time_wait is not None:
        deadline = tcb.time_wait.next_deadline()
        return None if deadline is None else ("TIME-WAIT", deadline)
    if tcb.syn_due and tcb.quiet_until:
        return ("quiet time", tcb.quiet_until)
    return tcb.timers.earliest()
