"""The bare loop: what Python can carry over TUN at most, for it does nothing that TCP asks for on a link that loses something.

It knows the three services and just enough TCP to serve them: no timers, no retransmission, no options but the SYN's, no check of
a checksum that comes in, not a copy of what nobody wants to have. A stack does all that too, so its figures beside these are the
price of being one.

    python -m userstack.bench.programs.loop [--no-offload] DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU

With offload one system call moves up to 64 KiB and checksums are left to the kernel (``IFF_VNET_HDR``, ``TUNSETOFFLOAD``).
"""

import fcntl
import os
import select
import struct
import sys

from userstack.bench.programs.place import CHARGEN, DISCARD, ECHO, Place, say

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 0x01, 0x02, 0x04
VNET = struct.Struct("=BBHHHH")
"""struct virtio_net_hdr: flags, type of the super-segment, length of the headers, its MSS, where the checksum begins and goes."""
NEEDS_CSUM, GSO_NONE, GSO_TCPV4 = 1, 0, 1

HEADERS = 40
"""Octets of an IPv4 and a TCP header without options."""
IPV4 = struct.Struct("!BBHHHBBH8s")
TCP = struct.Struct("!4sIIBBHHH")
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
SYN_OPTIONS = struct.Struct("!BBHBBBB")
OWN_SHIFT = 10
ISS = 1000
BATCH = 16
"""Packets that are read before one is answered: one ACK for all of them."""
LARGEST = 70_000
IN_FLIGHT = 4 << 20
"""Octets of chargen on their way, at most."""


class Flow:
    """One connection."""

    __slots__ = (
        *("closed", "echoed", "expected", "finished", "headers", "limit", "next", "owed", "pair", "ports", "ports_sum"),
        *("service", "shift", "una"),
    )

    def __init__(self, key: bytes, expected: int, service: int, shift: int) -> None:
        self.pair = key[4:8] + key[:4]
        """Addresses and ports of what is sent: those of what came, the other way round."""
        self.ports = key[10:12] + key[8:10]
        self.ports_sum = int.from_bytes(self.ports, "big")
        self.headers: dict[int, tuple[bytes, int]] = {}
        """For each length of a packet its IP header, and the sum of its pseudo header."""
        self.service = service
        self.shift = shift
        self.expected = expected
        self.next = self.una = ISS + 1
        self.limit = 0
        self.echoed = b""
        self.owed = False
        self.closed = False
        self.finished = False

    def make_headers(self, length: int) -> tuple[bytes, int]:
        """What does not change from packet to packet of one length."""
        addresses = int.from_bytes(self.pair, "big")
        check = complement(0x4500 + length + 0x4000 + 0x4006 + addresses)
        ip = IPV4.pack(0x45, 0, length, 0, 0x4000, 64, 6, check, self.pair)
        made = self.headers[length] = ip, (addresses + 6 + length - 20) % 0xFFFF
        return made


def complement(total: int) -> int:
    """The checksum of RFC 1071 of a sum, which may be that of a whole packet read as one number: the loop over it is C's."""
    return 0xFFFF - total % 0xFFFF or 0xFFFF


def window_scale(options: bytes) -> int:
    """The shift in the options of a SYN (RFC 7323 2.2)."""
    at = 0
    while at + 2 < len(options) and options[at]:
        if options[at] == 3:
            return options[at + 2]
        at += 1 if options[at] == 1 else max(options[at + 1], 2)
    return 0


