"""Socket options by the kernel's numbers. Law: what is not in the table is refused with ENOPROTOOPT, never accepted and ignored.

So the options of IPv4 are refused on a connection over IPv6, and the other way round, where the kernel keeps what has no effect.
``SO_LINGER`` is not here: it belongs to the handle and not to the connection (see ``Connection.set_linger``).
"""

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from userstack.api.errors import NoSuchOption
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import InvalidArgument
from userstack.sim.tcp_options import get_setting, set_setting
from userstack.tcp.connection import Connection
from userstack.tcp.pmtudisc import PmtuDiscovery

TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 18)
"""Milliseconds; the numbers are Linux's where this platform has none of its own."""
TCP_CORK = getattr(socket, "TCP_CORK", 3)
TCP_KEEPIDLE = getattr(socket, "TCP_KEEPIDLE", 4)
TCP_KEEPINTVL = getattr(socket, "TCP_KEEPINTVL", 5)
TCP_KEEPCNT = getattr(socket, "TCP_KEEPCNT", 6)
TCP_LINGER2 = getattr(socket, "TCP_LINGER2", 8)
TCP_INFO = getattr(socket, "TCP_INFO", 11)
TCP_QUICKACK = getattr(socket, "TCP_QUICKACK", 12)
IPV6_UNICAST_HOPS = getattr(socket, "IPV6_UNICAST_HOPS", 16)
IPV6_TCLASS = getattr(socket, "IPV6_TCLASS", 67)
IP_MTU_DISCOVER, IP_MINTTL = 10, 21
"""Linux's numbers, as those of IPv6; Python has no names for them."""
IPV6_MTU_DISCOVER, IPV6_MINHOPCOUNT = 23, 73
MTU_OF_IPV4, MTU_OF_IPV6 = (socket.IPPROTO_IP, 14), (socket.IPPROTO_IPV6, 24)
"""IP_MTU and IPV6_MTU can only be read, and only by whoever has the clock: what is known of a path expires."""
_ECN_BITS = 0x03


class _Option(NamedTuple):
    get: Callable[[Connection, StackConfig], int]
    set: Callable[[Connection, int, StackConfig], None] | None


def _set_user_timeout(connection: Connection, value: int, config: StackConfig) -> None:
    if value < 0:
        raise InvalidArgument(f"TCP_USER_TIMEOUT is a number of milliseconds from 0 (none) up, not {value}")
    connection.user_timeout = value * MILLISECOND or None


def _set_ttl(connection: Connection, value: int, config: StackConfig) -> None:
    if value != -1 and not 1 <= value <= 255:
        raise InvalidArgument(f"IP_TTL is 1 to 255, or -1 for the default, not {value}")
    connection.ttl = config.default_ttl if value == -1 else value


def _set_tos(connection: Connection, value: int, config: StackConfig) -> None:
    if not 0 <= value <= 255:
        raise InvalidArgument(f"IP_TOS is 0 to 255, not {value}")
    # As in Linux: on TCP the ECN bits are not the application's.
    connection.tos = value & ~_ECN_BITS | connection.tos & _ECN_BITS


def _set_unicast_hops(connection: Connection, value: int, config: StackConfig) -> None:
    if not -1 <= value <= 255:
        raise InvalidArgument(f"IPV6_UNICAST_HOPS is 0 to 255, or -1 for the default, not {value}")
    connection.ttl = config.default_ttl if value == -1 else value


def _set_traffic_class(connection: Connection, value: int, config: StackConfig) -> None:
    if not -1 <= value <= 255:
        raise InvalidArgument(f"IPV6_TCLASS is 0 to 255, or -1 for the default, not {value}")
    _set_tos(connection, 0 if value == -1 else value, config)


def _set_nodelay(connection: Connection, value: int, config: StackConfig) -> None:
    connection.nodelay = bool(value)


def _set_cork(connection: Connection, value: int, config: StackConfig) -> None:
    connection.cork = bool(value)


def _set_quickack(connection: Connection, value: int, config: StackConfig) -> None:
    connection.quickack = bool(value & 1)


def _set_oob_inline(connection: Connection, value: int, config: StackConfig) -> None:
    connection.oob_inline = bool(value)


def _set_keepalive(connection: Connection, value: int, config: StackConfig) -> None:
    connection.configure(replace(connection.config, keepalive=bool(value)))


def _set_linger2(connection: Connection, value: int, config: StackConfig) -> None:
    changed = set_setting(connection.config, socket.IPPROTO_TCP, TCP_LINGER2, value, default=config)
    connection.configure(changed)


def _setting(name: str, field: str, unit: int, most: int) -> _Option:
    """The option ``name``, whose number, 1 to ``most``, times ``unit`` is a field of the connection's settings."""

    def get(connection: Connection, config: StackConfig) -> int:
        return int(getattr(connection.config, field)) // unit

    def set_(connection: Connection, value: int, config: StackConfig) -> None:
        if not 1 <= value <= most:
            raise InvalidArgument(f"{name} is 1 to {most}, not {value}")
        changed: dict[str, Any] = {field: value * unit}
        connection.configure(replace(connection.config, **changed))

    return _Option(get, set_)


