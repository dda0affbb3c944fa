"""What a device computes for the kernel (ethtool's features), read and switched without the ethtool program."""

import fcntl
import socket
import struct
from array import array
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TypeVar

from userstack.errors import SetupError
from userstack.host.failures import setup_error
from userstack.host.links import check_name
from userstack.host.netns import in_namespace

T = TypeVar("T")

SIOCETHTOOL = 0x8946
FEATURES = {
    "tx_checksum": (0x16, 0x17),
    "rx_checksum": (0x14, 0x15),
    "scatter_gather": (0x18, 0x19),
    "tso": (0x1E, 0x1F),
    "gso": (0x23, 0x24),
    "gro": (0x2B, 0x2C),
}
"""The commands that read and switch a feature (linux/ethtool.h), in the order in which they build on each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offload:
    """Which features of a device are on."""

    tx_checksum: bool
    """Checksums of what is sent are left to the device: on a veth nobody ever fills them in."""
    rx_checksum: bool
    """The device's word on a received checksum is taken."""
    scatter_gather: bool
    """Frames in pieces; segmentation offload needs it."""
    tso: bool
    """TCP segments far longer than the MTU are handed to the device."""
    gso: bool
    """The same in the kernel, just before the device."""
    gro: bool
    """Received TCP segments are put together before anybody sees them."""


def read_offload(device: str, *, namespace: str | None = None) -> Offload:
    """Which features of a device are on.

    Raises:
        SetupError: there is no such device, or it tells nothing.
    """
    return _with_ethtool(device, namespace, "read the offload of", _read)


def set_offload(device: str, offload: Offload, *, namespace: str | None = None) -> None:
    """Switch the features of a device to ``offload``.

    Raises:
        SetupError: there is no such device, it cannot, or a privilege is missing. What was switched is switched back.
    """
    before = read_offload(device, namespace=namespace)

    try:
        _with_ethtool(device, namespace, "change the offload of", lambda ethtool: _switch(ethtool, offload))
    except SetupError:
        with suppress(SetupError):
            _with_ethtool(device, namespace, "restore the offload of", lambda ethtool: _switch(ethtool, before))
        raise


def all_offload(on: bool) -> Offload:
    """Every feature on, or every one off."""
    return Offload(**{field.name: on for field in fields(Offload)})


class _Ethtool:
    """A socket to ask ethtool's questions about one device through."""

    def __init__(self, device: str, sock: socket.socket) -> None:
        self._device = device.encode()
        self._socket = sock

    def ask(self, command: int, value: int = 0) -> int:
        """One command with its value (struct ethtool_value); what the kernel left in that."""
        exchanged = array("I", [command, value])
        address, _ = exchanged.buffer_info()
        fcntl.ioctl(self._socket, SIOCETHTOOL, struct.pack("16sP16x", self._device, address))
        return exchanged[1]


def _read(ethtool: _Ethtool) -> Offload:
    return Offload(**{name: bool(ethtool.ask(reading)) for name, (reading, _) in FEATURES.items()})


def _switch(ethtool: _Ethtool, offload: Offload) -> None:
    """Off from the top, then on from the bottom: the kernel drops, or refuses, a feature whose base is missing."""
    before = _read(ethtool)
    off = [name for name in reversed(FEATURES) if not getattr(offload, name)]
    for name in off + [name for name in FEATURES if getattr(offload, name)]:
        if getattr(before, name) != getattr(offload, name):
            ethtool.ask(FEATURES[name][1], int(getattr(offload, name)))


def _with_ethtool(device: str, namespace: str | None, doing: str, work: Callable[[_Ethtool], T]) -> T:
    def run() -> T:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            return work(_Ethtool(device, sock))

    check_name(device)
    try:
        return in_namespace(namespace, run)
    except SetupError:
        raise
    except OSError as error:
        raise setup_error(f"{doing} the device {device}", error) from error