def open_device(name: str, *, offload: bool) -> int:
    """Make the TUN device. It goes with its descriptor."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    flags = IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if offload else 0)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    if offload:
        fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return descriptor


class BareLoop:
    """All connections, on one descriptor."""

    def __init__(self, descriptor: int, *, mtu: int, offload: bool) -> None:
        self._descriptor = descriptor
        self._offload = offload
        self._head = VNET.size if offload else 0
        self._mss = mtu - HEADERS
        self._block = bytes((65535 - HEADERS - 60) // self._mss * self._mss if offload else self._mss)
        # One packet of a TUN queue of 1000 is 64 KiB with offload and an MTU without: what comes in must fit into it.
        self._window = (16 << 20 if offload else 512 << 10) >> OWN_SHIFT
        self._room = bytearray(LARGEST)
        self._flows: dict[bytes, Flow] = {}

    def run(self) -> None:
        """Serve for ever."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        descriptor, room = self._descriptor, [self._room]
        touched: set[Flow] = set()
        while True:
            for _ in range(BATCH):
                try:
                    size = os.readv(descriptor, room)
                except BlockingIOError:
                    break
                flow = self._take(size)
                if flow is not None:
                    touched.add(flow)
            if not touched:
                poll.poll()
            for flow in touched:
                self._answer(flow)
            touched.clear()

    def _take(self, size: int) -> Flow | None:
        """One packet; the flow that may owe an answer to it."""
        room, ip = self._room, self._head
        if room[ip] != 0x45 or room[ip + 9] != 6:
            return None
        tcp = ip + 20
        seq, ack, offset, bits, window = struct.unpack_from("!IIBBH", room, tcp + 4)
        key = bytes(room[ip + 12 : ip + 24])
        text = tcp + (offset >> 4) * 4
        if bits & SYN:
            self._open(key, seq, window_scale(bytes(room[tcp + 20 : text])))
            return None
        flow = self._flows.get(key)
        if flow is None:
            return None
        if bits & RST or (flow.finished and ack == flow.next & 0xFFFFFFFF):
            del self._flows[key]
            return None
        flow.una += (ack - flow.una) & 0xFFFFFFFF
        flow.limit = window << flow.shift
        if size > text:
            flow.owed = True
            if seq == flow.expected & 0xFFFFFFFF:
                flow.expected += size - text
                if flow.service == ECHO:
                    flow.echoed += room[text:size]
        if bits & FIN and (seq + size - text) & 0xFFFFFFFF == flow.expected & 0xFFFFFFFF:
            flow.expected += 1
            flow.closed = flow.owed = True
        return flow

    def _open(self, key: bytes, seq: int, shift: int) -> None:
        service = int.from_bytes(key[10:12], "big")
        if service not in (ECHO, DISCARD, CHARGEN):
            return
        flow = self._flows[key] = Flow(key, seq + 1, service, shift)
        options = SYN_OPTIONS.pack(2, 4, self._mss, 1, 3, 3, OWN_SHIFT)
        self._send(flow, SYN | ACK, ISS, options=options)

    def _answer(self, flow: Flow) -> None:
        """Send what there is to send, or else the ACK that is owed."""
        if flow.service == CHARGEN and not flow.closed:
            self._generate(flow)
        elif flow.echoed:
            for at in range(0, len(flow.echoed), len(self._block)):
                part = flow.echoed[at : at + len(self._block)]
                self._send(flow, PSH | ACK, flow.next, part)
                flow.next += len(part)
            flow.echoed = b""
        if flow.closed and not flow.finished:
            self._send(flow, FIN | ACK, flow.next)
            flow.next += 1
            flow.finished = True
        elif flow.owed:
            self._send(flow, ACK, flow.next)
        flow.owed = False

    def _generate(self, flow: Flow) -> None:
        """Whole blocks while they fit into the window; into one that is smaller than a block, what fits."""
        block = self._block
        limit = flow.una + min(flow.limit, IN_FLIGHT)
        if flow.next == flow.una and limit - flow.next < len(block):
            block = block[: (limit - flow.next) // self._mss * self._mss]
        while block and flow.next + len(block) <= limit:
            self._send(flow, PSH | ACK, flow.next, block)
            flow.next += len(block)

    def _send(self, flow: Flow, bits: int, seq: int, text: bytes = b"", *, options: bytes = b"") -> None:
        flow.owed = False
        length = HEADERS + len(options) + len(text)
        ip, pseudo = flow.headers.get(length) or flow.make_headers(length)
        offset, window = 20 + len(options) << 2, 65535 if bits & SYN else self._window
        seq, ack = seq & 0xFFFFFFFF, flow.expected & 0xFFFFFFFF
        if self._offload:
            kind = GSO_TCPV4 if len(text) > self._mss else GSO_NONE
            before = VNET.pack(NEEDS_CSUM, kind, HEADERS, self._mss if kind else 0, 20, 16)
            check = pseudo  # of the pseudo header alone, the rest is the kernel's to add
        else:
            before = b""
            # 2^16 is 1 modulo 2^16 - 1, so fields of any length may be added up as they are (RFC 1071 2).
            total = pseudo + flow.ports_sum + seq + ack + (offset << 8) + bits + window + int.from_bytes(options, "big")
            check = complement(total + (int.from_bytes(text, "big") << len(text) % 2 * 8))
        header = b"".join((before, ip, TCP.pack(flow.ports, seq, ack, offset, bits, window, check, 0), options))
        os.writev(self._descriptor, (header, text) if text else (header,))


def main(words: list[str]) -> None:
    """Serve until SIGTERM, whose default is the right end for a process with nothing but a descriptor."""
    offload = "--no-offload" not in words
    place = Place.parse([word for word in words if word != "--no-offload"])
    loop = BareLoop(open_device(place.device, offload=offload), mtu=place.mtu, offload=offload)
    say("device")
    say("ready")
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1:])
