"""A device of the kernel's, at level 2, through a packet socket (packet(7)): one end of a veth pair, or an Ethernet card.

The trap: a kernel with transmit offload sends over veth with the TCP checksum left partial, since nothing can go wrong on the way,
and in super-frames longer than the MTU. Law: a frame is vouched for only when the kernel says so of this very frame
(``PACKET_AUXDATA``); a checksum that is merely wrong is for the stack to find.
"""

import errno
import fcntl
import socket
import struct
from collections.abc import Sequence

from userstack.errors import SetupError
from userstack.host.addresses import add_addresses
from userstack.host.failures import setup_error
from userstack.host.inside import open_socket
from userstack.host.links import create_veth, read_link, remove_link, require_ethernet, set_link, wait_until_running
from userstack.host.quiet import stop_forwarding, stop_ipv6
from userstack.packetio.device import FULL, GONE, Device, DeviceGone
from userstack.packetio.ethernet import ETHERNET_HEADER
from userstack.wire.ip import Buffer
from userstack.wire.offload import LARGEST_PACKET, PLAIN, Offloaded, Outbound

RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes that may wait in the socket: some tens of super-frames of 64 KiB, where the kernel's default holds three."""

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP = 1
PACKET_MR_ALLMULTI = 2
PACKET_MREQ = struct.Struct("=iHH8x")
"""struct packet_mreq: device, type, length of the address, the address."""
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
PACKET_FANOUT = 18
PACKET_IGNORE_OUTGOING = 23
PACKET_FANOUT_HASH = 0
PACKET_FANOUT_FLAG_UNIQUEID = 0x2000
SO_RCVBUFFORCE = 33
SIOCGIFNAME = 0x8910

