"""What a driver asks of a device. The devices of ``packetio`` are such; so is whatever a program carries packets over."""

from typing import Protocol


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

    def read(self) -> tuple[bytes, bool] | None:
        """The next packet, and whether the device vouches for its TCP checksum; None when nothing is there.

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
