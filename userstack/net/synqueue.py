"""Which SYNs a listener takes, and for how long it waits for their third segment: what the kernel does (RFC 4987 3, 4).

The SYN queue holds as many as the accept queue. A SYN that finds it full gets a SYN cookie, or, where there are to be none, is
dropped; nobody who is in it has to make place. What nobody answers leaves it the sooner the fuller it is.
"""

from enum import Enum, auto
from typing import Final

from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.listener import Listener
from userstack.tcp.connection import Connection

_FEW: Final = 8
"""Up to half of so many nobody is in a hurry, however short the backlog (Linux)."""
_LEAST_RETRIES: Final = 2


class Verdict(Enum):
    """What becomes of a SYN."""

    KEEP = auto()
    COOKIE = auto()
    DROP = auto()


def gets_cookie(listener: Listener) -> bool:
    """What ``judge`` says COOKIE of."""
    mode, backlog = listener.config.syncookies, listener.backlog
    return not listener.full and (mode == 2 or (mode == 1 and len(listener.syn_queue) > backlog))


def judge(listener: Listener, counters: Counters) -> Verdict:
    """What becomes of a SYN for ``listener`` (``tcp_syncookies``, ``tcp_max_syn_backlog``)."""
    config, backlog = listener.config, listener.backlog
    if config.syncookies == 2 or len(listener.syn_queue) > backlog:
        counters.add("TcpExtTCPReqQFullDoCookies" if config.syncookies else "TcpExtTCPReqQFullDrop")
        if not config.syncookies:
            return Verdict.DROP
        if gets_cookie(listener):
            return Verdict.COOKIE
    if listener.full:
        counters.add("TcpExtListenOverflows")
        return Verdict.DROP
    if not config.syncookies and len(listener.syn_queue) > config.syn_backlog - (config.syn_backlog >> 2):
        return Verdict.DROP  # Note: Linux keeps the last quarter for peers that it has measured before; there are none here
    return Verdict.KEEP


def is_overdue(listener: Listener, connection: Connection) -> bool:
    """The SYN,ACK was repeated often enough, seen how many wait: in a queue that is more than half full Linux tries less often.

    The more of them have not answered the first SYN,ACK within its time, the less often; twice at the least.
    """
    waiting = len(listener.syn_queue)
    if 2 * waiting <= max(_FEW, listener.backlog):
        return False
    retries, young = _retries(connection.config), 2 * listener.young
    while retries > _LEAST_RETRIES and waiting >= young:
        retries, young = retries - 1, 2 * young
    return connection.tcb.retransmits >= retries


def _retries(config: StackConfig) -> int:
    """How often a SYN,ACK is repeated before ``r2_synack`` is reached (Linux tcp_synack_retries)."""
    return max((config.r2_synack // config.rto_initial + 1).bit_length() - 2, _LEAST_RETRIES)
