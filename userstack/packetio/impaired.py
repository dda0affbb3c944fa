"""A device behind a bad link in each direction.

Law: no delayed packet waits for luck: ``next_deadline`` says when ``read`` has to be called again, which also sends what is due.
"""

import time
from collections import deque
from collections.abc import Callable
from random import Random

from userstack.config import MILLISECOND
from userstack.errors import InvalidArgument
from userstack.packetio.device import Device
from userstack.packetio.impairment import ImpairedLink, Impairment
from userstack.packetio.wrapped import WrappedDevice

BATCH = 64
"""Packets taken from the inner device for one ``read``, so that a flood cannot keep it from returning."""
RETRY = 1 * MILLISECOND
"""When to try a full inner device again, in ns."""


class ImpairedDevice(WrappedDevice):
    """Loses, doubles, reorders, damages, delays and holds up what goes through the inner device.

    Args:
        device: the inner one; it belongs to the wrapper from now on.
        impairment: what happens to packets that the stack sends, and without ``inbound`` to those that it receives as well (each
            direction with chance of its own).
        clock: tells the time in ns.
        inbound: what happens to packets that the stack receives.

    Raises:
        InvalidArgument: an impairment is none. The inner device stays the caller's.
    """

    desc = "behind a bad link"

    def __init__(
        self,
        device: Device,
        impairment: Impairment,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        inbound: Impairment | None = None,
    ) -> None:
        inbound = impairment if inbound is None else inbound
        for given in (impairment, inbound):
            if not isinstance(given, Impairment):
                raise InvalidArgument(f"an impairment is told by userstack.packetio.impairment.Impairment, not by {given!r}")
        super().__init__(device)
        self.outbound = ImpairedLink(impairment, Random(f"{impairment.seed} outbound"))
        self.inbound = ImpairedLink(inbound, Random(f"{inbound.seed} inbound"))
        self._clock = clock
        self._to_write: deque[bytes] = deque()
        self._to_read: deque[tuple[bytes, bool]] = deque()

    def read(self) -> tuple[bytes, bool] | None:
        """The next packet that is through the link; None when none is. Also sends what is due by now.

        Raises:
            DeviceGone: the inner device was removed.
        """
        now = self._clock()
        self._flush(now)
        if not self._to_read:
            self._receive(now)
        return self._to_read.popleft() if self._to_read else None

    def write(self, packet: bytes) -> bool:
        """Put a packet on the link.

        Returns:
            False when the inner device is full and the caller has to keep the packet.

        Raises:
            DeviceGone: the inner device was removed.
        """
        now = self._clock()
        if not self._flush(now):
            return False
        self.outbound.offer(packet, now)
        self._flush(now)
        return True

    def next_deadline(self, now: int) -> int | None:
        """When ``read`` has to be called again, in the clock's ns; None when nothing is under way.

        Args:
            now: the time, in ns.
        """
        deadlines = [self.outbound.next_deadline(), self.inbound.next_deadline(), self.inner.next_deadline(now)]
        if self._to_read:
            deadlines.append(now)
        if self._to_write:
            deadlines.append(now + RETRY)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _flush(self, now: int) -> bool:
        """Send what is through the link; False when the inner device did not take all of it."""
        self._to_write.extend(packet for packet, _ in self.outbound.take(now))
        while self._to_write:
            if not self.inner.write(self._to_write[0]):
                return False
            self._to_write.popleft()
        return True

    def _receive(self, now: int) -> None:
        for _ in range(BATCH):
            arrived = self.inner.read()
            if arrived is None:
                break
            self.inbound.offer(bytes(arrived[0]), now, vouched=arrived[1])
        self._to_read.extend(self.inbound.take(now))
