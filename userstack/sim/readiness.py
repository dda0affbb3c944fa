"""What ``poll`` tells of a stream socket, as ``tcp_poll`` of Linux decides it, by the numbers that Linux gives the events."""

from userstack.net.listener import Listener
from userstack.sim.socket_state import RD, WR
from userstack.tcp.connection import Connection
from userstack.tcp.state import State

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP = 0x001, 0x002, 0x004, 0x008, 0x010
POLLRDNORM, POLLWRNORM, POLLRDHUP = 0x040, 0x100, 0x2000
READABLE, WRITABLE = POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM


def listener_events(listener: Listener) -> int:
    """A connection waits to be accepted."""
    return READABLE if listener.acceptable else 0


def connection_events(connection: Connection | None, tcp: State, shut: int, *, failed: bool) -> int:
    """``tcp`` is the state as the socket sees it, ``shut`` the directions that this end has shut down."""
    if connection is not None and (connection.fin_received or tcp is State.CLOSED):
        shut |= RD
    if connection is not None and tcp is State.CLOSED:
        shut |= WR
    events = POLLERR if failed else 0
    if shut == RD | WR or tcp is State.CLOSED:
        events |= POLLHUP
    if shut & RD:
        events |= READABLE | POLLRDHUP
    if connection is not None and tcp is State.SYN_SENT and connection.tcb.fast_open.deferred:
        return events | WRITABLE  # so that the write comes that the SYN waits for
    if tcp in {State.SYN_SENT, State.SYN_RECEIVED} and not (connection is not None and connection.tcb.early):
        return events
    if connection is not None and connection.has_text:
        events |= READABLE
    if connection is not None and connection.urgent_waits:
        events |= POLLPRI
    if shut & WR or connection is None or _has_room(connection):
        events |= WRITABLE
    return events


def _has_room(connection: Connection) -> bool:
    """As in Linux (``sk_stream_is_writeable``), a third of the buffer must be free before a sleeping writer is woken."""
    buffer = connection.tcb.sendbuf
    return buffer.room >= len(buffer) // 2 and buffer.room > 0
