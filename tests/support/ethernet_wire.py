"""An Ethernet link of one family, and what a person at the other end of its cable sees, says and waits for."""

from typing import Any, NamedTuple

from userstack.address import pack_address
from userstack.config import SECOND, StackConfig
from userstack.counters import Counters
from userstack.net.ethernet import EthernetLink
from userstack.net.interface import Interface
from userstack.net.neighbors import NeighborRow
from userstack.trace import Event
from userstack.wire import nd
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.codec import make_codec
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, IPV6, EthernetFrame, multicast_mac
from userstack.wire.icmpv6 import NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION
from userstack.wire.ip import ICMPV6, IPPacket
from userstack.wire.nd import HOP_LIMIT, NdMessage, NeighborAdvertisement, NeighborSolicitation, solicited_node
from userstack.wire.offload import finished

CODEC = make_codec("fast")
OUR_MAC = bytes.fromhex("020000000002")
PEER_MAC = bytes.fromhex("020000000001")
OTHER_MAC = bytes.fromhex("020000000009")
NO_MAC = bytes(6)
EXPERIMENTAL = 253
"""A protocol of nobody's (RFC 3692), for packets whose content does not matter."""


class Places(NamedTuple):
    """The addresses of one family."""

    interface: str
    us: bytes
    peer: bytes
    other: bytes
    far: bytes
    ethertype: int
    counter: str
    """The beginning of the counters' names."""


US, PEER, OTHER, FAR = (pack_address(text) for text in ("10.9.0.2", "10.9.0.1", "10.9.0.9", "203.0.113.5"))
US6, PEER6, OTHER6, FAR6 = (pack_address(text) for text in ("fd3d::2", "fd3d::1", "fd3d::9", "2001:db8::5"))
FAMILIES = {
    4: Places("10.9.0.2/24", US, PEER, OTHER, FAR, IPV4, "Arp"),
    6: Places("fd3d::2/64", US6, PEER6, OTHER6, FAR6, IPV6, "Nd"),
}
LINK_LOCAL = pack_address("fe80::ff:fe00:2")
"""What ``OUR_MAC`` gives."""


