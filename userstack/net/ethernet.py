"""An Ethernet link under the host: frames that are for us taken, IP packets framed for whoever they have to go to next.

The law: a frame is ours if it comes to our address, to a group that we listen in, or, for ARP, to everyone. Who has which link
address is ARP's to find out for IPv4 and neighbor discovery's for IPv6; what is the same for both is here.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from userstack.address import format_address, is_link_local
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.errors import InvalidArgument
from userstack.net.addresses import Addresses
from userstack.net.arp import Arp
from userstack.net.interface import Interface, is_multicast, is_valid_source, link_local_interface
from userstack.net.mld import MulticastListener
from userstack.net.nd import NeighborDiscovery
from userstack.net.neighbors import Neighbor, NeighborRow, NeighborState, NeighborTable, Standing
from userstack.trace import PacketSent, Tracer
from userstack.wire.codec import Codec, WireError
from userstack.wire.ethernet import ARP, BROADCAST, IPV4, IPV6, EthernetFrame, multicast_mac
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import LISTENER_QUERY
from userstack.wire.ip import Buffer, IPPacket
from userstack.wire.nd import TYPES as ND_TYPES
from userstack.wire.offload import Outbound, finished, framed

ICMPV6_TYPES: Final = ND_TYPES | {LISTENER_QUERY}
"""The messages that are about the link itself, in IPv6 packets though they are."""

_NO_MAC: Final = bytes(6)


class EthernetLink:
    """One link and our addresses on it.

    With an IPv6 address there is a link-local one too, made of the MAC if none is among those given (RFC 4291 2.8); all of them are
    tentative at first (``addresses``), unless ``dad_transmits`` is 0.

    Args:
        mac: ours.
        interfaces: our addresses, with the prefixes that are on the link.
        gateways: the neighbours that take packets for everywhere else, one for a family.
        config: the settings.
        codec: for everything but IP.
        counters: where it counts.
        random: a number below its argument.
        trace: told of packets that never pass the host: those of neighbor and listener discovery.

    Raises:
        InvalidArgument: ``mac`` or a gateway cannot be a host's here.
    """

    def __init__(
        self,
        mac: bytes,
        interfaces: Sequence[Interface],
        *,
        gateways: Iterable[bytes],
        config: StackConfig,
        codec: Codec,
        counters: Counters,
        random: Callable[[int], int],
        trace: Tracer | None = None,
    ) -> None:
        if len(mac) != 6 or mac[0] & 1 or mac == _NO_MAC:
            raise InvalidArgument(f"{mac.hex(':')} cannot be a host's MAC address: take six octets, the first one even")
        self.mac = mac
        self.addresses = _addresses_on_link(interfaces, mac, tentative=config.dad_transmits > 0)
        self._gateways = _check_gateways(gateways, self.addresses)
        self._config = config
        self._codec = codec
        self._counters = counters
        self._trace = trace
        self._frames: deque[Outbound] = deque()
        self._groups = frozenset(map(multicast_mac, self.addresses.groups))
        self._tables: dict[int, NeighborTable] = {}
        """By the length of the addresses."""
        self._arp: Arp | None = None
        self._nd: NeighborDiscovery | None = None
        self._mld: MulticastListener | None = None
        lengths = {len(interface.address) for interface in self.addresses.interfaces}
        if 4 in lengths:
            table = self._table(4, "Arp", lambda: config.neighbor_reachable)
            self._arp = Arp(mac, self.addresses, table, emit=self._emit_arp, codec=codec, counters=counters)
            self._arp.announce()
        if 16 in lengths:
            # RFC 4861 6.3.2: at random, so that not all neighbours of a router ask for it at the same time.
            table = self._table(16, "Nd", lambda: config.nd_reachable // 2 + random(config.nd_reachable + 1))
            self._nd = NeighborDiscovery(
                mac, self.addresses, table, send=self._send_own, config=config, codec=codec, counters=counters, trace=trace
            )
            self._mld = MulticastListener(self.addresses, send=self._send_own, codec=codec, counters=counters, random=random)

    # --- frames in ---

    def receive(self, frame: Buffer, *, now: int) -> Buffer | None:
        """Take a frame in: the IP packet inside, or None where there is none for the host."""
        try:
            decoded = self._codec.decode_ethernet(frame)
            if decoded.destination == self.mac and decoded.ethertype in (IPV4, IPV6):
                return self._packet_within(decoded)
            if decoded.destination in self._groups and decoded.ethertype == IPV6:
                return self._multicast_within(decoded)
            if decoded.destination not in (self.mac, BROADCAST):
                self._counters.add("EthernetInOtherHost")
            elif decoded.ethertype == ARP and self._arp is not None:
                self._settle(self._arp.receive(decoded.payload, now=now), IPV4, now)
            elif decoded.ethertype == IPV4:
                # RFC 1122 3.3.6: what came by broadcast is for a broadcast address, or to be discarded. Note: nothing above
                # takes either; TCP and the echo are unicast.
                self._counters.add("IpExtInBcastPkts")
            else:
                self._counters.add("Ip6InDiscards" if decoded.ethertype == IPV6 else "EthernetInUnknownProtos")
        except WireError as error:
            self._counters.add(error.counter)
        return None

    def _packet_within(self, frame: EthernetFrame) -> Buffer | None:
        version, name, length = (4, "Ip", 4) if frame.ethertype == IPV4 else (6, "Ip6", 16)
        if length not in self._tables:
            self._counters.add(f"{name}InDiscards")  # a family that we have no address of
            return None
        if len(frame.payload) and frame.payload[0] >> 4 != version:
            self._counters.add(f"{name}InHdrErrors")  # RFC 1122 3.2.1.1
            return None
        return frame.payload

    def _multicast_within(self, frame: EthernetFrame) -> Buffer | None:
        if frame.source == self.mac:
            # A bridge gave it back: our own question about an address is nobody's objection (RFC 4862 5.4.3).
            self._counters.add("EthernetInOwn")
            return None
        if len(frame.payload) < 40 or not is_multicast(bytes(frame.payload[24:40])):
            self._counters.add("Ip6InDiscards")  # as for IPv4: nothing for one host alone comes to many
            return None
        return self._packet_within(frame)

    def receive_icmpv6(self, packet: IPPacket, message: IcmpMessage, *, now: int) -> None:
        """Take a message of one of ``ICMPV6_TYPES``, and the packet that it was in.

        Raises:
            WireError: it is not valid.
        """
        if self._mld is not None and message.type == LISTENER_QUERY:
            self._mld.receive(packet, message, now=now)
        elif self._nd is not None and message.type in ND_TYPES:
            self._settle(self._nd.receive(packet, message, now=now), IPV6, now)

    def _settle(self, neighbor: Neighbor | None, ethertype: int, now: int) -> None:
        """Something was heard of a neighbour: have its header right, and send what waited for it."""
        if neighbor is None or neighbor.mac is None:
            return
        neighbor.header = self._header(neighbor.mac, ethertype)
        if neighbor.waiting:
            self._tables[len(neighbor.address)].use(neighbor, now=now)
        while neighbor.waiting:
            self._emit(framed(neighbor.header, neighbor.waiting.popleft()))

    # --- frames out ---

    def send(self, packet: Outbound, destination: bytes, *, now: int) -> None:
        """Send an IP packet towards ``destination``; it waits where the neighbour's link address has to be asked for."""
        table = self._tables[len(destination)]
        neighbor = table.get(destination)
        if neighbor is None:
            hop = self._next_hop(destination)
            if hop is None:
                self._counters.add("IpOutNoRoutes" if len(destination) == 4 else "Ip6OutNoRoutes")
                table.give_up(packet)
                return
            neighbor = table.get(hop)
            destination = hop
        if neighbor is None or neighbor.mac is None:
            table.hold(destination, packet, now=now)
            return
        if neighbor.state is not NeighborState.REACHABLE or neighbor.standing is Standing.HEARD:
            table.use(neighbor, now=now)
        self._emit(framed(neighbor.header, packet))

    def confirm(self, destination: bytes, now: int) -> None:
        """TCP at ``destination`` has acknowledged something new: the neighbour towards it hears us (RFC 4861 7.3.1)."""
        table = self._tables[len(destination)]
        neighbor = table.get(destination)
        if neighbor is None and (hop := self._next_hop(destination)) is not None:
            neighbor = table.get(hop)
        if neighbor is not None:
            table.confirm(neighbor, now=now)

    def poll_transmit(self, *, now: int) -> Outbound | None:
        """The next frame for the device; None where there is nothing to send."""
        if self._arp is not None:
            while (solicitation := self._arp.table.poll_solicitation()) is not None:
                self._arp.ask(solicitation)
        if self._nd is not None and self._mld is not None:
            self._mld.poll(now=now)
            self._nd.poll(now=now)
            while (solicitation := self._nd.table.poll_solicitation()) is not None:
                self._nd.ask(solicitation, now=now)
        return self._frames.popleft() if self._frames else None

    def _next_hop(self, destination: bytes) -> bytes | None:
        """RFC 1122 3.3.1.1, RFC 4861 5.2: on the link the destination itself, else the gateway; None where it can be neither."""
        interfaces = self.addresses.interfaces
        if is_multicast(destination) or any(i.is_broadcast(destination) or i.address == destination for i in interfaces):
            return None
        return destination if self.addresses.on_link(destination) else self._gateways.get(len(destination))

    # --- time ---

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns)."""
        deadlines = [table.next_deadline() for table in self._tables.values()]
        deadlines += [protocol.next_deadline() for protocol in (self._nd, self._mld) if protocol is not None]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def on_deadline(self, *, now: int) -> None:
        """Ask neighbours again, age the caches, take addresses into use that nobody else has."""
        for protocol in (self._nd, self._mld):
            if protocol is not None:
                protocol.on_deadline(now=now)
        for table in self._tables.values():
            table.on_deadline(now=now)

    # --- what the host asks ---

    def poll_unreachable(self) -> bytes | None:
        """The next IP packet that was given up on: no route, or no neighbour answered."""
        given_up = (table.poll_unreachable() for table in self._tables.values())
        return next((finished(packet) for packet in given_up if packet is not None), None)

    def neighbors(self) -> list[NeighborRow]:
        """The caches, as ``ip neigh`` shows them."""
        return [row for table in self._tables.values() for row in table.rows()]

    # --- within ---

    def _table(self, length: int, protocol: str, reachable: Callable[[], int]) -> NeighborTable:
        gateway = self._gateways.get(length)
        table = NeighborTable(protocol, reachable=reachable, gateway=gateway, config=self._config, counters=self._counters)
        self._tables[length] = table
        return table

    def _emit_arp(self, mac: bytes, packet: bytes) -> None:
        self._emit(self._header(mac, ARP) + packet)

    def _send_own(self, packet: bytes, destination: bytes, mac: bytes | None, *, now: int) -> None:
        self._counters.add("Ip6OutRequests")
        if self._trace is not None:
            self._trace(PacketSent(now, packet))
        if is_multicast(destination):
            mac = multicast_mac(destination)
        if mac is None:
            self.send(packet, destination, now=now)
        else:
            self._emit(self._header(mac, IPV6) + packet)

    def _header(self, destination: bytes, ethertype: int) -> bytes:
        return self._codec.encode_ethernet(EthernetFrame(destination, self.mac, ethertype, b""))

    def _emit(self, frame: Outbound) -> None:
        if len(self._frames) >= self._config.transmit_queue:
            self._counters.add("EthernetOutDiscards")
            return
        self._frames.append(frame)


def _addresses_on_link(interfaces: Sequence[Interface], mac: bytes, *, tentative: bool) -> Addresses:
    six = [interface for interface in interfaces if len(interface.address) == 16]
    if six and not any(is_link_local(interface.address) for interface in six):
        six.append(link_local_interface(mac))
        interfaces = [*interfaces, six[-1]]
    return Addresses(interfaces, tentative=[interface.address for interface in six] if tentative else ())


def _check_gateways(gateways: Iterable[bytes], addresses: Addresses) -> dict[int, bytes]:
    """The gateways by the length of their addresses."""
    found: dict[int, bytes] = {}
    for gateway in gateways:
        same = [interface for interface in addresses.interfaces if len(interface.address) == len(gateway)]
        own = any(interface.address == gateway for interface in same)
        if not same or own or not addresses.on_link(gateway) or not is_valid_source(gateway, same):
            networks = ", ".join(map(str, same or addresses.interfaces))
            raise InvalidArgument(f"gateway {format_address(gateway)} is no other host on the network of {networks}")
        if found.setdefault(len(gateway), gateway) != gateway:
            raise InvalidArgument(f"{format_address(gateway)} is a second gateway of its family: take one")
    return found
