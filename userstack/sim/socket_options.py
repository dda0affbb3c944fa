"""The options of a socket as ``setsockopt`` and ``getsockopt`` see them: kept per socket, inherited by what it accepts.

Law: what is not implemented answers ENOPROTOOPT. No option is taken and then ignored.
"""

import errno
import socket
import struct
from copy import copy
from dataclasses import dataclass, field, replace

from userstack.config import MILLISECOND, StackConfig
from userstack.errors import InvalidArgument
from userstack.net.md5keys import Md5Keys
from userstack.sim.ip_options import IpOptions, is_ip_option
from userstack.sim.md5_option import TCP_MD5SIG, TCP_MD5SIG_EXT, set_md5
from userstack.sim.sockaddr import ANY_V6, C_INT, failure
from userstack.sim.socket_values import INT, int_of, short_number
from userstack.sim.tcp_options import get_setting, is_setting, set_setting
from userstack.tcp.connection import Connection
from userstack.wire.ip import Buffer

LINGER = struct.Struct("@ii")
ECN_BITS = 0x03
LARGEST_INT = 2**31 - 1
SEND_BUFFER_LEAST, RECEIVE_BUFFER_LEAST = 2304, 1152
"""Octets of payload. As Linux does, the options give back twice what was set, and what is set is at least this."""
OPTLEN_MOST = 1024
"""Python's own limit on getsockopt's length."""


