"""A packet that its device finishes: the TCP checksum is partial, and a text that is too long is cut into segments (TSO).

The device, or the kernel behind it, is told so by the header that virtio network devices have (struct virtio_net_hdr of
linux/virtio_net.h), which TUN devices (IFF_VNET_HDR) and packet sockets (PACKET_VNET_HDR) put before every packet.
"""

import struct
from typing import Final

from userstack.wire.checksum import finish, word_sum
from userstack.wire.ip import Buffer
from userstack.wire.tcp import CWR

VNET_HEADER: Final = struct.Struct("=BBHHHH")
"""struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, in the byte order of the machine."""
NEEDS_CSUM: Final = 1
"""The checksum is partial: it holds the sum of the pseudo header."""
DATA_VALID: Final = 2
"""The checksum was found right."""
VOUCHED: Final = NEEDS_CSUM | DATA_VALID
GSO_NONE: Final = 0
GSO_TCPV4: Final = 1
GSO_TCPV6: Final = 4
GSO_ECN: Final = 0x80
PLAIN: Final = bytes(VNET_HEADER.size)
"""Before a packet that needs nothing."""

_FLAGS_PLACE: Final = 13
CHECKSUM_PLACE: Final = 16
"""Of the checksum in a TCP header."""
LARGEST_PACKET: Final = 65535
"""Octets of the largest IP packet (RFC 791 3.1), a super-segment included."""


class Offloaded:
    """An IP packet, or a frame with one, in pieces. ``len`` is that of all of it, its ``size``."""

    __slots__ = ("_size", "gso_size", "head", "text", "transport", "version")

    def __init__(self, head: bytes, transport: int, text: tuple[Buffer, ...], size: int, *, version: int, gso_size: int) -> None:
        self.head = head
        """All headers; those of IP tell the length of the whole, that of TCP has a partial checksum."""
        self.transport = transport
        """Where in ``head`` the TCP header begins."""
        self.text = text
        self._size = size
        self.version = version
        """4 or 6."""
        self.gso_size = gso_size
        """Octets of text in each segment; 0: it is one."""

    def __len__(self) -> int:
        return self._size

    def vnet_header(self) -> bytes:
        """What tells the device of it."""
        kind = GSO_NONE
        if self.gso_size:
            kind = GSO_TCPV4 if self.version == 4 else GSO_TCPV6
            if self.head[self.transport + _FLAGS_PLACE] & CWR:
                kind |= GSO_ECN  # only the first segment says so
        return VNET_HEADER.pack(NEEDS_CSUM, kind, len(self.head), self.gso_size, self.transport, CHECKSUM_PLACE)

    def within(self, link_header: bytes) -> "Offloaded":
        """The frame that carries it."""
        octets = len(link_header)
        return Offloaded(
            link_header + self.head,
            self.transport + octets,
            self.text,
            self._size + octets,
            version=self.version,
            gso_size=self.gso_size,
        )

    def finish(self) -> bytes:
        """The packet in one piece with its checksum, not cut."""
        head, text = self.head, b"".join(self.text)
        place = self.transport + CHECKSUM_PLACE
        total = word_sum(head[self.transport :]) + word_sum(text)  # the partial checksum brings in the pseudo header
        return head[:place] + finish(total).to_bytes(2, "big") + head[place + 2 :] + text


Outbound = bytes | Offloaded
"""What goes to a device: a whole packet or frame, or one that the device finishes."""


def finished(packet: Outbound) -> bytes:
    """A packet as a wire would carry it, but for its length."""
    return packet if isinstance(packet, bytes) else packet.finish()


def headers(packet: Outbound) -> bytes:
    """The first octets of a packet, its headers at least."""
    return packet if isinstance(packet, bytes) else packet.head


def framed(link_header: bytes, packet: Outbound) -> Outbound:
    """The frame that carries ``packet``."""
    return link_header + packet if isinstance(packet, bytes) else packet.within(link_header)
