"""A device whose packets come to several workers: what is for another one is taken out on the way in."""

from collections.abc import Callable

from userstack.packetio.device import Device
from userstack.packetio.wrapped import WrappedDevice
from userstack.wire.ip import Buffer
from userstack.wire.offload import Outbound

BATCH = 64
"""Packets for others that are passed on in one ``read``, so that a flood cannot keep it from returning."""


def _all_are_ours(frame: Buffer, vouched: bool) -> bool:
    return False


class SharedDevice(WrappedDevice):
    """One worker's queue of the inner device. ``elsewhere`` is shown what comes, and takes (True) what is not for this worker."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.offload = device.offload
        self.elsewhere: Callable[[Buffer, bool], bool] = _all_are_ours

    def read(self) -> tuple[Buffer, bool] | None:
        """The next packet for this worker. None when nothing is there, and after many for others: it is readable still."""
        for _ in range(BATCH):
            arrived = self.inner.read()
            if arrived is None or not self.elsewhere(*arrived):
                return arrived
        return None

    def write_offloaded(self, packet: Outbound) -> bool:
        """As the inner device."""
        return self.inner.write_offloaded(packet)
