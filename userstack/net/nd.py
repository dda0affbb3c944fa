"""Neighbor discovery of a host (RFC 4861): solicitations answered and sent, advertisements taken, duplicates found (RFC 4862).

The law: what a message says of an address outside the link is not believed (RFC 5942 4), and none takes an address of ours away.
Routers are configured: their advertisements and redirects are counted and left alone.
"""

from typing import Final, Protocol

from userstack.address import is_unspecified
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.addresses import Addresses
from userstack.net.dad import DuplicateAddressDetection
from userstack.net.neighbors import Neighbor, NeighborTable, Solicitation
from userstack.trace import AddressAssigned, AddressDuplicate, Tracer
from userstack.wire import nd
from userstack.wire.codec import Codec, WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMPV6, IPPacket
from userstack.wire.nd import ALL_NODES, HOP_LIMIT, NdMessage, NeighborAdvertisement, NeighborSolicitation, solicited_node

_UNSPECIFIED: Final = bytes(16)
_NO_MAC: Final = bytes(6)


class Sender(Protocol):
    """Takes an IPv6 packet on its way: to ``mac``, or, where that is None, to whoever has or listens to ``destination``."""

    def __call__(self, packet: bytes, destination: bytes, mac: bytes | None, *, now: int) -> None:
        """Send it."""
        ...


class NeighborDiscovery:
    """Neighbor discovery on one Ethernet link."""

    def __init__(
        self,
        mac: bytes,
        addresses: Addresses,
        table: NeighborTable,
        *,
        send: Sender,
        config: StackConfig,
        codec: Codec,
        counters: Counters,
        trace: Tracer | None,
    ) -> None:
        self.table = table
        self._mac = mac
        self._addresses = addresses
        self._detection = DuplicateAddressDetection(
            sorted(addresses.tentative), transmits=config.dad_transmits, interval=config.neighbor_retry
        )
        self._send = send
        self._codec = codec
        self._counters = counters
        self._trace = trace

    # --- asking ---

    def ask(self, solicitation: Solicitation, *, now: int) -> None:
        """RFC 4861 7.2.2: send a question, from the address that the packet which waits for the answer has."""
        target, mac, prompt = solicitation
        source = self._addresses.source_for(target) if prompt is None else prompt[8:24]
        self._solicit(source, target, mac, now=now)

    def poll(self, *, now: int) -> None:
        """Send the questions of duplicate address detection that are due."""
        while (address := self._detection.poll(now=now)) is not None:
            self._solicit(_UNSPECIFIED, address, None, now=now)

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns)."""
        return self._detection.next_deadline()

    def on_deadline(self, *, now: int) -> None:
        """Take the addresses into use that nobody has objected to."""
        for address in self._detection.on_deadline(now=now):
            self._addresses.assign(address)
            if self._trace is not None:
                self._trace(AddressAssigned(now, address))
            # RFC 4861 7.2.6: so that who knew the address elsewhere learns where it is now.
            self._advertise(address, ALL_NODES, None, now=now)

    # --- hearing ---

    def receive(self, packet: IPPacket, message: IcmpMessage, *, now: int) -> Neighbor | None:
        """Take a message of one of ``nd.TYPES``: the neighbour that is known by it.

        Raises:
            WireError: the message is not valid (RFC 4861 7.1).
        """
        match nd.decode(packet, message):
            case NeighborSolicitation(target, source_mac):
                self._check(source_mac)
                return self._on_solicitation(packet.source, target, source_mac, now)
            case NeighborAdvertisement(target, target_mac) as value:
                self._check(target_mac)
                return self._on_advertisement(value, target, target_mac, now)
        return None

    def _on_solicitation(self, source: bytes, target: bytes, source_mac: bytes | None, now: int) -> Neighbor | None:
        if target in self._addresses.tentative:
            # RFC 4862 5.4.3: who asks from :: is about to take the address too; who asks from an address finds nobody yet.
            if is_unspecified(source):
                self._object(target, now)
            return None
        if target not in self._addresses.own:
            return None
        if source in self._addresses.own:
            self._counters.add("NdConflicts")
            return None
        if is_unspecified(source):
            self._advertise(target, ALL_NODES, None, now=now)
            return None
        neighbor = None
        if source_mac is not None:
            create = self._addresses.on_link(source)
            neighbor = self.table.learn(source, source_mac, solicited=False, override=True, create=create, now=now)
        self._advertise(target, source, source_mac, now=now)
        return neighbor

    def _on_advertisement(self, value: NeighborAdvertisement, target: bytes, mac: bytes | None, now: int) -> Neighbor | None:
        if target in self._addresses.tentative:
            self._object(target, now)
            return None
        if target in self._addresses.own:
            # RFC 4862 5.4.4: someone else uses our address. Note: it is counted, and not learnt; we keep the address.
            self._counters.add("NdConflicts")
            return None
        return self.table.learn(target, mac, solicited=value.solicited, override=value.override, create=False, now=now)

    def _object(self, address: bytes, now: int) -> None:
        """RFC 4862 5.4.5: the address is not used."""
        if self._detection.objection(address):
            self._counters.add("NdDuplicates")
            self._addresses.reject(address)
            if self._trace is not None:
                self._trace(AddressDuplicate(now, address))

    def _check(self, mac: bytes | None) -> None:
        if mac is not None and (mac[0] & 1 or mac in (_NO_MAC, self._mac)):
            raise WireError("Icmp6InErrors", f"neighbor discovery with {mac.hex(':')}, which is no neighbour's link-layer address")

    # --- saying ---

    def _solicit(self, source: bytes, target: bytes, mac: bytes | None, *, now: int) -> None:
        self._counters.add("Icmp6OutNeighborSolicits")
        destination = solicited_node(target) if mac is None else target
        own = None if is_unspecified(source) else self._mac
        self._say(NeighborSolicitation(target, own), source, destination, mac, now=now)

    def _advertise(self, address: bytes, destination: bytes, mac: bytes | None, *, now: int) -> None:
        """RFC 4861 7.2.4, 7.2.6: to everybody, or to who has asked."""
        self._counters.add("Icmp6OutNeighborAdvertisements")
        value = NeighborAdvertisement(address, self._mac, solicited=destination != ALL_NODES, override=True)
        self._say(value, address, destination, mac, now=now)

    def _say(self, value: NdMessage, source: bytes, destination: bytes, mac: bytes | None, *, now: int) -> None:
        self._counters.add("Icmp6OutMsgs")
        payload = self._codec.encode_icmpv6(nd.encode(value), source, destination)
        packet = IPPacket(source, destination, ICMPV6, payload, ttl=HOP_LIMIT)
        self._send(self._codec.encode_ip(packet), destination, mac, now=now)
