"""What a driver asks of a device. The devices of ``packetio`` are such; so is whatever a program carries packets over."""

from typing import Protocol, runtime_checkable

from userstack.wire.ip import Buffer
from userstack.wire.offload import Outbound


class PacketDevice(Protocol):
    """A non-blocking source and sink of packets behind one file descriptor."""

    name: str
    mtu: int
    """The largest IP packet that it carries, in bytes."""
    mac: bytes | None
    """The hardware address; None on layer 3."""
    level: int
    """2: frames, to us, to everybody and to the groups of IPv6. 3: IP packets."""

    def fileno(self) -> int:
        """The descriptor that becomes readable when a packet is there, and writable when there is room for one."""
        ...

    def read(self) -> tuple[Buffer, bool] | None:
        """The next packet, and whether the device vouches for its TCP checksum; None when nothing is there.

        The packet may lie in a buffer that the next call writes over.

        Raises:
            OSError: the device is gone.
        """
        ...

    def write(self, packet: bytes) -> bool:
        """Send a packet; False when the device is full and the caller has to keep it.

        Raises:
            OSError: the device is gone.
        """
        ...

    def next_deadline(self, now: int) -> int | None:
        """When ``read`` has to be called again though the descriptor is silent (ns), as for a device that delays packets."""
        ...


@runtime_checkable
class OffloadDevice(PacketDevice, Protocol):
    """A device that can finish checksums and cut TCP segments itself."""

    offload: bool
    """It does, and hands over what comes in pieces of up to 64 KiB."""

    def write_offloaded(self, packet: Outbound) -> bool:
        """As ``write``, for a packet that it finishes, or one that is whole."""
        ...