@dataclass(slots=True)
class SocketOptions:
    """The values of one socket."""

    config: StackConfig
    family: int
    reuse_address: bool = False
    linger: bool = False
    linger_seconds: int = 0
    nodelay: bool = False
    cork: bool = False
    oob_inline: bool = False
    user_timeout: int | None = None
    """In ns; None for the configuration's R2."""
    ttl: int = 0
    tos: int = 0
    v6only: bool = False
    hop_limit: int = 0
    traffic_class: int = 0
    fast_open: int = 0
    """TCP_FASTOPEN: how many pending requests a listener may have."""
    fast_open_connect: bool = False
    ip: IpOptions = field(init=False)
    stack_config: StackConfig = field(init=False)
    """The settings that the socket began with."""
    md5_keys: Md5Keys = field(init=False)

    def __post_init__(self) -> None:
        self.stack_config = self.config
        self.md5_keys = Md5Keys(self.config.md5_keys)
        self.ip = IpOptions.of(self.config)
        self.nodelay = not self.config.nagle
        self.ttl = self.config.default_ttl
        self.tos = self.config.tos
        self.hop_limit = self.config.ttl_for(ANY_V6)
        self.traffic_class = self.config.tos_for(ANY_V6)

    @property
    def resets_on_close(self) -> bool:
        """SO_LINGER with 0 seconds: close() aborts."""
        return self.linger and self.linger_seconds == 0

    def for_connections(self) -> StackConfig:
        """The settings that connections of this socket begin with."""
        return replace(
            self.config,
            nagle=not self.nodelay,
            default_ttl=self.ttl,
            tos=self.tos,
            hop_limit=self.hop_limit,
            traffic_class=self.traffic_class,
            min_ttl=self.ip.min_ttl,
            min_hop_count=self.ip.min_hop_count,
        )

    def for_accepted(self, connection: Connection) -> "SocketOptions":
        """Those of a connection that a listener with these has accepted: of the keys only that of its own peer."""
        accepted = copy(self)
        accepted.ip = self.ip.for_accepted()
        accepted.md5_keys = Md5Keys(self.stack_config.md5_keys)
        if connection.md5_key is not None and connection.remote is not None:
            accepted.md5_keys.set(connection.remote.address, connection.md5_key)
        return accepted

    def apply(self, connection: Connection) -> None:
        """Hand a connection what concerns it and may change while it lives."""
        connection.configure(self.for_connections())
        if connection.remote is not None:
            connection.md5_key = self.md5_keys.find(connection.remote.address)
        connection.nodelay = self.nodelay
        connection.cork = self.cork
        connection.oob_inline = self.oob_inline
        connection.user_timeout = self.user_timeout
        over_ipv4 = len(connection.local.address) == 4
        connection.ttl = self.ttl if over_ipv4 else self.hop_limit
        connection.tos = self.tos if over_ipv4 else self.traffic_class
        self.ip.apply(connection)

    def get(self, level: int, option: int, connection: Connection | None, *, now: int) -> bytes:
        """The value as the kernel would copy it out; ``connection`` is the socket's.

        Raises:
            OSError: ENOPROTOOPT: no such option; EOPNOTSUPP: no such level.
        """
        if is_ip_option(level, option, self.family):
            return self.ip.get(level, option, connection, now=now)
        match level:
            case socket.SOL_SOCKET if option == socket.SO_LINGER:
                return LINGER.pack(self.linger, self.linger_seconds)
            case socket.SOL_SOCKET:
                return INT.pack(self._get_socket(option))
            case socket.IPPROTO_TCP:
                return INT.pack(self._get_tcp(option))
            case socket.IPPROTO_IP:
                return INT.pack(self._get_ip(option))
            case socket.IPPROTO_IPV6 if self.family == socket.AF_INET6:
                return INT.pack(self._get_ipv6(option))
            case _:
                raise failure(errno.EOPNOTSUPP if self.family == socket.AF_INET else errno.ENOPROTOOPT)

    def set(self, level: int, option: int, raw: bytes, *, bound: bool) -> None:
        """Take a value as the kernel would; ``bound`` where the socket has a port already.

        Raises:
            OSError: ENOPROTOOPT: no such option, or it cannot be set; EINVAL: no such value.
        """
        if is_ip_option(level, option, self.family):
            self.ip = self.ip.set(level, option, raw)
            return
        match level:
            case socket.SOL_SOCKET:
                self._set_socket(option, raw)
            case socket.IPPROTO_TCP:
                self._set_tcp(option, raw)
            case socket.IPPROTO_IP:
                self._set_ip(option, raw)
            case socket.IPPROTO_IPV6 if self.family == socket.AF_INET6:
                self._set_ipv6(option, raw, bound)
            case _:
                raise failure(errno.ENOPROTOOPT)

    # --- SOL_SOCKET ---

    def _get_socket(self, option: int) -> int:
        match option:
            case socket.SO_TYPE:
                return socket.SOCK_STREAM
            case socket.SO_DOMAIN:
                return self.family
            case socket.SO_PROTOCOL:
                return socket.IPPROTO_TCP
            case socket.SO_REUSEADDR:
                return self.reuse_address
            case socket.SO_OOBINLINE:
                return self.oob_inline
            case socket.SO_SNDBUF:
                return self.config.send_buffer * (2 if self.config.double_socket_buffers else 1)
            case socket.SO_RCVBUF:
                return self.config.receive_buffer * (2 if self.config.double_socket_buffers else 1)
            case _:
                return self._get_setting(socket.SOL_SOCKET, option)

    def _set_socket(self, option: int, raw: bytes) -> None:
        match option:
            case socket.SO_REUSEADDR:
                self.reuse_address = int_of(raw) != 0
            case socket.SO_OOBINLINE:
                self.oob_inline = int_of(raw) != 0
            case socket.SO_LINGER:
                self._set_linger(raw)
            case socket.SO_SNDBUF:
                self.config = replace(self.config, send_buffer=max(int_of(raw), SEND_BUFFER_LEAST))
            case socket.SO_RCVBUF:
                self._set_receive_buffer(max(int_of(raw), RECEIVE_BUFFER_LEAST))
            case _:
                self._set_setting(socket.SOL_SOCKET, option, raw)

    def _set_linger(self, raw: bytes) -> None:
        if len(raw) < LINGER.size:
            raise InvalidArgument("SO_LINGER takes two ints: on or off, and the seconds")
        on, seconds = LINGER.unpack_from(raw)
        self.linger = on != 0
        self.linger_seconds = seconds

    def _set_receive_buffer(self, octets: int) -> None:
        scale = None if self.config.rcvbuf_limits_scale else self.config.window_scale
        self.config = replace(self.config, receive_buffer=octets, window_scale=scale)

    # --- TCP ---

    def _get_tcp(self, option: int) -> int:
        match option:
            case socket.TCP_NODELAY:
                return self.nodelay
            case socket.TCP_CORK:
                return self.cork
            case socket.TCP_USER_TIMEOUT:
                return min((self.user_timeout or 0) // MILLISECOND, LARGEST_INT)
            case _:
                return self._get_setting(socket.IPPROTO_TCP, option)

    def _set_tcp(self, option: int, raw: bytes) -> None:
        match option:
            case socket.TCP_NODELAY:
                self.nodelay = int_of(raw) != 0
            case socket.TCP_CORK:
                self.cork = int_of(raw) != 0
            case socket.TCP_USER_TIMEOUT:
                self.user_timeout = _least(int_of(raw), 0) * MILLISECOND or None
            case _ if option in (TCP_MD5SIG, TCP_MD5SIG_EXT):
                set_md5(self.md5_keys, option, raw, self.family)
            case _:
                self._set_setting(socket.IPPROTO_TCP, option, raw)

    def _get_setting(self, level: int, option: int) -> int:
        if not is_setting(level, option):
            raise failure(errno.ENOPROTOOPT)
        return get_setting(self.config, level, option)

    def _set_setting(self, level: int, option: int, raw: bytes) -> None:
        if not is_setting(level, option):
            raise failure(errno.ENOPROTOOPT)
        self.config = set_setting(self.config, level, option, int_of(raw), default=self.stack_config)

    # --- IP ---

    def _get_ip(self, option: int) -> int:
        match option:
            case socket.IP_TTL:
                return self.ttl
            case socket.IP_TOS:
                return self.tos
            case _:
                raise failure(errno.ENOPROTOOPT)

    def _set_ip(self, option: int, raw: bytes) -> None:
        match option:
            case socket.IP_TTL:
                self._set_ttl(raw)
            case socket.IP_TOS:
                # Note: the ECN bits of a stream socket are TCP's own, Linux keeps them out of the caller's hands.
                self.tos = short_number(raw) & 0xFF & ~ECN_BITS | self.tos & ECN_BITS
            case _:
                raise failure(errno.ENOPROTOOPT)

    def _set_ttl(self, raw: bytes) -> None:
        if not raw:
            raise InvalidArgument("IP_TTL takes an int")
        ttl = short_number(raw)
        if ttl != -1 and not 1 <= ttl <= 255:
            raise InvalidArgument(f"IP_TTL must be 1 to 255, or -1 for the default, not {ttl}")
        self.ttl = self.config.default_ttl if ttl == -1 else ttl

    # --- IPv6 ---

    def _get_ipv6(self, option: int) -> int:
        match option:
            case socket.IPV6_V6ONLY:
                return self.v6only
            case socket.IPV6_UNICAST_HOPS:
                return self.hop_limit
            case socket.IPV6_TCLASS:
                return self.traffic_class
            case _:
                raise failure(errno.ENOPROTOOPT)

    def _set_ipv6(self, option: int, raw: bytes, bound: bool) -> None:
        match option:
            case socket.IPV6_V6ONLY:
                only = int_of(raw) != 0
                if bound:
                    raise InvalidArgument("the socket has a port already, and with it its families")
                self.v6only = only
            case socket.IPV6_UNICAST_HOPS:
                hop_limit = _octet(int_of(raw))
                self.hop_limit = self.config.ttl_for(ANY_V6) if hop_limit == -1 else hop_limit
            case socket.IPV6_TCLASS:
                # RFC 3542 6.5: the default of -1 is 0. As for IP_TOS the ECN bits stay TCP's own.
                self.traffic_class = max(_octet(int_of(raw)), 0) & ~ECN_BITS | self.traffic_class & ECN_BITS
            case _:
                raise failure(errno.ENOPROTOOPT)


def pack_value(value: int | Buffer) -> bytes:
    """What ``setsockopt`` was given, as the octets that the kernel gets.

    Raises:
        TypeError: neither a C int nor octets.
    """
    if isinstance(value, int):
        if value not in C_INT:
            raise TypeError(f"setsockopt: {value} is no C int")
        return INT.pack(value)
    return bytes(memoryview(value))


def shape_value(raw: bytes, buflen: int) -> int | bytes:
    """What ``getsockopt`` gives back: an int where no length was asked for, at most ``buflen`` octets otherwise.

    Raises:
        OSError: the length is out of Python's range.
    """
    if not 0 <= buflen <= OPTLEN_MOST:
        raise OSError("getsockopt buflen out of range")
    return raw[:buflen] if buflen else int(INT.unpack_from(raw.ljust(INT.size, b"\0"))[0])


def _least(value: int, least: int) -> int:
    """``value``, where it is not below ``least``."""
    if value < least:
        raise InvalidArgument(f"the option must be {least} or more, not {value}")
    return value


def _octet(value: int) -> int:
    """``value``, where it is an octet or -1."""
    if not -1 <= value <= 255:
        raise InvalidArgument(f"the option must be 0 to 255, or -1 for the default, not {value}")
    return value