class Wire:
    """A link, and what a person at the other end of its cable sees.

    An IPv6 neighbour is trusted as long as an IPv4 one, and no address is tentative, unless ``settings`` say otherwise.
    """

    def __init__(
        self, family: int = 4, *, gateway: bytes | None = None, interfaces: list[str] | None = None, **settings: Any
    ) -> None:
        self.family = family
        self.places = FAMILIES[family]
        self.counters = Counters()
        self.trace: list[Event] = []
        self.link = EthernetLink(
            OUR_MAC,
            [Interface.parse(text) for text in interfaces or [self.places.interface]],
            gateways=[] if gateway is None else [gateway],
            config=StackConfig(**{"dad_transmits": 0, "nd_reachable": 60 * SECOND, **settings}),
            codec=CODEC,
            counters=self.counters,
            random=lambda below: below // 2,
            trace=self.trace.append,
        )
        self.now = 5 * SECOND
        self.announced = self.sent()
        self.wait(SECOND)
        self.repeated = self.sent()

    # --- what is seen ---

    def sent(self) -> list[EthernetFrame]:
        frames = []
        while (frame := self.link.poll_transmit(now=self.now)) is not None:
            frames.append(CODEC.decode_ethernet(finished(frame)))
        assert all(frame.source == OUR_MAC for frame in frames)
        return frames

    def packets(self) -> list[tuple[bytes, bytes]]:
        """The payloads of the packets that were sent, and to which MAC; there is nothing else."""
        frames = self.sent()
        assert all(frame.ethertype == self.places.ethertype for frame in frames)
        return [(frame.destination, bytes(CODEC.decode_ip(frame.payload).payload)) for frame in frames]

    def arps(self) -> list[tuple[bytes, ArpPacket]]:
        frames = self.sent()
        assert all(frame.ethertype == ARP for frame in frames)
        return [(frame.destination, CODEC.decode_arp(frame.payload)) for frame in frames]

    def discoveries(self) -> list[tuple[bytes, IPPacket, NdMessage]]:
        """The messages of neighbor discovery that were sent, in which packets, to which MAC; there is nothing else."""
        found = []
        for frame in self.sent():
            packet = CODEC.decode_ip(frame.payload)
            assert (packet.protocol, packet.ttl) == (ICMPV6, HOP_LIMIT)
            found.append((frame.destination, packet, nd.decode(packet, CODEC.decode_icmpv6(packet))))
        return found

    def questions(self) -> list[tuple[bytes | None, bytes]]:
        """Who was asked for what, in whichever protocol; None is everyone. There is nothing else."""
        return [question for frame in self.sent() if (question := self.question(frame))]

    def question(self, frame: EthernetFrame) -> tuple[bytes | None, bytes] | None:
        if self.family == 4:
            arp = CODEC.decode_arp(frame.payload)
            assert arp.operation == REQUEST
            return None if frame.destination == BROADCAST else frame.destination, arp.target_ip
        packet = CODEC.decode_ip(frame.payload)
        value = nd.decode(packet, CODEC.decode_icmpv6(packet))
        assert isinstance(value, NeighborSolicitation)
        everyone = frame.destination == multicast_mac(solicited_node(value.target))
        return None if everyone else frame.destination, value.target

    def is_question(self, frame: EthernetFrame) -> bool:
        if self.family == 4:
            return frame.ethertype == ARP and CODEC.decode_arp(frame.payload).operation == REQUEST
        packet = CODEC.decode_ip(frame.payload)
        return packet.protocol == ICMPV6 and packet.payload[0] == NEIGHBOR_SOLICITATION

    def is_answer(self, frame: EthernetFrame) -> bool:
        if self.family == 4:
            return frame.ethertype == ARP and CODEC.decode_arp(frame.payload).operation == REPLY
        packet = CODEC.decode_ip(frame.payload)
        return packet.protocol == ICMPV6 and packet.payload[0] == NEIGHBOR_ADVERTISEMENT

    def unreachable(self) -> list[bytes]:
        """The payloads of the packets that were given up on."""
        packets = []
        while (packet := self.link.poll_unreachable()) is not None:
            packets.append(bytes(CODEC.decode_ip(packet).payload))
        return packets

    def neighbors(self) -> list[NeighborRow]:
        return self.link.neighbors()

    def state(self, address: bytes | None = None) -> str | None:
        return {row.address: row.state for row in self.neighbors()}.get(address or self.places.peer)

    def mac(self, address: bytes | None = None) -> bytes | None:
        return {row.address: row.mac for row in self.neighbors()}.get(address or self.places.peer)

    def counter(self, name: str) -> int:
        """A counter of the protocol that finds neighbours."""
        return self.counters[self.places.counter + name]

    # --- what is said ---

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

    def hear_nd(
        self, value: NdMessage, *, source: bytes = PEER6, destination: bytes = US6, mac: bytes = PEER_MAC, ttl: int = HOP_LIMIT
    ) -> None:
        """A message of neighbor discovery, which the link hands up as the packet that it is, and the host hands back."""
        payload = CODEC.encode_icmpv6(nd.encode(value), source, destination)
        to = multicast_mac(destination) if destination[0] == 0xFF else OUR_MAC
        octets = CODEC.encode_ip(IPPacket(source, destination, ICMPV6, payload, ttl=ttl))
        packet = self.hear(octets, ethertype=IPV6, source=mac, destination=to)
        if packet is not None:
            decoded = CODEC.decode_ip(packet)
            self.link.receive_icmpv6(decoded, CODEC.decode_icmpv6(decoded), now=self.now)

    def answer(self, mac: bytes = PEER_MAC, address: bytes | None = None) -> None:
        """A neighbour answers what it was asked."""
        address = address or self.places.peer
        if self.family == 4:
            self.hear_arp(REPLY, mac, address, OUR_MAC, US, destination=OUR_MAC)
        else:
            self.hear_nd(NeighborAdvertisement(address, mac, solicited=True, override=True), source=address, mac=mac)

    def ask(self, mac: bytes = PEER_MAC, address: bytes | None = None) -> None:
        """A neighbour asks for us."""
        address = address or self.places.peer
        if self.family == 4:
            self.hear_arp(REQUEST, mac, address)
        else:
            self.hear_nd(NeighborSolicitation(US6, mac), source=address, destination=solicited_node(US6), mac=mac)

    def send(self, content: bytes = b"packet", destination: bytes | None = None) -> None:
        """The host has a packet for somebody."""
        destination = destination or self.places.peer
        packet = CODEC.encode_ip(IPPacket(FAMILIES[4 if len(destination) == 4 else 6].us, destination, EXPERIMENTAL, content))
        self.link.send(packet, destination, now=self.now)

    def confirm(self, address: bytes | None = None) -> None:
        """TCP has proved that somebody hears us."""
        self.link.confirm(address or self.places.peer, self.now)

    def wait(self, nanoseconds: int) -> None:
        """Let the time pass, firing each deadline on its nanosecond."""
        until = self.now + nanoseconds
        while (deadline := self.link.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.link.on_deadline(now=self.now)
        self.now = until


def request(target: bytes, mac: bytes = NO_MAC) -> ArpPacket:
    return ArpPacket(REQUEST, OUR_MAC, US, mac, target)
