"""The same network in both families, so that a test runs over each."""

import socket
from typing import NamedTuple


class Net(NamedTuple):
    """Addresses of a host under test and of those around it, as text."""

    family: int
    here: str
    """The host's own."""
    prefix: str
    """``here`` with its prefix."""
    there: str
    """A peer that the test plays."""
    other: str
    """Another such peer."""
    silent: str
    """Where nobody answers."""
    any: str

    def name(self, host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """What the socket calls give for an address that is not link-local."""
        return (host, port) if self.family == socket.AF_INET else (host, port, 0, 0)


IPV4 = Net(socket.AF_INET, "192.168.0.1", "192.168.0.1/16", "192.168.7.7", "192.168.7.8", "192.168.9.9", "0.0.0.0")
IPV6 = Net(socket.AF_INET6, "fd3d::1", "fd3d::1/64", "fd3d::7:7", "fd3d::7:8", "fd3d::9:9", "::")
NETS = {"ipv4": IPV4, "ipv6": IPV6}
