"""What a connection needs once text goes, or comes, for the first time: most of those that wait for their peer have seen neither.

Until then they share what stands at its start, ``NOTHING_...``, to which nobody ever adds. Here each gets its own.
"""

from userstack.tcp.chronograph import NEVER_BUSY, Chronograph
from userstack.tcp.delayed_ack import NOTHING_ARRIVED, DelayedAck
from userstack.tcp.delivery import UNTOUCHED, Delivery
from userstack.tcp.newreno import NewReno
from userstack.tcp.nothing_sent import NOTHING_SENT
from userstack.tcp.rack import RackRecovery
from userstack.tcp.receiver_rtt import ReceiverRtt
from userstack.tcp.recovery import LossRecovery
from userstack.tcp.sack import SackReport
from userstack.tcp.sack_recovery import SackRecovery
from userstack.tcp.state import State
from userstack.tcp.tally import NOTHING_TALLIED, Tally
from userstack.tcp.tcb import Tcb


def goes(tcb: Tcb) -> None:
    """Text, or a FIN, is about to be sent; or there is something to note of what was, a SYN perhaps."""
    tally(tcb)
    if tcb.chronograph is NEVER_BUSY:
        tcb.chronograph = Chronograph()
    if tcb.delivery in UNTOUCHED:
        tcb.delivery = Delivery(tcb.delivery.delivered)
    if tcb.recovery is NOTHING_SENT:
        tcb.recovery = recovery(tcb, sack=tcb.sack_permitted and tcb.state is not State.SYN_SENT)
        if tcb.syn_acked or tcb.early:
            tcb.recovery.begin(tcb.text_una)


def recovery(tcb: Tcb, *, sack: bool) -> LossRecovery:
    """Loss recovery at its start, with SACK or without: in SYN-SENT nobody knows yet what the peer can do."""
    if not sack:
        return NewReno(tcb.iss)
    return RackRecovery(tcb.iss, tcb.rtt, tcb.counters) if tcb.config.rack else SackRecovery(tcb.iss, tcb.config.sack_ranges)


def comes(tcb: Tcb) -> None:
    """Text has arrived, in order or not, or how text is to be acknowledged was said."""
    if tcb.delayed_ack is NOTHING_ARRIVED:
        tcb.delayed_ack = DelayedAck(tcb.config)
        tcb.sack_report = SackReport()
        tcb.receiver_rtt = ReceiverRtt()
        if tcb.data_received_at is not None:  # the connection was established then
            tcb.receiver_rtt.begin(tcb.rcv_nxt, tcb.first_space, tcb.data_received_at)


def tally(tcb: Tcb) -> Tally:
    """The tally, to count something in it."""
    if tcb.tally is NOTHING_TALLIED:
        tcb.tally = Tally()
    return tcb.tally
