"""A host without a device, of both families, its clock, and a peer that is only packets."""

import random
from typing import Any

from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.net.listener import Listener
from userstack.tcp.connection import Connection
from userstack.trace import Event
from userstack.wire.codec import make_codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, ICMPV6, TCP, IPPacket
from userstack.wire.offload import finished
from userstack.wire.tcp import ACK, MSS, SYN, Option, TcpSegment

CODEC = make_codec("fast")
PORT = 80
ISS = 1000
HERE = {4: pack_address("10.0.0.1"), 6: pack_address("fd3d::1")}
THERE = {4: pack_address("10.0.0.2"), 6: pack_address("fd3d::2")}
ANY = {4: bytes(4), 6: bytes(16)}


class Bench:
    """Every connection of the host begins at ``ISS``."""

    def __init__(self, *addresses: str, mtu: int = 1500, **settings: Any) -> None:
        self.now = 0
        self.trace: list[Event] = []
        self.host = Host(
            [Interface.parse(text) for text in addresses or ("10.0.0.1/24", "fd3d::1/64")],
            config=StackConfig(**settings),
            codec=CODEC,
            secret=b"secret",
            random=random.Random(1).randrange,
            mtu=mtu,
            trace=self.trace.append,
            isn=lambda local, remote, now: ISS,
        )

    def deliver(self, packet: IPPacket | bytes) -> None:
        """A packet comes in; nothing is pulled yet, as in a batch of the driver's."""
        self.host.deliver(packet if isinstance(packet, bytes) else CODEC.encode_ip(packet), now=self.now)

    def arrives(
        self,
        family: int,
        flags: int,
        *,
        seq: int,
        ack: int = 0,
        port: int = 5000,
        source: bytes | None = None,
        destination: bytes | None = None,
    ) -> None:
        """A segment of the peer's; a SYN says that it takes segments of any size."""
        source, destination = source or THERE[family], destination or HERE[family]
        options = (Option(MSS, b"\xff\xff"),) if flags & SYN else ()
        segment = TcpSegment(port, PORT, seq, ack, flags, 65535, options=options)
        self.deliver(IPPacket(source, destination, TCP, CODEC.encode_tcp(segment, source, destination)))

    def icmp_arrives(
        self, family: int, message: IcmpMessage, *, source: bytes | None = None, destination: bytes | None = None, ttl: int = 64
    ) -> None:
        """An ICMP or ICMPv6 message of the peer's, or of a router's."""
        source, destination = source or THERE[family], destination or HERE[family]
        protocol = ICMP if family == 4 else ICMPV6
        payload = CODEC.encode_icmp(message) if family == 4 else CODEC.encode_icmpv6(message, source, destination)
        self.deliver(IPPacket(source, destination, protocol, payload, ttl=ttl))

    def packets(self) -> list[IPPacket]:
        """All that the host has to send now."""
        sent = []
        while (packet := self.host.poll_transmit(now=self.now)) is not None:
            sent.append(CODEC.decode_ip(finished(packet)))
        return sent

    def pull(self) -> list[TcpSegment]:
        """The same, where all of it are segments."""
        return [CODEC.decode_tcp(packet) for packet in self.packets()]

    def run(self, until: int) -> None:
        """Let every deadline fire up to ``until`` (ns), and take out what is sent."""
        while (deadline := self.host.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.host.advance(now=self.now)
            self.packets()
        self.now = until

    def listen(self, address: bytes, *, v6only: bool = False) -> Listener:
        return self.host.listen(self.host.bind(Endpoint(address, PORT), v6only=v6only), backlog=5, now=self.now)

    def connect(self, family: int) -> Connection:
        """An active open to the peer's port, up to the SYN."""
        connection = self.host.connect(Endpoint(THERE[family], PORT), now=self.now)
        assert [segment.flags for segment in self.pull()] == [SYN]
        return connection

    def established(self, family: int, listener: Listener, *, port: int = 5000) -> Connection:
        """A connection of the peer's port, accepted."""
        self.arrives(family, SYN, seq=100, port=port)
        self.pull()
        self.arrives(family, ACK, seq=101, ack=ISS + 1, port=port)
        self.pull()
        connection = listener.accept()
        assert connection is not None
        return connection
