"""ARP of a host (RFC 826, RFC 1122 2.3.2): who has our addresses is told, who has others' is asked and learnt.

The law: who is where is learnt only from those who speak to us or whom we asked about (RFC 826 "packet reception"), so that nobody
fills the table by speaking to others.
"""

from collections.abc import Callable
from typing import Final

from userstack.counters import Counters
from userstack.net.addresses import Addresses
from userstack.net.interface import is_valid_source
from userstack.net.neighbors import Neighbor, NeighborTable, Solicitation
from userstack.wire.arp import REPLY, REQUEST, ArpPacket
from userstack.wire.codec import Codec
from userstack.wire.ethernet import BROADCAST
from userstack.wire.ip import Buffer

_NO_MAC: Final = bytes(6)


class Arp:
    """Address resolution for IPv4 on one Ethernet link. ``emit`` sends an ARP packet to a MAC."""

    def __init__(
        self,
        mac: bytes,
        addresses: Addresses,
        table: NeighborTable,
        *,
        emit: Callable[[bytes, bytes], None],
        codec: Codec,
        counters: Counters,
    ) -> None:
        self.table = table
        self._mac = mac
        self._addresses = addresses
        self._interfaces = [interface for interface in addresses.interfaces if len(interface.address) == 4]
        self._emit = emit
        self._codec = codec
        self._counters = counters

    def announce(self) -> None:
        """RFC 5227 2.3: so that who knew our addresses elsewhere learns where they are now."""
        for interface in self._interfaces:
            self._request(interface.address, interface.address, None)

    def ask(self, solicitation: Solicitation) -> None:
        """Send a question, from the address that the packet which waits for the answer has."""
        prompt = solicitation.prompt
        source = self._addresses.source_for(solicitation.address) if prompt is None else prompt[12:16]
        self._request(source, solicitation.address, solicitation.mac)

    def receive(self, data: Buffer, *, now: int) -> Neighbor | None:
        """RFC 826, "packet reception": the neighbour that is known by it; the codec makes sure of hardware and protocol.

        Raises:
            WireError: it is no ARP packet for IPv4 over Ethernet.
        """
        packet = self._codec.decode_arp(data)
        if packet.sender_mac == self._mac:
            return None
        if packet.operation not in (REQUEST, REPLY) or packet.sender_mac[0] & 1 or packet.sender_mac == _NO_MAC:
            self._counters.add("ArpInErrors")
            return None
        self._counters.add("ArpInRequests" if packet.operation == REQUEST else "ArpInReplies")
        if packet.sender_ip in self._addresses.own:
            # RFC 5227 2.4: someone else uses our address. Note: it is counted, and not learnt; we keep the address.
            self._counters.add("ArpConflicts")
            return None
        for_us = packet.target_ip in self._addresses.own
        if for_us and packet.operation == REQUEST:
            self._counters.add("ArpOutReplies")
            reply = ArpPacket(REPLY, self._mac, packet.target_ip, packet.sender_mac, packet.sender_ip)
            self._emit(packet.sender_mac, self._codec.encode_arp(reply))
        # A probe of RFC 5227 2.1.1 comes from 0.0.0.0: there is nothing to learn, and yet it wants its answer.
        create = for_us and self._is_neighbor(packet.sender_ip)
        # RFC 1122 2.3.2.1 (1): whatever a neighbour says in ARP shows that it is there.
        return self.table.learn(packet.sender_ip, packet.sender_mac, solicited=True, override=True, create=create, now=now)

    def _is_neighbor(self, address: bytes) -> bool:
        return self._addresses.on_link(address) and is_valid_source(address, self._interfaces)

    def _request(self, source: bytes, target: bytes, mac: bytes | None) -> None:
        self._counters.add("ArpOutRequests")
        request = ArpPacket(REQUEST, self._mac, source, mac or _NO_MAC, target)
        self._emit(mac or BROADCAST, self._codec.encode_arp(request))
