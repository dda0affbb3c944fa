"""Clients of one listener, each a remote socket that the test plays, over any system that takes and gives IP packets.

The system is a ``VirtualHost`` or the kernel (``kernel_system``): what is said to both and what they answer can be compared.
"""

import struct
from collections.abc import Iterator

from tests.sim.nets import Net
from userstack.address import pack_address
from userstack.config import MILLISECOND
from userstack.drill.system import System
from userstack.wire import tcp
from userstack.wire.checksum import internet_checksum
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, NOP, SYN, Option, TcpSegment

CODEC = make_codec("fast")
MASK = 0xFFFFFFFF
PORT = 80
IRS = 1_000
MSS = Option(tcp.MSS, struct.pack("!H", 1_460))
SCALE = Option(tcp.WINDOW_SCALE, b"\x07")
SACK = Option(tcp.SACK_PERMITTED)


def stamp(tsval: int, tsecr: int = 0) -> Option:
    """The Timestamps option."""
    return Option(tcp.TIMESTAMPS, struct.pack("!II", tsval, tsecr & MASK))


def of(segment: TcpSegment, kind: int) -> bytes | None:
    """The data of the option of that kind; None where there is none."""
    return next((option.data for option in segment.options if option.kind == kind), None)


class Client:
    """One remote socket. ``moment`` is how long an answer may take, in ns: nothing in virtual time."""

    def __init__(self, system: System, net: Net, port: int, *, irs: int = IRS, moment: int = 0) -> None:
        self.system, self.port, self.irs, self.moment = system, port, irs, moment
        self.here, self.there = pack_address(net.here), pack_address(net.there)
        self.iss = 0
        self.tsval = 0
        """What the system's last segment had for TSval; 0: nothing."""

    def say(
        self,
        flags: int,
        seq: int,
        ack: int = 0,
        *,
        options: tuple[Option, ...] = (),
        data: bytes = b"",
        window: int = 65_535,
        spoil: bool = False,
    ) -> list[TcpSegment]:
        """A segment with the numbers as they stand in it; what the system answers. ``spoil``: the first option has length 1."""
        segment = TcpSegment(self.port, PORT, seq & MASK, ack & MASK, flags, window, options=options, payload=data)
        payload = bytearray(CODEC.encode_tcp(segment, self.there, self.here))
        if spoil:
            payload[21] = 1
            payload[16:18] = bytes(2)
            pseudo_header = struct.pack("!HH", TCP, len(payload))
            payload[16:18] = internet_checksum(self.there, self.here, pseudo_header, payload).to_bytes(2, "big")
        self.system.deliver(CODEC.encode_ip(IPPacket(self.there, self.here, TCP, bytes(payload))))
        return list(self.hear())

    def syn(self, *options: Option, flags: int = SYN, data: bytes = b"") -> TcpSegment | None:
        """A SYN, and its answer, which is remembered."""
        heard = self.say(flags, self.irs, options=options, data=data)
        assert len(heard) <= 1
        for segment in heard:
            self.iss = segment.seq
            stamps = of(segment, tcp.TIMESTAMPS)
            self.tsval = int.from_bytes(stamps[:4], "big") if stamps is not None else 0
            return segment
        return None

    def ack(self, *, seq: int = 1, ack: int = 1, flags: int = ACK, data: bytes = b"", window: int = 65_535) -> list[TcpSegment]:
        """The third segment, its numbers counted from the initial ones, with timestamps where the SYN,ACK had them."""
        options = (Option(NOP), Option(NOP), stamp(78, self.tsval)) if self.tsval else ()
        return self.say(flags, self.irs + seq, self.iss + ack, options=options, data=data, window=window)

    def hear(self, wait: int = 0) -> Iterator[TcpSegment]:
        """What the system has sent, within ``wait`` ns from now."""
        until = self.system.now + max(wait, self.moment)
        while self.system.now < until:
            self.system.run(until)
        for _, packet in self.system.take():
            found = CODEC.decode_ip(packet)
            if found.protocol == TCP:
                yield CODEC.decode_tcp(found, verify=False)


REAL = 10 * MILLISECOND
"""In which the kernel has answered."""
