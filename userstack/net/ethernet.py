"""An Ethernet link under the host: ARP answered, asked, cached and aged (RFC 826, RFC 1122 2.3.2), IP packets framed.

The law: a frame is ours if it comes to our address or, for ARP, to everyone; who is where is learnt only from those who speak to
us or whom we asked about (RFC 826 "packet reception"), so that nobody fills the table by speaking to others.
"""

from collections import deque

from userstack.address import format_address
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.interface import Interface, is_multicast, is_valid_source
from userstack.net.neighbors import Neighbor, NeighborRow, NeighborState, NeighborTable, Solicitation
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.codec import Codec, WireError
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, IPV6, EthernetFrame
from userstack.wire.ip import Buffer

_NO_MAC = bytes(6)


class EthernetLink:
    """One link and our address on it. ``gateway`` is the neighbour that takes packets for everywhere else.

    Raises:
        InvalidArgument: ``mac`` or ``interface`` cannot be a host's here, or ``gateway`` is not on its network.
    """

    def __init__(
        self, mac: bytes, interface: Interface, *, gateway: bytes | None, config: StackConfig, codec: Codec, counters: Counters
    ) -> None:
        if len(mac) != 6 or mac[0] & 1 or mac == _NO_MAC:
            raise InvalidArgument(f"{mac.hex(':')} cannot be a host's MAC address: take six octets, the first one even")
        if len(interface.address) != 4:
            raise InvalidArgument(f"{interface}: an Ethernet link has an IPv4 address, as in 10.9.0.2/24")
        if gateway is not None and (not interface.contains(gateway) or interface.is_broadcast(gateway)):
            raise InvalidArgument(f"gateway {format_address(gateway)} is no host on the network of {interface}: take one that is")
        self.mac = mac
        self.interface = interface
        self.gateway = gateway
        self._config = config
        self._codec = codec
        self._counters = counters
        self._neighbors = NeighborTable(config=config, counters=counters)
        self._frames: deque[bytes] = deque()
        # RFC 5227 2.3: an announcement, so that who knew this address elsewhere learns where it is now.
        self._ask(Solicitation(interface.address, None))

    def receive(self, frame: Buffer, *, now: int) -> Buffer | None:
        """Take a frame in: the IP packet inside, or None where there is none for the host."""
        try:
            decoded = self._codec.decode_ethernet(frame)
            if decoded.destination == self.mac and decoded.ethertype == IPV4:
                return decoded.payload
            if decoded.destination not in (self.mac, BROADCAST):
                self._counters.add("EthernetInOtherHost")
            elif decoded.ethertype == ARP:
                self._receive_arp(self._codec.decode_arp(decoded.payload), now)
            elif decoded.ethertype == IPV4:
                # RFC 1122 3.3.6: what came by broadcast is for a broadcast address, or to be discarded. Note: nothing above
                # takes either; TCP and the echo are unicast.
                self._counters.add("IpExtInBcastPkts")
            else:
                # Note: IPv6 is not spoken here yet.
                self._counters.add("Ip6InDiscards" if decoded.ethertype == IPV6 else "EthernetInUnknownProtos")
        except WireError as error:
            self._counters.add(error.counter)
        return None

    def send(self, packet: bytes, destination: bytes, *, now: int) -> None:
        """Send an IP packet towards ``destination``; it waits where the neighbour's link address has to be asked for."""
        neighbor = self._neighbors.get(destination)
        if neighbor is None:
            hop = self._next_hop(destination)
            if hop is None:
                self._counters.add("IpOutNoRoutes")
                self._neighbors.give_up(packet)
                return
            neighbor = self._neighbors.get(hop)
            destination = hop
        if neighbor is None or neighbor.mac is None:
            self._neighbors.hold(destination, packet, now=now)
            return
        if neighbor.state is not NeighborState.REACHABLE:
            self._neighbors.use(neighbor, now=now)
        self._emit(neighbor.header + packet)

    def poll_transmit(self, *, now: int) -> bytes | None:
        """The next frame for the device; None where there is nothing to send."""
        while (solicitation := self._neighbors.poll_solicitation()) is not None:
            self._ask(solicitation)
        return self._frames.popleft() if self._frames else None

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns)."""
        return self._neighbors.next_deadline()

    def on_deadline(self, *, now: int) -> None:
        """Ask neighbours again, age the cache."""
        self._neighbors.on_deadline(now=now)

    def poll_unreachable(self) -> bytes | None:
        """The next IP packet that was given up on: no route, or no neighbour answered."""
        return self._neighbors.poll_unreachable()

    def neighbors(self) -> list[NeighborRow]:
        """The cache, as ``ip neigh`` shows it."""
        return self._neighbors.rows()

    def _next_hop(self, destination: bytes) -> bytes | None:
        """RFC 1122 3.3.1.1: on our network the destination itself, else the gateway; None where no neighbour can be it."""
        if is_multicast(destination) or self.interface.is_broadcast(destination) or destination == self.interface.address:
            return None
        return destination if self.interface.contains(destination) else self.gateway

    def _receive_arp(self, packet: ArpPacket, now: int) -> None:
        """RFC 826, "packet reception"; the codec has made sure of hardware and protocol."""
        if packet.sender_mac == self.mac:
            return
        if packet.operation not in (REQUEST, REPLY) or packet.sender_mac[0] & 1 or packet.sender_mac == _NO_MAC:
            self._counters.add("ArpInErrors")
            return
        self._counters.add("ArpInRequests" if packet.operation == REQUEST else "ArpInReplies")
        if packet.sender_ip == self.interface.address:
            # RFC 5227 2.4: someone else uses our address. Note: it is counted, and not learnt; we keep the address.
            self._counters.add("ArpConflicts")
            return
        for_us = packet.target_ip == self.interface.address
        self._learn(packet, for_us, now)
        if for_us and packet.operation == REQUEST:
            reply = ArpPacket(REPLY, self.mac, self.interface.address, packet.sender_mac, packet.sender_ip)
            self._counters.add("ArpOutReplies")
            self._emit(self._header(packet.sender_mac, ARP) + self._codec.encode_arp(reply))

    def _learn(self, packet: ArpPacket, for_us: bool, now: int) -> None:
        # A probe of RFC 5227 2.1.1 comes from 0.0.0.0: there is nothing to learn, and yet it wants its answer.
        create = for_us and self.interface.contains(packet.sender_ip) and is_valid_source(packet.sender_ip, [self.interface])
        neighbor = self._neighbors.learn(packet.sender_ip, packet.sender_mac, create=create, now=now)
        if neighbor is None:
            return
        neighbor.header = self._header(packet.sender_mac, IPV4)
        self._flush(neighbor)

    def _flush(self, neighbor: Neighbor) -> None:
        while neighbor.waiting:
            self._emit(neighbor.header + neighbor.waiting.popleft())

    def _ask(self, solicitation: Solicitation) -> None:
        request = ArpPacket(REQUEST, self.mac, self.interface.address, solicitation.mac or _NO_MAC, solicitation.address)
        self._counters.add("ArpOutRequests")
        self._emit(self._header(solicitation.mac or BROADCAST, ARP) + self._codec.encode_arp(request))

    def _header(self, destination: bytes, ethertype: int) -> bytes:
        return self._codec.encode_ethernet(EthernetFrame(destination, self.mac, ethertype, b""))

    def _emit(self, frame: bytes) -> None:
        if len(self._frames) >= self._config.transmit_queue:
            self._counters.add("EthernetOutDiscards")
            return
        self._frames.append(frame)
