"""What a connection tells IP of its packets and hears from it (RFC 9293 3.9.2, TCP/Lower-Level Interface), beside TTL and TOS."""

from typing import Final

from userstack.config import StackConfig
from userstack.tcp.path import Path
from userstack.tcp.pmtudisc import PmtuDiscovery
from userstack.wire.source_route import SourceRoute

_DO: Final = PmtuDiscovery.DO
_WANT: Final = PmtuDiscovery.WANT
"""By themselves: to look them up in their class, for every segment, takes longer."""


class LowerLevel:
    """One connection's side of the interface. ``address`` is of its family."""

    __slots__ = ("min_ttl", "path", "pmtu_discovery", "rcv_tos", "route", "route_given")

    def __init__(self, config: StackConfig, address: bytes, path: Path) -> None:
        self.path = path
        """What the network between takes; other connections to the same destination have the same."""
        self.pmtu_discovery = PmtuDiscovery.WANT if config.path_mtu_discovery else PmtuDiscovery.DONT
        self.min_ttl = config.min_ttl_for(address)
        """Segments that come with less have come from too far (RFC 5082, GTSM)."""
        self.rcv_tos = 0
        """MAY-9: the Diffserv and ECN octet of the last acceptable segment."""
        self.route: SourceRoute | None = None
        """The source route that every segment takes."""
        self.route_given = False
        """The application has given it: none that is received takes its place (MUST-52)."""

    @property
    def dont_fragment(self) -> bool:
        """DF of what is sent over IPv4."""
        mode = self.pmtu_discovery
        return mode is _DO or (mode is _WANT and not self.path.fragmentable)

    @property
    def option_octets(self) -> int:
        """What the IP options take of every packet (MUST-16)."""
        return 0 if self.route is None else self.route.octets
