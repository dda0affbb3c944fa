"""What ICMP errors do to a connection (RFC 9293 3.9.2.2), believed only for what is outstanding (RFC 5927 4)."""

from userstack.tcp import fastopen, seq
from userstack.tcp.options import header_size
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb

_DEAF = frozenset({State.CLOSED, State.LISTEN, State.TIME_WAIT})

_MIN_MTU = {40: 68, 60: 1280}
"""RFC 791 and RFC 8200, by the size of the fixed headers."""


def on_error(tcb: Tcb, error: OSError, *, hard: bool, wire_seq: int, now: int) -> None:
    """A soft error is remembered for the application (MUST-56, SHLD-25); a hard one aborts (SHLD-26)."""
    if not _believable(tcb, wire_seq):
        tcb.counters.add("TcpExtOutOfWindowIcmps")
    elif hard:
        fastopen.failed(tcb, now)
        tcb.die(error, cause=f"ICMP {type(error).__name__}", clause="3.9.2.2", now=now)
    else:
        tcb.soft_error = error


def on_packet_too_big(tcb: Tcb, mtu: int, *, wire_seq: int, now: int) -> None:
    """RFC 1191: what did not fit is cut smaller and sent again at once."""
    if not _believable(tcb, wire_seq):
        tcb.counters.add("TcpExtOutOfWindowIcmps")
        return
    mtu = max(mtu, _MIN_MTU[header_size(tcb.address)])
    if mtu >= tcb.path_mtu:
        return
    tcb.path_mtu, before = mtu, tcb.snd_mss
    tcb.update_mss()
    if tcb.state is State.SYN_SENT and tcb.fast_open.sent:
        tcb.syn_due = True  # as Linux does: the SYN was lost for its text, and goes without it now
    if tcb.syn_acked and tcb.flight and tcb.snd_mss < before:
        tcb.recovery.resend_all(tcb.snd_una, tcb.snd_nxt)


def _believable(tcb: Tcb, wire_seq: int) -> bool:
    # RFC 5927 4.1; up to SND.NXT inclusive, for a bare ACK of ours carries that number.
    return tcb.state not in _DEAF and tcb.snd_una <= seq.unwrap(wire_seq, tcb.snd_una) <= tcb.snd_nxt