AUXDATA = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata: status, length, captured length, offsets of the MAC and network header, VLAN tag, VLAN type."""
AUXDATA_SPACE = socket.CMSG_SPACE(AUXDATA.size)
TP_STATUS_CSUMNOTREADY = 1 << 3
"""The checksum is partial: the sender is this kernel and left it to a device."""
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_CSUM_VALID = 1 << 7
"""The kernel, or the card, has verified the checksum."""
VOUCHED = TP_STATUS_CSUMNOTREADY | TP_STATUS_CSUM_VALID
VLAN_ID = 0x0FFF

BATCH = 64
"""Frames for others that are passed over in one ``read``, so that a flood cannot keep it from returning."""
FOR_US = frozenset({socket.PACKET_HOST, socket.PACKET_BROADCAST})
IPV6_MULTICAST = b"\x33\x33"
"""How the MAC of an IPv6 group begins (RFC 2464 7): who looks for a neighbour sends there. Of IPv4 nobody here is in a group."""


class VethDevice(Device):
    """Frames of a device that exists already.

    The kernel must have no address on it, or it answers beside the stack: see ``host.takeover.take_addresses``.

    Args:
        name: of the device, which must be up.
        namespace: where it lives; None for the caller's own.
        offload: leave checksums, and the cutting of TCP segments, to the kernel both ways: frames of up to 64 KiB pass as one.
        queues: sockets, each of which gets a share of the frames, by the hash of their flow (PACKET_FANOUT_HASH). Of more than one,
            each process that has come of this one by a fork serves one: ``take_queue``.

    Raises:
        SetupError: there is no such device, it is down or carries no Ethernet frames, or a privilege is missing.
    """

    desc = "packet socket: Ethernet frames"

    def __init__(self, name: str, *, namespace: str | None = None, offload: bool = False, queues: int = 1) -> None:
        link = read_link(name, namespace=namespace)
        require_ethernet(link)
        if not link.up:
            raise SetupError(f"the device {name} is down: raise it with: ip link set {name} up", errno.ENETDOWN)
        self._queues: list[socket.socket] = []
        self._frame = len(PLAIN) if offload else 0
        self._buffer = bytearray(self._frame + ETHERNET_HEADER + LARGEST_PACKET)
        self._view = memoryview(self._buffer)
        try:
            for _ in range(queues):
                self._queues.append(open_socket(namespace, socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK))
                self._prepare(self._queues[-1], name, link.index, offload=offload)
            if queues > 1:
                _share(self._queues)
        except SetupError:
            self._close_queues()
            raise
        except OSError as error:
            self._close_queues()
            raise setup_error(f"open the device {name}", error) from error
        self.namespace = namespace
        self.offload = offload
        self._index = link.index
        self._socket = self._queues[0]
        super().__init__(name, level=2, mtu=link.mtu, mac=link.mac)

    def fileno(self) -> int:
        """The descriptor of the packet socket; -1 when closed."""
        return self._socket.fileno()

    def take_queue(self, number: int) -> None:
        """After a fork: this process serves the socket of that number from now on, and leaves the others to others."""
        self._socket = self._queues.pop(number)
        self._close_queues()
        self._queues = [self._socket]

    def read(self) -> tuple[Buffer, bool] | None:
        """The next frame for us, for everybody or for an IPv6 group, and whether the kernel vouches for its checksum.

        It lies in a buffer that the next call writes over. None when nothing is there, and after many frames for others: the
        descriptor is readable still.

        Raises:
            DeviceGone: it was removed.
        """
        for _ in range(BATCH):
            try:
                size, ancillary, _, address = self._socket.recvmsg_into((self._buffer,), AUXDATA_SPACE)
            except OSError as error:
                self._read_failed(error)
                return None
            status, tag = _auxdata(ancillary)
            frame = self._view[self._frame : size]
            for_us = address[2] in FOR_US or (address[2] == socket.PACKET_MULTICAST and frame[:2] == IPV6_MULTICAST)
            # The kernel took a VLAN tag out: without it, another network's frame would look like one of ours.
            if for_us and not (status & TP_STATUS_VLAN_VALID and tag & VLAN_ID):
                self.counters.add("rx_packets")
                return frame, bool(status & VOUCHED)
            self.counters.add("rx_dropped")
        return None

    @staticmethod
    def _prepare(queue: socket.socket, name: str, index: int, *, offload: bool) -> None:
        queue.setsockopt(SOL_PACKET, PACKET_VNET_HDR, offload)
        queue.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        queue.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        # A card filters out the groups that nobody has asked it for; the request ends with the socket.
        queue.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MREQ.pack(index, PACKET_MR_ALLMULTI, 0))
        try:
            queue.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:  # NET_RAW without NET_ADMIN: as much as the system's limit allows
            queue.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # Bound last: an unbound packet socket of protocol 0 hears nothing, so no other device's frame is ever in its queue.
        queue.bind((name, ETH_P_ALL))

    def _read_failed(self, error: OSError) -> None:
        if error.errno in FULL:
            return
        if error.errno in GONE or (error.errno == errno.ENETDOWN and not self._exists()):
            raise DeviceGone(self.name) from error
        self.counters.add("rx_errors")

    def _exists(self) -> bool:
        """Whether the device is merely down."""
        try:
            fcntl.ioctl(self._socket, SIOCGIFNAME, struct.pack("16xi20x", self._index))
        except OSError:
            return False
        return True

    def _put(self, packet: Outbound) -> None:
        if isinstance(packet, Offloaded):
            self._socket.sendmsg((packet.vnet_header(), packet.head, *packet.text))
        elif self.offload:
            self._socket.sendmsg((PLAIN, packet))
        else:
            self._socket.send(packet)

    def _close(self) -> None:
        self._close_queues()

    def _close_queues(self) -> None:
        for queue in self._queues:
            queue.close()


class VethPair(VethDevice):
    """A veth pair that is made and removed with the device: our end without an address, the other the kernel's.

    Args:
        name: of our end.
        peer: the name of the kernel's end.
        namespace: where our end lives; None for the caller's own.
        peer_namespace: where the kernel's end lives; None for the same.
        peer_addresses: what the kernel gets on its end, with prefix lengths.
        mtu: of both, in bytes.
        offload: as for ``VethDevice``.
        queues: as for ``VethDevice``.

    Raises:
        SetupError: a name or the address is taken, or a privilege is missing. Nothing is left.
    """

    desc = "one end of a veth pair: Ethernet frames"

    def __init__(
        self,
        name: str,
        peer: str,
        *,
        namespace: str | None = None,
        peer_namespace: str | None = None,
        peer_addresses: Sequence[str] = (),
        mtu: int = 1500,
        offload: bool = False,
        queues: int = 1,
    ) -> None:
        self.peer = peer
        self._is_ours = True
        self.peer_namespace = peer_namespace or namespace
        create_veth(name, peer, namespace=namespace, peer_namespace=peer_namespace, mtu=mtu)
        try:
            stop_forwarding(name, namespace=namespace)
            stop_ipv6(name, namespace=namespace)
            set_link(peer, namespace=self.peer_namespace, up=True)
            set_link(name, namespace=namespace, up=True)
            for end, place in ((name, namespace), (peer, self.peer_namespace)):
                wait_until_running(end, namespace=place)
            add_addresses(peer, peer_addresses, namespace=self.peer_namespace)  # to a device that is up: it is ready at once
            super().__init__(name, namespace=namespace, offload=offload, queues=queues)
        except BaseException:
            remove_link(name, namespace=namespace)
            raise

    def take_queue(self, number: int) -> None:
        """As for ``VethDevice``; the pair stays the parent's, who removes it."""
        super().take_queue(number)
        self._is_ours = False

    def _close(self) -> None:
        super()._close()
        if self._is_ours:
            remove_link(self.name, namespace=self.namespace)


def _share(queues: Sequence[socket.socket]) -> None:
    """Have the kernel give each frame to one of these sockets, those of one flow to the same (packet(7), PACKET_FANOUT)."""
    first, *others = queues
    first.setsockopt(SOL_PACKET, PACKET_FANOUT, (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID) << 16)
    group = first.getsockopt(SOL_PACKET, PACKET_FANOUT) & 0xFFFF
    for other in others:
        other.setsockopt(SOL_PACKET, PACKET_FANOUT, PACKET_FANOUT_HASH << 16 | group)


def _auxdata(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    """The status bits of a frame, and the VLAN tag that was taken out of it."""
    for level, kind, data in ancillary:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tag, _ = AUXDATA.unpack_from(data)
            return status, tag
    return 0, 0
