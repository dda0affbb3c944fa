"""A peer played by the test: builds and reads packets with the fast codec, and keeps nothing but its address and port."""

from dataclasses import dataclass

from tests.sim.nets import IPV4, IPV6
from userstack.address import pack_address
from userstack.sim import VirtualHost
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import FLAG_NAMES, TcpSegment, flag_names

CODEC = make_codec("fast")
BITS = {name: bit for bit, name in FLAG_NAMES}


@dataclass(frozen=True, slots=True)
class Heard:
    """A segment that the host sent, and when."""

    time: int
    flags: str
    seq: int
    ack: int
    data: bytes
    ports: tuple[int, int]


def read(sent: tuple[int, bytes]) -> Heard:
    """One element of ``take()``."""
    time, packet = sent
    segment = CODEC.decode_tcp(CODEC.decode_ip(packet))
    ports = (segment.source_port, segment.destination_port)
    return Heard(time, flag_names(segment.flags), segment.seq, segment.ack, bytes(segment.payload), ports)


class Peer:
    """One remote socket that talks to one port of ``host``."""

    def __init__(self, host: VirtualHost, target: tuple[str, int], source: tuple[str, int] | None = None) -> None:
        self.host = host
        self.target = target
        self.source = source or ((IPV6 if ":" in target[0] else IPV4).there, 5000)

    def packet(self, flags: str, *, seq: int, ack: int = 0, data: bytes = b"", window: int = 65535) -> bytes:
        """A packet of this peer, ready to deliver."""
        bits = sum(BITS[name] for name in flags.split(","))
        source, destination = pack_address(self.source[0]), pack_address(self.target[0])
        segment = TcpSegment(self.source[1], self.target[1], seq, ack, bits, window, payload=data)
        return CODEC.encode_ip(IPPacket(source, destination, TCP, CODEC.encode_tcp(segment, source, destination)))

    def say(self, flags: str, *, seq: int, ack: int = 0, data: bytes = b"", window: int = 65535) -> list[Heard]:
        """Deliver a packet; what the host sends in answer."""
        self.host.deliver(self.packet(flags, seq=seq, ack=ack, data=data, window=window))
        return self.hear()

    def hear(self) -> list[Heard]:
        """What the host has sent since."""
        return [read(sent) for sent in self.host.take()]
