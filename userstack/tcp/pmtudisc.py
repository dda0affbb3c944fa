"""IP_MTU_DISCOVER and IPV6_MTU_DISCOVER: what a connection makes of path MTUs, by the numbers of Linux and as its TCP does."""

from enum import IntEnum


class PmtuDiscovery(IntEnum):
    """Whether DF is set (over IPv4), and whether a smaller path MTU makes what is outstanding be sent again."""

    DONT = 0
    """No DF: routers cut what is too large, so that nothing is lost; only later segments are smaller."""
    WANT = 1
    """RFC 1191; without DF where the path takes less than ``StackConfig.min_path_mtu``. The default."""
    DO = 2
    """RFC 1191, with DF always."""
    PROBE = 3
    """As WANT, without DF."""
    INTERFACE = 4
    """As DONT; over IPv6 the messages are ignored, for the program says that it knows better."""
    OMIT = 5
    """The same."""

    @property
    def sends_again(self) -> bool:
        """Over IPv4: what did not fit has been lost, or might have been."""
        return self in {PmtuDiscovery.WANT, PmtuDiscovery.DO, PmtuDiscovery.PROBE}

    @property
    def is_deaf(self) -> bool:
        """Over IPv6."""
        return self in {PmtuDiscovery.INTERFACE, PmtuDiscovery.OMIT}
