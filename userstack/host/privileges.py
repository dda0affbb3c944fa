"""What the caller may do: its effective capabilities, read from the kernel and never guessed from the user id."""

import errno
from enum import IntEnum
from pathlib import Path

from userstack.errors import SetupError
from userstack.host.failures import GRANT

TUN_PATH = Path("/dev/net/tun")


class Capability(IntEnum):
    """The capabilities that userstack has a use for, by their bit (capabilities(7))."""

    NET_ADMIN = 12
    """Make and change devices, addresses and routes."""
    NET_RAW = 13
    """Open packet sockets and raw sockets."""
    SYS_ADMIN = 21
    """Make and enter network namespaces."""


def effective_capabilities() -> frozenset[Capability]:
    """Those of ``Capability`` that the calling thread has now."""
    status = Path("/proc/thread-self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    mask = int(line.split()[1], 16)
    return frozenset(capability for capability in Capability if mask >> capability & 1)


def require_capability(capability: Capability, doing: str) -> None:
    """Make sure of a capability before anything is changed.

    Raises:
        SetupError: it is missing.
    """
    if capability not in effective_capabilities():
        raise SetupError(f"cannot {doing}: the capability {capability.name} is missing; {GRANT}", errno.EPERM)
