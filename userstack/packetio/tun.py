"""TUN and TAP devices: the kernel's packets as it would put them on a wire, through /dev/net/tun.

The addresses that the stack uses are ones that the kernel does not have, so the kernel never answers for them.
"""

import os
from collections.abc import Sequence
from io import FileIO

from userstack.errors import InvalidArgument
from userstack.host.addresses import add_addresses
from userstack.host.links import set_link
from userstack.host.tuntap import open_queues
from userstack.packetio.device import GONE, Device, DeviceGone
from userstack.packetio.ethernet import ETHERNET_HEADER, random_mac
from userstack.wire.ip import Buffer
from userstack.wire.offload import LARGEST_PACKET, PLAIN, VOUCHED, Offloaded, Outbound

_LARGEST = ETHERNET_HEADER + LARGEST_PACKET
"""Octets that a device gives at once."""
QUEUE_LENGTH = 5000
"""Packets: the largest window that a stack offers by default, 6 MiB, in segments of 1460 octets, and some that make ACKs."""


class TunTapDevice(Device):
    """What TUN and TAP share: one packet for one system call, on a descriptor whose closing removes the device.

    Args:
        name: of the device; the kernel puts the first free number for ``%d``.
        namespace: where the kernel's end lives; None for the caller's own.
        kernel_addresses: what the kernel gets on its end, with prefix lengths, ``10.9.0.1/24``: it routes those networks to us.
        mtu: bytes of the largest IP packet.
        queue_length: packets that may wait for us. The kernel drops beyond it: there is no back-pressure.
        mac: our six bytes on a TAP device; None for random, locally administered ones. A TUN device has none.
        offload: leave checksums, and the cutting of TCP segments, to the kernel both ways: packets of up to 64 KiB pass as one.
        queues: among which the kernel shares out what it sends, flow by flow. Of more than one, each process that has come of this
            one by a fork serves one: ``take_queue``.

    Raises:
        SetupError: a privilege or /dev/net/tun is missing, the name or the address is taken or cannot be. Nothing is left.
        InvalidArgument: a TUN device was given a hardware address.
    """

    layer: int
    """3 for IP packets, 2 for Ethernet frames: a class of its own for each."""

    def __init__(
        self,
        name: str = "userstack%d",
        *,
        namespace: str | None = None,
        kernel_addresses: Sequence[str] = (),
        mtu: int = 1500,
        queue_length: int = QUEUE_LENGTH,
        mac: bytes | None = None,
        offload: bool = False,
        queues: int = 1,
    ) -> None:
        if mac is not None and self.layer == 3:
            raise InvalidArgument("a TUN device carries IP packets and has no hardware address: leave mac out")
        self._queues, name = open_queues(name, queues, level=self.layer, namespace=namespace, offload=offload)
        self._serve(self._queues[0])
        try:
            set_link(name, namespace=namespace, mtu=mtu, queue_length=queue_length)
            set_link(name, namespace=namespace, up=True)
            add_addresses(name, kernel_addresses, namespace=namespace)  # to a device that is up: it is ready at once
        except BaseException:
            self._close()
            raise
        self.namespace = namespace
        self.offload = offload
        self._buffer = bytearray(len(PLAIN) + _LARGEST)
        self._view = memoryview(self._buffer)
        super().__init__(name, level=self.layer, mtu=mtu, mac=mac or random_mac() if self.layer == 2 else None)

    def fileno(self) -> int:
        """The descriptor of /dev/net/tun; -1 when closed."""
        return self._descriptor

    def take_queue(self, number: int) -> None:
        """After a fork: this process serves the queue of that number from now on, and leaves the others to others."""
        self._serve(self._queues.pop(number))
        for descriptor in self._queues:
            os.close(descriptor)
        self._queues = [self._descriptor]

    def read(self) -> tuple[Buffer, bool] | None:
        """The next packet, perhaps in a buffer that the next call writes over, and whether the kernel vouches for its TCP checksum.

        None when nothing is there. Without offload the kernel has filled in the checksum and vouches for none.

        Raises:
            DeviceGone: it was removed.
        """
        packet: Buffer | None
        try:
            if self.offload:
                size = self._file.readinto(self._buffer)
                if size is None:
                    return None
                packet, vouched = self._view[len(PLAIN) : size], self._buffer[0] & VOUCHED != 0
            else:  # it is small: to make room for it costs less than a view onto room that is there
                packet, vouched = self._file.read(_LARGEST), False
                if packet is None:
                    return None
        except ValueError:  # by us: it is closed
            raise DeviceGone(self.name) from None
        except OSError as error:
            if error.errno in GONE:
                raise DeviceGone(self.name) from error
            self.counters.add("rx_errors")
            return None
        self.counters["rx_packets"] += 1
        return packet, vouched

    def _put(self, packet: Outbound) -> None:
        if isinstance(packet, Offloaded):
            os.writev(self._descriptor, (packet.vnet_header(), packet.head, *packet.text))
        elif self.offload:
            os.writev(self._descriptor, (PLAIN, packet))
        else:
            os.write(self._descriptor, packet)

    def _serve(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._file = FileIO(descriptor, "r+", closefd=False)  # which says that nothing is there without an exception

    def _close(self) -> None:
        self._file.close()
        for descriptor in self._queues:
            os.close(descriptor)
        self._descriptor = -1


class TunDevice(TunTapDevice):
    """A TUN device: IP packets, no hardware address."""

    desc = "TUN device: IP packets"
    layer = 3


class TapDevice(TunTapDevice):
    """A TAP device: Ethernet frames. The kernel's end has a hardware address of its own; ours is ``mac``."""

    desc = "TAP device: Ethernet frames"
    layer = 2
