"""When an active open may take a pair of sockets that waits in TIME-WAIT (Linux tcp_tw_reuse, tcp_twsk_unique).

The wait is there for old duplicates (RFC 9293 3.6.1). Timestamps tell those from what is new, as RFC 6191 argues for the other
end: the clock of the pair goes on (``SecretOffset``), so what the new incarnation is sent is younger than all that the old one was.
"""

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.tcp.timewait import TimeWait

_LOOPBACK_IPV6 = bytes(15) + b"\x01"


def gives_way(record: TimeWait, *, asked: bool, config: StackConfig, now: int) -> bool:
    """Whether ``record`` ends for a new connection with ``config``. ``asked``: for one that was bound there with SO_REUSEADDR."""
    if record.timestamps is None or not config.timestamps:
        return False
    if asked:
        return True
    if not config.tw_reuse or (config.tw_reuse == 2 and not (_is_loopback(record.local) or _is_loopback(record.remote))):
        return False
    return record.timestamps.age(now) > config.tw_reuse_delay


def _is_loopback(socket: Endpoint) -> bool:
    return socket.address == _LOOPBACK_IPV6 if len(socket.address) == 16 else socket.address[0] == 127
