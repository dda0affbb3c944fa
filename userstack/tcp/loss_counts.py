"""Which counters of ``nstat`` tell of loss recovery: where a timeout came too late for it, and why something goes again."""

from userstack.tcp.recovery import Phase
from userstack.tcp.tcb import Tcb


def timed_out(tcb: Tcb) -> None:
    """The first timeout in a row: what recovery was at, and did not bring about."""
    if tcb.retransmits or not tcb.syn_acked:
        return
    match tcb.recovery.phase(tcb.snd_una):
        case Phase.RECOVERY:
            tcb.counters.add("TcpExtTCPSackRecoveryFail" if tcb.sack_permitted else "TcpExtTCPRenoRecoveryFail")
        case Phase.LOSS:
            tcb.counters.add("TcpExtTCPLossFailures")
        case Phase.DISORDER:
            tcb.counters.add("TcpExtTCPSackFailures" if tcb.sack_permitted else "TcpExtTCPRenoFailures")
        case Phase.OPEN | Phase.CWR:
            pass


def resent(tcb: Tcb) -> None:
    """A segment went out again: in fast recovery, or after a timeout, whose own retransmission is counted with it."""
    if tcb.recovery.fast:
        tcb.counters.add("TcpExtTCPFastRetrans")
    elif tcb.tally.rto_resend:
        tcb.tally.rto_resend = False
    else:
        tcb.counters.add("TcpExtTCPSlowStartRetrans")
