"""Orphans: connections that their program has closed and that finish by themselves (the BSD ``close``, RFC 9293 3.6.1, MAY-1).

Nobody waits for their end, so they get less patience than others, and a host has only so many of them: a peer that holds its
window shut, or is gone, must not keep memory for ever. RFC 9293 3.8.6.1 leaves that to "resource management concerns"; the
measures are those of Linux (tcp_orphan_retries, tcp_max_orphans).
"""

from functools import lru_cache
from typing import Final

from userstack.errors import ConnectionTimedOut
from userstack.tcp.state import State
from userstack.tcp.tcb import Tcb

_OVER: Final = frozenset({State.CLOSED, State.LISTEN, State.TIME_WAIT})
_DEFAULT_RETRIES: Final = 8
"""Linux: what an ``orphan_retries`` of 0 stands for, as long as the back-off has not reached its ceiling."""


def begin(tcb: Tcb, now: int) -> None:
    """The program has just closed: count the connection, unless it is over, or end it where there are too many."""
    if tcb.orphan or tcb.state in _OVER:
        return
    tcb.orphan = True
    tcb.orphans.count += 1
    if tcb.orphans.too_many(0):
        _out_of_memory(tcb, now)


def retries(tcb: Tcb, timeout: int) -> int:
    """How many retransmissions or probes without success end an orphan whose next one waits for ``timeout`` ns."""
    config = tcb.config
    alive = timeout < config.rto_max
    if _is_in_trouble(tcb) and not alive:
        return 0
    return config.orphan_retries or (_DEFAULT_RETRIES if alive else 0)


def patience(tcb: Tcb) -> int:
    """R2 of an orphan, in ns: the time of so many retransmissions from the least RTO on."""
    return _back_off(tcb.config.rto_min, tcb.config.rto_max, retries(tcb, tcb.rtt.rto) + 1)


@lru_cache(256)
def _back_off(least: int, most: int, attempts: int) -> int:
    """How long so many timeouts last, the first of ``least`` and each of the others of twice the last, ``most`` at the most."""
    return sum(min(least << attempt, most) for attempt in range(attempts))


def out_of_memory(tcb: Tcb, now: int) -> bool:
    """A timer of an orphan has come: True where there are too many of them, and this one was therefore reset.

    One that the network has said something bad about, or that has been silent for long, is counted as more than one.
    """
    penalty = (now - tcb.data_sent_at > 2 * tcb.config.rto_max) + _is_in_trouble(tcb)
    if not tcb.orphans.too_many(penalty):
        return False
    _out_of_memory(tcb, now)
    return True


def _is_in_trouble(tcb: Tcb) -> bool:
    """The network has said something bad: what R1 has left there is no word of it."""
    return tcb.soft_error is not None and not isinstance(tcb.soft_error, ConnectionTimedOut)


def _out_of_memory(tcb: Tcb, now: int) -> None:
    tcb.counters.add("TcpExtTCPAbortOnMemory")
    tcb.send_reset(now)
    tcb.die(None, cause="too many orphans", clause="3.8.6.1", now=now)


def probed_enough(tcb: Tcb) -> bool:
    """An orphan before a shut window ends after so many probes that nobody answered, or once their back-off is at its ceiling.

    Note: MUST-37 is for connections that someone still uses.
    """
    wait = tcb.rtt.rto << tcb.probing.sent
    most = retries(tcb, wait)
    return tcb.probing.unanswered >= most or (wait >= tcb.config.rto_max and tcb.probing.sent >= most)
