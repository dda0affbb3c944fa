"""Two devices in one process, each the other's wire: for two stacks side by side, or for a program that carries packets itself.

Packets are datagrams on a pair of connected sockets, so that the operating system keeps the boundaries, bounds the queue and makes
the descriptor readable and writable when it should be. Nothing here needs a privilege, and nothing is particular to Linux.
"""

import secrets
import socket

from userstack.packetio.device import FULL, Device
from userstack.packetio.ethernet import ETHERNET_HEADER, random_mac
from userstack.wire.offload import LARGEST_PACKET, Outbound, finished

QUEUE_BYTES = 1024 * 1024
"""What may wait on the way to the other end, by the operating system's own accounting: some hundreds of full-sized packets."""


class MemoryDevice(Device):
    """One end of ``memory_pair``. What is written when the other end is closed is lost, as on a wire that was cut.

    Args:
        name: what to call it.
        end: a non-blocking socket that keeps message boundaries; it belongs to the device from now on.
        level: 3 when it carries IP packets, 2 for Ethernet frames.
        mtu: bytes of the largest IP packet.
        mac: six bytes on level 2, None on level 3.
    """

    desc = "memory: the other end is in the same process"

    def __init__(self, name: str, end: socket.socket, *, level: int, mtu: int, mac: bytes | None) -> None:
        self._socket = end
        super().__init__(name, level=level, mtu=mtu, mac=mac)

    def fileno(self) -> int:
        """The descriptor of this end; -1 when closed."""
        return self._socket.fileno()

    def read(self) -> tuple[bytes, bool] | None:
        """The next packet that the other end wrote; None when there is none. Its checksum is for the stack to verify."""
        try:
            packet = self._socket.recv(LARGEST_PACKET + ETHERNET_HEADER)
        except OSError as error:
            if error.errno in FULL:
                return None
            raise
        self.counters.add("rx_packets")
        return packet, False

    def _put(self, packet: Outbound) -> None:
        self._socket.send(finished(packet))

    def _close(self) -> None:
        self._socket.close()


def make_wire(queue: int = QUEUE_BYTES) -> tuple[socket.socket, socket.socket]:
    """Two ends for two devices.

    Args:
        queue: bytes that may wait in each direction, roughly.
    """
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in ends:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, queue)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, queue)
    return ends


def memory_pair(level: int = 3, *, mtu: int = 1500, queue: int = QUEUE_BYTES) -> tuple[MemoryDevice, MemoryDevice]:
    """Two devices: what is written into one is read from the other.

    Args:
        level: 3 for IP packets, 2 for Ethernet frames.
        mtu: bytes of the largest IP packet.
        queue: bytes that may wait in each direction, roughly; beyond it ``write`` says that the device is full.
    """
    name = f"memory-{secrets.token_hex(2)}"
    first, second = (
        MemoryDevice(f"{name}{letter}", end, level=level, mtu=mtu, mac=random_mac() if level == 2 else None)
        for letter, end in zip("ab", make_wire(queue), strict=True)
    )
    return first, second
