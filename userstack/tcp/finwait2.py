"""How long an orphan waits in FIN-WAIT-2 for the peer's FIN (Linux tcp_fin_timeout, TCP_LINGER2).

RFC 9293 gives this state no end. While the program reads it has none; once it has gone a peer that never closes would keep the
connection for ever.
"""

from userstack.tcp.segment import Segment
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb


def watch(tcb: Tcb, now: int) -> None:
    """The connection is an orphan in FIN-WAIT-2: start the timer, at least 3.5 RTO as in Linux, so that the FIN has a chance.

    Note: Linux keeps only a small record of it unless the time is longer than TIME-WAIT; here it stays a connection in any case,
    and counts as an orphan.
    """
    least = (tcb.rtt.rto << 2) - (tcb.rtt.rto >> 1)
    tcb.timers.fin_wait_2 = now + max(tcb.config.fin_timeout, least)
    tcb.timers.keepalive = None  # there is an end to it already


def closed_in_it(tcb: Tcb, now: int) -> None:
    """The program closes in FIN-WAIT-2; with no time to wait (TCP_LINGER2 below 0) that is a RST."""
    if tcb.state is not State.FIN_WAIT_2:
        return
    if tcb.config.fin_timeout:
        watch(tcb, now)
        return
    tcb.counters.add("TcpExtTCPAbortOnLinger")
    tcb.send_reset(now)
    tcb.die(None, cause="call CLOSE with TCP_LINGER2 below 0", clause="3.6.1", now=now)


def entered_by_orphan(tcb: Tcb, segment: Segment, now: int) -> None:
    """The FIN of an orphan has been acknowledged."""
    if tcb.config.fin_timeout:
        watch(tcb, now)
        return
    tcb.counters.add("TcpExtTCPAbortOnData")  # Linux's name for it here
    tcb.answer_reset(segment, segment.reset)
    tcb.die(None, cause=f"{segment.cause} after CLOSE with TCP_LINGER2 below 0", clause="3.6.1", now=now)
