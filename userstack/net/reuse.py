"""When an active open may take a pair of sockets that waits in TIME-WAIT (Linux tcp_tw_reuse, tcp_twsk_unique).

The wait is there for old duplicates (RFC 9293 3.6.1). Timestamps tell those from what is new, as RFC 6191 argues for the other
end: the clock of the pair goes on (``SecretOffset``), so what the new incarnation is sent is younger than all that the old one was.
"""

from userstack.config import StackConfig
from userstack.tcp.timewait import TimeWait


def gives_way(record: TimeWait, *, asked: bool, loopback: bool, config: StackConfig, now: int) -> bool:
    """Whether ``record`` ends for a new connection with ``config``. ``asked``: for one that was bound there with SO_REUSEADDR.

    ``loopback``: both ends are this host's. Such packets never leave it, and for no old duplicate of theirs has anybody to wait.
    """
    if record.timestamps is None or not config.timestamps:
        return False
    if asked:
        return True
    if not config.tw_reuse or (config.tw_reuse == 2 and not loopback):
        return False
    return record.timestamps.age(now) > config.tw_reuse_delay
