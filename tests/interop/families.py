"""The two families, for tests that run over either: ``@FAMILIES`` gives a test its ``family``."""

import socket
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Family:
    """Where the two ends are, in a world or between two netcats."""

    name: str
    number: int
    """AF_INET or AF_INET6."""
    ours: str
    kernel: str
    prefix: int
    mss: int
    """Octets of a full segment without options, on a link of 1500."""
    netcat_ours: str
    netcat_kernel: str
    """The addresses that ``userstack nc`` takes by default."""
    netcat_options: tuple[str, ...]
    """What makes a netcat listen for this family."""

    def __str__(self) -> str:
        return self.name

    def url(self, port: int, path: str) -> str:
        """Where our HTTP server is."""
        host = f"[{self.ours}]" if self.number == socket.AF_INET6 else self.ours
        return f"http://{host}:{port}{path}"


IPV4 = Family("ipv4", socket.AF_INET, "10.77.0.2", "10.77.0.1", 24, 1460, "10.9.0.2", "10.9.0.1", ())
IPV6 = Family("ipv6", socket.AF_INET6, "fd77::2", "fd77::1", 64, 1440, "fd3d::2", "fd3d::1", ("-6",))
FAMILIES = pytest.mark.parametrize("family", [IPV4, IPV6], ids=str)
