"""SO_ERROR of a connection that lives (Linux ``sk_err_soft``)."""

from userstack.errors import ConnectionTimedOut
from userstack.tcp.connection import Connection


def take_soft_error(connection: Connection | None) -> OSError | None:
    """What ICMP has told of it, which is then forgotten; that R1 was reached Linux tells nobody."""
    if connection is None or connection.tcb.soft_error is None or isinstance(connection.tcb.soft_error, ConnectionTimedOut):
        return None
    error, connection.tcb.soft_error = connection.tcb.soft_error, None
    return error
