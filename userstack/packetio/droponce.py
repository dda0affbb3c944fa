"""Loses one chosen packet, so that its retransmission can be watched."""

from collections.abc import Callable
from enum import Enum

from userstack.packetio.device import Device
from userstack.packetio.wrapped import WrappedDevice
from userstack.wire.ip import Buffer


class Direction(Enum):
    """Which way a packet goes, seen from the stack."""

    IN = "in"
    OUT = "out"


class DropOnce(WrappedDevice):
    """Loses the first packet for which ``predicate`` holds, and is a plain wire from then on.

    Args:
        device: the inner one; it belongs to the wrapper from now on.
        predicate: asked for every packet (on level 2: frame) as bytes, with its direction, until it says yes.
        on_drop: told of the lost packet and its direction.
    """

    desc = "loses one packet"

    def __init__(
        self,
        device: Device,
        predicate: Callable[[bytes, Direction], bool],
        on_drop: Callable[[bytes, Direction], None],
    ) -> None:
        super().__init__(device)
        self.dropped = False
        """Whether it happened yet."""
        self._predicate = predicate
        self._on_drop = on_drop

    def read(self) -> tuple[Buffer, bool] | None:
        """As the inner device, less the chosen packet.

        Raises:
            DeviceGone: the inner device was removed.
        """
        arrived = self.inner.read()
        if arrived is not None and self._loses(bytes(arrived[0]), Direction.IN):
            return self.inner.read()
        return arrived

    def write(self, packet: bytes) -> bool:
        """As the inner device; the chosen packet counts as sent.

        Raises:
            DeviceGone: the inner device was removed.
        """
        return self._loses(packet, Direction.OUT) or self.inner.write(packet)

    def _loses(self, packet: bytes, direction: Direction) -> bool:
        if self.dropped or not self._predicate(packet, direction):
            return False
        self.dropped = True
        self._on_drop(packet, direction)
        return True
