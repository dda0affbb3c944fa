"""Which netcat this machine has: four programs share the name, and each says "half-close" and "listen" in its own way."""

import shutil
import subprocess
from dataclasses import dataclass

from userstack.errors import SetupError

PACKAGE_HINT = "install it with: apt install netcat-openbsd"


@dataclass(frozen=True, slots=True)
class Flavour:
    """One of the programs called nc, and how it is asked for what the demo needs."""

    name: str
    banner: str
    """What its help text holds and no other's does."""
    connect_options: tuple[str, ...]
    """Makes it send a FIN when its standard input ends."""
    listen_options: tuple[str, ...]
    """Makes it listen; the port follows."""
    ipv6: bool = True
    """Whether it has -6."""


FLAVOURS = (
    Flavour("openbsd", "OpenBSD netcat", ("-N",), ("-N", "-l")),
    Flavour("traditional", "[v1.1", ("-q", "0"), ("-q", "0", "-l", "-p"), ipv6=False),
    Flavour("ncat", "Ncat", (), ("-l",)),
    Flavour("busybox", "BusyBox", (), ("-l", "-p"), ipv6=False),
)


@dataclass(frozen=True, slots=True)
class Netcat:
    """An installed netcat."""

    path: str
    flavour: Flavour

    def connect(self, address: str, port: int) -> list[str]:
        """The command that connects and half-closes when its input ends."""
        return [self.path, *self.flavour.connect_options, address, str(port)]

    def listen(self, port: int, *, ipv6: bool = False) -> list[str]:
        """The command that takes one connection on ``port``, over IPv4 or over IPv6.

        Raises:
            SetupError: it cannot listen for IPv6.
        """
        if ipv6 and not self.flavour.ipv6:
            raise SetupError(f"{self.path} ({self.flavour.name}) knows nothing of IPv6: {PACKAGE_HINT}")
        return [self.path, *(["-6"] if ipv6 else []), *self.flavour.listen_options, str(port)]


def find_netcat() -> Netcat:
    """The machine's ``nc`` (or ``ncat``).

    Raises:
        SetupError: there is none, or it is none that is known.
    """
    path = shutil.which("nc") or shutil.which("ncat")
    if path is None:
        raise SetupError(f"there is no nc (netcat): {PACKAGE_HINT}")
    shown = subprocess.run([path, "-h"], capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
    return Netcat(path, recognize(path, (shown.stdout + shown.stderr).decode(errors="replace")))


def recognize(path: str, help_text: str) -> Flavour:
    """Tell a netcat by its help text.

    Raises:
        SetupError: it is none that is known.
    """
    for flavour in FLAVOURS:
        if flavour.banner in help_text:
            return flavour
    raise SetupError(
        f"{path} is no netcat that userstack knows ({', '.join(flavour.name for flavour in FLAVOURS)}): {PACKAGE_HINT}"
    )
