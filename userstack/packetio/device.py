"""What every device is. Law: ``read`` and ``write`` never block, never raise for what a packet holds, and count what they drop.

It is a scapy ``SuperSocket`` as well: ``sniff(opened_socket=device)``, ``device.sr1(packet)`` and ``AsyncSniffer`` work on it.
"""

import errno
import time
import warnings
from importlib import import_module
from typing import Self

from scapy.packet import Packet
from scapy.supersocket import SuperSocket

from userstack.config import SECOND
from userstack.counters import Counters
from userstack.errors import NetworkError
from userstack.wire.ip import Buffer
from userstack.wire.offload import LARGEST_PACKET, Outbound

FULL = frozenset({errno.EAGAIN, errno.ENOBUFS})
GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.EBADF, getattr(errno, "EBADFD", errno.EBADF)})  # Linux alone has the last
PATIENCE = 64
"""How often in a row a device may claim to be full for want of buffers, before the packet counts as one that it will never take."""

ETHERNET_LAYER = ("scapy.layers.l2", "Ether")
IPV4_LAYER = ("scapy.layers.inet", "IP")
IPV6_LAYER = ("scapy.layers.inet6", "IPv6")
"""Scapy's layers, imported on demand: they take a tenth of a second, which a stack with the fast codec need not pay."""


class DeviceGone(NetworkError):
    """The device was removed while it was in use."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.ENODEV, f"the device {name} is gone: it was removed while it was in use")


class Device(SuperSocket):  # type: ignore[misc] # scapy is not typed
    """A non-blocking source and sink of packets behind one descriptor.

    Args:
        name: what to call it.
        level: 3 when it carries IP packets, 2 for Ethernet frames.
        mtu: bytes of the largest IP packet that it carries.
        mac: the six bytes of its hardware address; None on level 3.
    """

    desc = "a device of userstack"
    offload = False
    """It finishes checksums and cuts TCP segments itself."""
    closed = True  # until the constructor is through: a device that was never opened needs no closing

    def __init__(self, name: str, *, level: int, mtu: int, mac: bytes | None = None) -> None:
        self.name = name
        self.level = level
        self.mtu = mtu
        self.mac = mac
        self.counters = Counters()
        """What it carried and dropped, under the names of the kernel's interface statistics: ``rx_packets``, ``tx_dropped``, ..."""
        self.closed = False
        self._refusals = 0

    def fileno(self) -> int:
        """The descriptor that is readable when a packet is there, and writable when there is room for one."""
        raise NotImplementedError

    def read(self) -> tuple[Buffer, bool] | None:
        """The next packet, and whether the device vouches for its TCP checksum; None when nothing is there.

        The packet may lie in a buffer that the next call writes over.

        Raises:
            DeviceGone: it was removed.
        """
        raise NotImplementedError

    def write(self, packet: bytes) -> bool:
        """Send a packet.

        Returns:
            False when the device is full and the caller has to keep the packet. A packet that the device will never take counts as
            sent and dropped (``tx_dropped``), as on any link.

        Raises:
            DeviceGone: it was removed.
        """
        return self.write_offloaded(packet)

    def write_offloaded(self, packet: Outbound) -> bool:
        """As ``write``, for a packet that the device finishes, where ``offload`` says that it does, or one that is whole."""
        try:
            self._put(packet)
        except OSError as error:
            return self._refused(error)
        self._refusals = 0
        self.counters["tx_packets"] += 1
        return True

    def next_deadline(self, now: int) -> int | None:
        """When ``read`` has to be called again though the descriptor is silent, in the clock's ns; None when only it matters.

        Args:
            now: the time, in ns.
        """
        return None

    def close(self) -> None:
        """Give everything back; may be called twice."""
        if not self.closed:
            self.closed = True
            self._close()

    def recv_raw(self, x: int = LARGEST_PACKET) -> tuple[type[Packet] | None, bytes | None, float | None]:
        """The next packet for scapy: its class, its bytes, its time (unknown). ``(None, None, None)`` when nothing is there."""
        arrived = self.read()
        if arrived is None:
            return None, None, None
        packet = bytes(arrived[0])
        return self._packet_class(packet), packet[:x], None

    def send(self, x: Packet) -> int:
        """Send a packet of scapy's. Returns its length in bytes.

        Raises:
            BlockingIOError: the device is full.
            DeviceGone: it was removed.
        """
        data = bytes(x)
        if isinstance(x, Packet):
            x.sent_time = time.time()
        if not self.write(data):
            raise BlockingIOError(errno.EAGAIN, f"the device {self.name} is full")
        return len(data)

    @staticmethod
    def select(sockets: list[SuperSocket], remain: float | None = None) -> list[SuperSocket]:
        """Wait as scapy does until a socket is readable, or a packet that was held back is due on the machine's monotonic clock.

        Args:
            sockets: devices, and others of scapy's.
            remain: the longest wait, in seconds; None: any.
        """
        now = time.monotonic_ns()
        due = {sock: deadline for sock in sockets if isinstance(sock, Device) and (deadline := sock.next_deadline(now)) is not None}
        waits = [max(0, deadline - now) / SECOND for deadline in due.values()]
        ready: list[SuperSocket] = SuperSocket.select(sockets, min([*waits, *([] if remain is None else [remain])], default=None))
        now = time.monotonic_ns()
        return ready + [sock for sock, deadline in due.items() if deadline <= now and sock not in ready]

    @property
    def basecls(self) -> type[Packet]:
        """The layer that scapy starts to dissect with."""
        return self._packet_class(b"\x45")

    def _put(self, packet: Outbound) -> None:
        """Hand a packet to whatever carries it."""
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def _packet_class(self, packet: bytes) -> type[Packet]:
        if self.level == 2:
            layer = ETHERNET_LAYER
        else:
            layer = IPV6_LAYER if packet[:1] and packet[0] >> 4 == 6 else IPV4_LAYER
        found: type[Packet] = getattr(import_module(layer[0]), layer[1])
        return found

    def _refused(self, error: OSError) -> bool:
        """Tell a full device from a packet that is refused for good, and from a device that is gone."""
        if error.errno in GONE:
            raise DeviceGone(self.name) from error
        if error.errno in FULL:
            # A queue says EAGAIN until there is room. ENOBUFS may also mean that the other end will never take this one packet.
            self._refusals += error.errno == errno.ENOBUFS
            if self._refusals < PATIENCE:
                return False
        self._refusals = 0
        self.counters.add("tx_dropped")
        return True

    def __del__(self) -> None:
        if not self.closed:
            warnings.warn(f"unclosed device {self.name}", ResourceWarning, stacklevel=1, source=self)
            self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __enter__(self) -> Self:
        return self
