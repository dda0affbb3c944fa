"""TUN and TAP devices: the kernel's packets as it would put them on a wire, through /dev/net/tun.

The address that the stack uses is one that the kernel does not have, so the kernel never answers for it.
"""

import os

from userstack.host.addresses import add_address
from userstack.host.links import set_link
from userstack.host.tuntap import open_tuntap
from userstack.packetio.device import GONE, LARGEST_PACKET, Device, DeviceGone
from userstack.packetio.ethernet import ETHERNET_HEADER, random_mac


class _TunTap(Device):
    """What TUN and TAP share: one packet for one system call, on a descriptor whose closing removes the device."""

    def __init__(
        self,
        name: str,
        *,
        level: int,
        namespace: str | None,
        kernel_address: str | None,
        mtu: int,
        queue_length: int,
        mac: bytes | None,
    ) -> None:
        self._descriptor, name = open_tuntap(name, level=level, namespace=namespace)
        try:
            set_link(name, namespace=namespace, mtu=mtu, queue_length=queue_length)
            if kernel_address is not None:
                add_address(name, kernel_address, namespace=namespace)
            set_link(name, namespace=namespace, up=True)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.namespace = namespace
        super().__init__(name, level=level, mtu=mtu, mac=mac)

    def fileno(self) -> int:
        """The descriptor of /dev/net/tun; -1 when closed."""
        return self._descriptor

    def read(self) -> tuple[bytes, bool] | None:
        """The next packet; None when nothing is there. The kernel filled in the checksum and vouches for none.

        Raises:
            DeviceGone: it was removed.
        """
        try:
            packet = os.read(self._descriptor, LARGEST_PACKET + ETHERNET_HEADER)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in GONE:
                raise DeviceGone(self.name) from error
            self.counters.add("rx_errors")
            return None
        self.counters.add("rx_packets")
        return packet, False

    def _send_bytes(self, packet: bytes) -> None:
        os.write(self._descriptor, packet)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


class TunDevice(_TunTap):
    """A TUN device: IP packets, no hardware address.

    Args:
        name: of the device; the kernel puts the first free number for ``%d``.
        namespace: where the kernel's end lives; None for the caller's own.
        kernel_address: what the kernel gets on its end, with prefix length, ``10.9.0.1/24``: it then routes that network to us.
        mtu: bytes of the largest IP packet.
        queue_length: packets that may wait for us. The kernel drops beyond it: there is no back-pressure.

    Raises:
        SetupError: a privilege or /dev/net/tun is missing, the name or the address is taken or cannot be. Nothing is left.
    """

    desc = "TUN device: IP packets"

    def __init__(
        self,
        name: str = "userstack%d",
        *,
        namespace: str | None = None,
        kernel_address: str | None = None,
        mtu: int = 1500,
        queue_length: int = 1000,
    ) -> None:
        super().__init__(
            name, level=3, namespace=namespace, kernel_address=kernel_address, mtu=mtu, queue_length=queue_length, mac=None
        )


class TapDevice(_TunTap):
    """A TAP device: Ethernet frames. The kernel's end has a hardware address of its own; ours is ``mac``.

    Args:
        name: of the device; the kernel puts the first free number for ``%d``.
        namespace: where the kernel's end lives; None for the caller's own.
        kernel_address: what the kernel gets on its end, with prefix length.
        mtu: bytes of the largest IP packet.
        queue_length: packets that may wait for us. The kernel drops beyond it: there is no back-pressure.
        mac: our six bytes; None for a random, locally administered one.

    Raises:
        SetupError: as for ``TunDevice``.
    """

    desc = "TAP device: Ethernet frames"

    def __init__(
        self,
        name: str = "userstack%d",
        *,
        namespace: str | None = None,
        kernel_address: str | None = None,
        mtu: int = 1500,
        queue_length: int = 1000,
        mac: bytes | None = None,
    ) -> None:
        super().__init__(
            name,
            level=2,
            namespace=namespace,
            kernel_address=kernel_address,
            mtu=mtu,
            queue_length=queue_length,
            mac=mac or random_mac(),
        )
