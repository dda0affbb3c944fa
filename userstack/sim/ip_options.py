"""Options of a socket that are IP's, beside TTL and TOS: path MTU discovery, the least TTL, the source route; Linux's numbers."""

import errno
import socket
from dataclasses import dataclass, replace
from typing import Self

from userstack.config import StackConfig
from userstack.errors import InvalidArgument
from userstack.sim.sockaddr import ANY, ANY_V6, failure
from userstack.sim.socket_values import INT, int_of, short_number
from userstack.tcp.connection import Connection
from userstack.tcp.pmtudisc import PmtuDiscovery
from userstack.wire.source_route import SourceRoute, parse_as_option

IP_OPTIONS = (socket.IPPROTO_IP, socket.IP_OPTIONS)
IP_MTU = (socket.IPPROTO_IP, 14)
IP_MTU_DISCOVER = (socket.IPPROTO_IP, 10)
IP_MINTTL = (socket.IPPROTO_IP, 21)
IPV6_MTU = (socket.IPPROTO_IPV6, 24)
IPV6_MTU_DISCOVER = (socket.IPPROTO_IPV6, 23)
IPV6_MINHOPCOUNT = (socket.IPPROTO_IPV6, 73)
_OF_IPV4 = frozenset({IP_OPTIONS, IP_MTU, IP_MTU_DISCOVER, IP_MINTTL})
_OF_IPV6 = frozenset({IPV6_MTU, IPV6_MTU_DISCOVER, IPV6_MINHOPCOUNT})
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class IpOptions:
    """The values of one socket, of both families."""

    pmtu_discovery: PmtuDiscovery
    pmtu_discovery_v6: PmtuDiscovery
    min_ttl: int
    min_hop_count: int
    given: bytes | None = None
    """What IP_OPTIONS was set to, padded; None: it was not."""
    route: SourceRoute | None = None
    """The same, as a source route."""

    @classmethod
    def of(cls, config: StackConfig) -> Self:
        """Those of a fresh socket."""
        mode = PmtuDiscovery.WANT if config.path_mtu_discovery else PmtuDiscovery.DONT
        return cls(mode, PmtuDiscovery.WANT, config.min_ttl_for(ANY), config.min_ttl_for(ANY_V6))

    def apply(self, connection: Connection) -> None:
        """Hand a connection what concerns it."""
        over_ipv4 = len(connection.local.address) == 4
        connection.pmtu_discovery = self.pmtu_discovery if over_ipv4 else self.pmtu_discovery_v6
        connection.min_ttl = self.min_ttl if over_ipv4 else self.min_hop_count
        if self.given is not None and over_ipv4 and connection.route != self.route:
            connection.give_route(self.route)

    def for_accepted(self) -> Self:
        """What a connection that was accepted has of them: its route is the one that it has come by (MUST-53)."""
        return replace(self, given=None, route=None)

    def get(self, level: int, option: int, connection: Connection | None, *, now: int) -> bytes:
        """The value as the kernel would copy it out.

        Raises:
            OSError: ENOTCONN: the path's MTU of a socket without a path.
        """
        match (level, option):
            case (socket.IPPROTO_IP, socket.IP_OPTIONS):
                return self._route_of(connection)
            case (socket.IPPROTO_IP, 14) | (socket.IPPROTO_IPV6, 24):
                if connection is None:
                    raise failure(errno.ENOTCONN)
                return INT.pack(connection.path_mtu(now=now))
            case (socket.IPPROTO_IP, 10):
                return INT.pack(self.pmtu_discovery)
            case (socket.IPPROTO_IP, _):
                return INT.pack(self.min_ttl)
            case (_, 23):
                return INT.pack(self.pmtu_discovery_v6)
            case _:
                return INT.pack(self.min_hop_count)

    def set(self, level: int, option: int, raw: bytes) -> Self:
        """Those with one value changed.

        Raises:
            OSError: EINVAL: no such value; ENOPROTOOPT: it can only be read.
        """
        match (level, option):
            case (socket.IPPROTO_IP, socket.IP_OPTIONS):
                return self._with_route(raw)
            case (socket.IPPROTO_IP, 10):
                return replace(self, pmtu_discovery=_mode(short_number(raw)))
            case (socket.IPPROTO_IP, 21):
                if not raw:
                    raise InvalidArgument("IP_MINTTL takes a number")
                return replace(self, min_ttl=_hops(short_number(raw)))
            case (socket.IPPROTO_IPV6, 23):
                return replace(self, pmtu_discovery_v6=_mode(int_of(raw)))
            case (socket.IPPROTO_IPV6, 73):
                return replace(self, min_hop_count=_hops(int_of(raw)))
            case _:
                raise failure(errno.ENOPROTOOPT)

    def _route_of(self, connection: Connection | None) -> bytes:
        if self.given is not None:
            return self.given
        return connection.route.as_option if connection is not None and connection.route is not None else b""

    def _with_route(self, raw: bytes) -> Self:
        if len(raw) > _LONGEST:
            raise InvalidArgument(f"the IP header has room for {_LONGEST} octets of options, not for {len(raw)}")
        given = raw + bytes(-len(raw) % 4)  # as in Linux padded first, and read then
        return replace(self, given=given, route=parse_as_option(given))


def is_ip_option(level: int, option: int, family: int) -> bool:
    """The option is one of these, and sockets of the family have it."""
    return (level, option) in _OF_IPV4 or (family == socket.AF_INET6 and (level, option) in _OF_IPV6)


def _mode(value: int) -> PmtuDiscovery:
    if value not in list(PmtuDiscovery):
        raise InvalidArgument(f"path MTU discovery is IP_PMTUDISC_DONT (0) to IP_PMTUDISC_OMIT (5), not {value}")
    return PmtuDiscovery(value)


def _hops(value: int) -> int:
    if not 0 <= value <= 255:
        raise InvalidArgument(f"the least TTL is 0 to 255, not {value}")
    return value
