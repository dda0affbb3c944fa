"""What ICMP errors do to a connection (RFC 9293 3.9.2.2), believed only for what is outstanding (RFC 5927 4).

Hard errors abort a connection that is being opened (SHLD-26). In the synchronized states they are taken as soft ones: RFC 5927 5.2
argues that a message which anybody can forge is no reason to give up what works, RFC 5461 2.2 tells that the stacks do so, RFC 9293
leaves it at SHOULD, and no kernel aborts. ``StackConfig.icmp_ends_synchronized`` is the letter of SHLD-26.

Soft errors never abort (MUST-56), in the handshake neither. Linux does abort it then (RFC 5461 4):
``StackConfig.icmp_ends_opening``, which its profile has.
"""

from typing import Final

from userstack.errors import MessageTooLong
from userstack.tcp import fastopen, seq
from userstack.tcp.rack import RackRecovery
from userstack.tcp.report import Reason
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb

_DEAF: Final = frozenset({State.CLOSED, State.LISTEN, State.TIME_WAIT})
_OPENING: Final = frozenset({State.SYN_SENT, State.SYN_RECEIVED})
_LEAST_MTU_V6: Final = 1280
"""RFC 8200 5."""


def on_error(tcb: Tcb, error: OSError, *, hard: bool, wire_seq: int, now: int) -> None:
    """A soft error is remembered for the application (MUST-56, SHLD-25); a hard one aborts (SHLD-26)."""
    opening = tcb.state in _OPENING
    fatal = hard or tcb.config.icmp_ends_opening if opening else hard and tcb.config.icmp_ends_synchronized
    # Note: RFC 5927 4.1 stops short of SND.NXT, but that is what a bare ACK of ours carries; Linux believes it too.
    if not _outstanding(tcb, wire_seq, bare_ack=not opening):
        tcb.counters.add("TcpExtOutOfWindowIcmps")
    elif fatal:
        fastopen.failed(tcb, now)
        tcb.die(error, cause=f"ICMP {type(error).__name__}", clause="3.9.2.2", now=now)
    else:
        tell(tcb, Reason.ICMP, error, now)


def tell(tcb: Tcb, reason: Reason, error: OSError, now: int) -> None:
    """Remember a soft error as the last one, and report it (MUST-47)."""
    tcb.soft_error = error
    if tcb.reports is not None:
        tcb.reports.add(now, reason, error)


def on_packet_too_big(tcb: Tcb, mtu: int, *, wire_seq: int, now: int) -> None:
    """RFC 1191, RFC 8201: what did not fit is cut smaller and sent again at once, and the congestion window stays as it is."""
    if not _outstanding(tcb, wire_seq):  # RFC 5927 7.2: of data in flight alone
        tcb.counters.add("TcpExtOutOfWindowIcmps")
        return
    ipv4, mode = len(tcb.address) == 4, tcb.lower.pmtu_discovery
    if not ipv4 and mode.is_deaf:
        return
    least = tcb.config.min_path_mtu if ipv4 else _LEAST_MTU_V6
    tcb.lower.path.learn(mtu, least=least, lifetime=tcb.config.path_mtu_expires, now=now)
    if (
        mtu < tcb.lower.path.mtu and tcb.lower.dont_fragment
    ):  # IP_PMTUDISC_DO: no packet gets through, as Linux tells by the same error
        tell(tcb, Reason.ICMP, MessageTooLong(), now)
    if ipv4 and not mode.sends_again:
        return  # the next segment follows what the path takes
    before, mtu_before = tcb.snd_mss, tcb.path_mtu
    tcb.follow_path()
    if tcb.state is State.SYN_SENT and tcb.fast_open.sent and tcb.path_mtu < mtu_before:  # its MSS is not known yet
        tcb.syn_due = True  # as Linux does: the SYN was lost for its text, and goes without it now
    if tcb.syn_acked and tcb.snd_mss < before and tcb.flight > tcb.snd_mss:  # else nothing of it can have been too large
        _send_again(tcb)


def _send_again(tcb: Tcb) -> None:
    if isinstance(tcb.recovery, RackRecovery):
        tcb.recovery.resend_larger(tcb.snd_mss, tcb.snd_nxt)
    else:
        tcb.recovery.resend_all(tcb.snd_una, tcb.snd_nxt)


def _outstanding(tcb: Tcb, wire_seq: int, *, bare_ack: bool = False) -> bool:
    """RFC 5927 4.1: SND.UNA =< SEG.SEQ < SND.NXT."""
    number = seq.unwrap(wire_seq, tcb.snd_una)
    return tcb.state not in _DEAF and tcb.snd_una <= number < tcb.snd_nxt + bare_ack
