"""IP_MTU_DISCOVER: what a connection makes of path MTUs, by the numbers of Linux (``ip(7)``)."""

from enum import IntEnum


class PmtuDiscovery(IntEnum):
    """Whether DF is set, and whether "fragmentation needed" is acted upon."""

    DONT = 0
    """No DF: routers fragment."""
    WANT = 1
    """RFC 1191; without DF where the path takes less than ``StackConfig.min_path_mtu``. The default."""
    DO = 2
    """RFC 1191, with DF always."""
    PROBE = 3
    """The messages are ignored."""
    INTERFACE = 4
    """The same."""
    OMIT = 5
    """The same."""

    @property
    def believes(self) -> bool:
        """Messages about the path's MTU are acted upon."""
        return self in {PmtuDiscovery.WANT, PmtuDiscovery.DO}
