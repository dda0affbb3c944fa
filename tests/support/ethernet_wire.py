"""An Ethernet link and what a person at the other end of its cable sees, says and waits for."""

from typing import Any

from userstack.address import pack_address
from userstack.config import SECOND, StackConfig
from userstack.counters import Counters
from userstack.net.ethernet import EthernetLink
from userstack.net.interface import Interface
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.codec import make_codec
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, EthernetFrame

CODEC = make_codec("fast")
OUR_MAC = bytes.fromhex("020000000002")
PEER_MAC = bytes.fromhex("020000000001")
OTHER_MAC = bytes.fromhex("020000000009")
NO_MAC = bytes(6)
US = pack_address("10.9.0.2")
PEER = pack_address("10.9.0.1")
OTHER = pack_address("10.9.0.9")
FAR = pack_address("203.0.113.5")


class Wire:
    """A link, and what a person at the other end of its cable sees."""

    def __init__(self, *, gateway: bytes | None = None, **settings: Any) -> None:
        self.counters = Counters()
        self.link = EthernetLink(
            OUR_MAC,
            Interface.parse("10.9.0.2/24"),
            gateway=gateway,
            config=StackConfig(**settings),
            codec=CODEC,
            counters=self.counters,
        )
        self.now = 5 * SECOND
        self.announced = self.sent()

    def sent(self) -> list[EthernetFrame]:
        frames = []
        while (frame := self.link.poll_transmit(now=self.now)) is not None:
            frames.append(CODEC.decode_ethernet(frame))
        return frames

    def arps(self) -> list[tuple[bytes, ArpPacket]]:
        frames = self.sent()
        assert all(frame.ethertype == ARP and frame.source == OUR_MAC for frame in frames)
        return [(frame.destination, CODEC.decode_arp(frame.payload)) for frame in frames]

    def packets(self) -> list[tuple[bytes, bytes]]:
        frames = self.sent()
        assert all(frame.ethertype == IPV4 and frame.source == OUR_MAC for frame in frames)
        return [(frame.destination, bytes(frame.payload)) for frame in frames]

    def hear(self, payload: bytes, *, ethertype: int = ARP, source: bytes = PEER_MAC, destination: bytes = OUR_MAC) -> bytes | None:
        frame = CODEC.encode_ethernet(EthernetFrame(destination, source, ethertype, payload))
        packet = self.link.receive(frame, now=self.now)
        return None if packet is None else bytes(packet)

    def hear_arp(
        self,
        operation: int,
        sender_mac: bytes = PEER_MAC,
        sender_ip: bytes = PEER,
        target_mac: bytes = NO_MAC,
        target_ip: bytes = US,
        destination: bytes = BROADCAST,
    ) -> None:
        packet = ArpPacket(operation, sender_mac, sender_ip, target_mac, target_ip)
        assert self.hear(CODEC.encode_arp(packet), source=sender_mac, destination=destination) is None

    def answer(self, mac: bytes = PEER_MAC, address: bytes = PEER) -> None:
        self.hear_arp(REPLY, mac, address, OUR_MAC, US, destination=OUR_MAC)

    def send(self, packet: bytes = b"packet", destination: bytes = PEER) -> None:
        self.link.send(packet, destination, now=self.now)

    def wait(self, nanoseconds: int) -> None:
        """Let the time pass, firing each deadline on its nanosecond."""
        until = self.now + nanoseconds
        while (deadline := self.link.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.link.on_deadline(now=self.now)
        self.now = until

    def unreachable(self) -> list[bytes]:
        packets = []
        while (packet := self.link.poll_unreachable()) is not None:
            packets.append(packet)
        return packets

    def state(self, address: bytes = PEER) -> str | None:
        return {row.address: row.state for row in self.link.neighbors()}.get(address)


def request(target: bytes, mac: bytes = NO_MAC) -> ArpPacket:
    return ArpPacket(REQUEST, OUR_MAC, US, mac, target)
