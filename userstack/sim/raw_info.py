"""TCP_INFO as a socket gives it: a listener tells of its queues, and the 2 MSL are no socket's (Linux ``tcp_get_info``)."""

from dataclasses import replace

from userstack.net.listener import Listener
from userstack.tcp import linux_info
from userstack.tcp.info import ConnectionInfo
from userstack.tcp.state import State


def raw_info(info: ConnectionInfo, listener: Listener | None = None) -> bytes:
    """The octets of ``struct tcp_info``."""
    if listener is not None:
        info = replace(info, segs_unacked=len(listener.accept_queue), segs_sacked=listener.backlog)
    elif info.state is State.TIME_WAIT:
        info = replace(info, state=State.CLOSED)
    return linux_info.pack(info)