def _take_error(connection: Connection, config: StackConfig) -> int:
    # As in Linux: what killed the connection is told once, to whoever asks first; else the last trouble that it survived.
    tcb = connection.tcb
    error, soft = tcb.error, tcb.soft_error
    if error is not None:
        tcb.error = None
    else:
        tcb.soft_error = None
    return (error or soft or OSError(0, "")).errno or 0


def _set_min_ttl(connection: Connection, value: int, config: StackConfig) -> None:
    if not 0 <= value <= 255:
        raise InvalidArgument(f"the least TTL or hop limit is 0 to 255, not {value}")
    connection.min_ttl = value


def _set_pmtu_discovery(connection: Connection, value: int, config: StackConfig) -> None:
    if value not in list(PmtuDiscovery):
        raise InvalidArgument(f"path MTU discovery is IP_PMTUDISC_DONT (0) to IP_PMTUDISC_OMIT (5), not {value}")
    connection.pmtu_discovery = PmtuDiscovery(value)


_MTU_DISCOVER = _Option(lambda c, _: int(c.pmtu_discovery), _set_pmtu_discovery)
_MIN_TTL = _Option(lambda c, _: c.min_ttl, _set_min_ttl)
_OVER_IPV4 = {
    (socket.IPPROTO_IP, IP_MTU_DISCOVER): _MTU_DISCOVER,
    (socket.IPPROTO_IP, IP_MINTTL): _MIN_TTL,
    (socket.IPPROTO_IP, socket.IP_TTL): _Option(lambda c, _: c.ttl, _set_ttl),
    (socket.IPPROTO_IP, socket.IP_TOS): _Option(lambda c, _: c.tos, _set_tos),
}
_OVER_IPV6 = {
    (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER): _MTU_DISCOVER,
    (socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT): _MIN_TTL,
    (socket.IPPROTO_IPV6, IPV6_UNICAST_HOPS): _Option(lambda c, _: c.ttl, _set_unicast_hops),
    (socket.IPPROTO_IPV6, IPV6_TCLASS): _Option(lambda c, _: c.tos, _set_traffic_class),
}
_OVER_BOTH = {
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): _Option(lambda c, _: int(c.nodelay), _set_nodelay),
    (socket.IPPROTO_TCP, socket.TCP_MAXSEG): _Option(lambda c, _: c.info().snd_mss, None),
    (socket.IPPROTO_TCP, TCP_USER_TIMEOUT): _Option(
        lambda c, _: min((c.user_timeout or 0) // MILLISECOND, 2**31 - 1), _set_user_timeout
    ),
    (socket.IPPROTO_TCP, TCP_CORK): _Option(lambda c, _: int(c.cork), _set_cork),
    (socket.IPPROTO_TCP, TCP_QUICKACK): _Option(lambda c, _: int(c.quickack), _set_quickack),
    (socket.IPPROTO_TCP, TCP_KEEPIDLE): _setting("TCP_KEEPIDLE", "keepalive_time", SECOND, 32767),
    (socket.IPPROTO_TCP, TCP_KEEPINTVL): _setting("TCP_KEEPINTVL", "keepalive_intvl", SECOND, 32767),
    (socket.IPPROTO_TCP, TCP_KEEPCNT): _setting("TCP_KEEPCNT", "keepalive_probes", 1, 127),
    (socket.IPPROTO_TCP, TCP_LINGER2): _Option(lambda c, _: get_setting(c.config, socket.IPPROTO_TCP, TCP_LINGER2), _set_linger2),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): _Option(lambda c, _: int(c.config.keepalive), _set_keepalive),
    (socket.SOL_SOCKET, socket.SO_OOBINLINE): _Option(lambda c, _: int(c.oob_inline), _set_oob_inline),
    (socket.SOL_SOCKET, socket.SO_ERROR): _Option(_take_error, None),
    (socket.SOL_SOCKET, socket.SO_SNDBUF): _Option(lambda c, _: c.tcb.sendbuf.limit, None),
    (socket.SOL_SOCKET, socket.SO_RCVBUF): _Option(lambda c, _: c.tcb.recvbuf.limit, None),
    (socket.SOL_SOCKET, socket.SO_TYPE): _Option(lambda _c, _: int(socket.SOCK_STREAM), None),
}


def set_option(connection: Connection, level: int, option: int, value: int, config: StackConfig) -> None:
    """Set an option of one connection.

    Raises:
        NoSuchOption: this stack does not have it, or it can only be read.
        InvalidArgument: the value cannot be.
    """
    found = _find(connection, level, option)
    if found.set is None:
        raise NoSuchOption
    found.set(connection, value, config)


def get_option(connection: Connection, level: int, option: int, config: StackConfig) -> int:
    """Read an option of one connection.

    Raises:
        NoSuchOption: this stack does not have it.
    """
    return _find(connection, level, option).get(connection, config)


def _find(connection: Connection, level: int, option: int) -> _Option:
    own = _OVER_IPV4 if len(connection.local.address) == 4 else _OVER_IPV6
    found = _OVER_BOTH.get((level, option)) or own.get((level, option))
    if found is None:
        raise NoSuchOption
    return found
