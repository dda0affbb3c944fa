"""A device around another one, for those that only change what passes. Law: it owns the inner device, and closes it."""

from userstack.packetio.device import Device
from userstack.wire.ip import Buffer


class WrappedDevice(Device):
    """The inner device under the same name, with the same properties, until a subclass steps in.

    Args:
        device: the inner one; it belongs to the wrapper from now on.
    """

    def __init__(self, device: Device) -> None:
        self.inner = device
        super().__init__(device.name, level=device.level, mtu=device.mtu, mac=device.mac)
        self.counters = device.counters

    def fileno(self) -> int:
        """The inner device's descriptor."""
        return self.inner.fileno()

    def read(self) -> tuple[Buffer, bool] | None:
        """As the inner device."""
        return self.inner.read()

    def write(self, packet: bytes) -> bool:
        """As the inner device."""
        return self.inner.write(packet)

    def next_deadline(self, now: int) -> int | None:
        """As the inner device."""
        return self.inner.next_deadline(now)

    def _close(self) -> None:
        self.inner.close()
