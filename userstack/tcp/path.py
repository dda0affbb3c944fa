"""The path to one destination and the largest packet that it takes (RFC 1191, RFC 8201): shared by all connections that use it."""


class Path:
    """What is known of one path. ``mtu`` is in octets, times are nanoseconds.

    A connection compares ``mtu`` with what it cuts its segments for, before each one; so all of a destination's connections
    follow what one of them has learned.
    """

    __slots__ = ("__weakref__", "expires", "fragmentable", "link_mtu", "mtu")

    def __init__(self, link_mtu: int) -> None:
        self.link_mtu = self.mtu = link_mtu
        self.expires: int | None = None
        """When what was learned is forgotten; None: nothing was."""
        self.fragmentable = False
        """A router takes less than ``StackConfig.min_path_mtu``: let it cut what is sent, without DF."""

    def learn(self, mtu: int, *, least: int, lifetime: int, now: int) -> None:
        """A router takes no more than ``mtu``. More than is known already is not believed (RFC 1191 3).

        Below ``least`` the path's MTU does not go: as in Linux DF is left out then (``route.min_pmtu``), and whoever forged the
        message has gained nothing (RFC 5927 7).
        """
        if mtu > self.mtu or mtu >= self.link_mtu:
            return
        self.fragmentable |= mtu < least
        self.mtu = min(self.mtu, max(mtu, least))
        self.expires = now + lifetime

    def age(self, now: int) -> None:
        """RFC 1191 6.3, RFC 8201 4: what was not heard again for a while is forgotten, for the route may be another by now."""
        if self.expires is not None and now >= self.expires:
            self.mtu, self.expires, self.fragmentable = self.link_mtu, None, False
