"""Hosts in several processes that look like one: which of them an arriving packet is for.

The kernel shares out what it sends by the hash of the flow. So a connection that was opened to us stays where its SYN came; one
that we have opened ourselves need not come back to who has sent the SYN, and an ICMP error about either may come to anybody. The
law: nobody refuses a packet that another one knows. What fits nothing here goes from worker to worker, the most likely one first,
until it fits, and at the end back to the one that it came to, who answers as if there were no others.

No two workers open the same connection: each has ephemeral ports of its own.
"""

from typing import Final, NamedTuple

from userstack.address import Endpoint, is_unspecified
from userstack.errors import InvalidArgument
from userstack.net import icmp, icmpv6
from userstack.net.host import Host
from userstack.wire.codec import WireError
from userstack.wire.ethernet import ARP, IPV6
from userstack.wire.icmp import ERRORS
from userstack.wire.icmpv6 import NEIGHBOR_SOLICITATION, is_error
from userstack.wire.ip import ICMP, ICMPV6, TCP, Buffer, IPPacket
from userstack.wire.nd import TYPES as ND_TYPES
from userstack.wire.tcp import ACK, RST, SYN

_ETHERNET: Final = 14
_IPV6: Final = 40
_ETHERTYPE: Final = slice(12, 14)
_NEXT_HEADER: Final = _ETHERNET + 6
_IPV6_SOURCE: Final = slice(_ETHERNET + 8, _ETHERNET + 24)
_ARP_OPERATION: Final = slice(_ETHERNET + 6, _ETHERNET + 8)
_ARP_TARGET: Final = slice(_ETHERNET + 24, _ETHERNET + 28)
_ARP_REQUEST: Final = b"\0\x01"
_LEAST_TCP: Final = 20
_FLAGS_AT: Final = 13


class Share(NamedTuple):
    """What one of so many ``workers`` has of what there is once. ``number`` is from 0 on."""

    number: int
    workers: int

    def ephemeral_ports(self, ports: tuple[int, int]) -> tuple[int, int]:
        """This worker's of the host's ``ports``, a first and a last one.

        Raises:
            InvalidArgument: they are fewer than the workers.
        """
        first, last = ports
        size = last - first + 1
        if size < self.workers:
            raise InvalidArgument(f"{self.workers} workers need an ephemeral port each: {first} to {last} are {size}")
        return first + size * self.number // self.workers, first + size * (self.number + 1) // self.workers - 1


class Stop(NamedTuple):
    """Where a packet is on its way through the workers: which one the kernel gave it to, and how many others have seen it."""

    origin: int
    seen: int


class Ends(NamedTuple):
    """The two ends of a segment, or of the one that an ICMP error quotes, as this host names them."""

    local: Endpoint
    remote: Endpoint
    opens: bool
    """It is a SYN: a listener is enough."""


class Sharing:
    """Tells what of that which comes to one worker is for others. ``ports``: the ephemeral ones of all workers together."""

    def __init__(self, share: Share, host: Host, ports: tuple[int, int]) -> None:
        self.share = share
        self._host = host
        self._ports = ports
        self._start = 0 if host.link is None else _ETHERNET
        self._flows = host.transport.table.flows

    def is_known(self, frame: Buffer) -> bool:
        """Whether it is of a connection here; for most frames that is all that there is to ask. False: ask the others."""
        at = self._start
        if len(frame) <= at + _IPV6:
            return False
        if frame[at] == 0x45:
            return frame[at + 9] == TCP and bytes(frame[at + 12 : at + 24]) in self._flows
        return frame[at + 6] == TCP and frame[at] >> 4 == 6 and bytes(frame[at + 8 : at + 44]) in self._flows

    def is_for_all(self, frame: Buffer) -> bool:
        """Whether every worker has to hear it: what ARP and ND say of neighbours, and of who else has our addresses.

        Questions for our addresses are answered by the one that they came to.
        """
        if not self._start:
            return False
        ethertype = int.from_bytes(frame[_ETHERTYPE], "big")
        if ethertype == ARP and len(frame) >= _ARP_TARGET.stop:
            return frame[_ARP_OPERATION] != _ARP_REQUEST or bytes(frame[_ARP_TARGET]) not in self._host.addresses.own
        if ethertype != IPV6 or len(frame) <= _ETHERNET + _IPV6 or frame[_NEXT_HEADER] != ICMPV6:
            return False
        kind = frame[_ETHERNET + _IPV6]
        if kind not in ND_TYPES:
            return False
        # RFC 4862 5.4: who asks from nowhere wants an address for itself, perhaps one of those that each of us still tries to get.
        return kind != NEIGHBOR_SOLICITATION or is_unspecified(bytes(frame[_IPV6_SOURCE]))

    def next_stop(self, frame: Buffer, stop: Stop) -> tuple[int, Stop] | None:
        """To which worker a frame goes on from ``stop``, which is here, and as what; None where it is to be taken in here."""
        me, count = self.share
        if stop.origin == me and stop.seen:
            return None  # nobody knew it
        local_port = self._stranger(frame[self._start :])
        if local_port is None:
            return None
        following = self._following(stop, local_port)
        return None if following == me else (following, Stop(stop.origin, min(stop.seen + 1, count - 1)))

    def _following(self, stop: Stop, port: int) -> int:
        """Round the circle from the one whose ephemeral port it is, or from the next, past the origin, and to the origin last."""
        count = self.share.workers
        if stop.seen >= count - 1:
            return stop.origin
        owner = self._owner(port)
        first = stop.origin + 1 if owner is None else owner
        to_origin = (stop.origin - first) % count
        return (first + stop.seen + (stop.seen >= to_origin)) % count

    def _owner(self, port: int) -> int | None:
        first, last = self._ports
        if not first <= port <= last:
            return None
        return ((port - first + 1) * self.share.workers - 1) // (last - first + 1)

    def _stranger(self, packet: Buffer) -> int | None:
        """The local port of a packet that some other worker may know, and this one does not; None: it is to be taken in here."""
        try:
            decoded = self._host.codec.decode_ip(packet)
            if decoded.is_fragment or decoded.destination not in self._host.addresses.own:
                return None
            ends = self._ends(decoded)
        except WireError:
            return None  # it is for the host to judge
        if ends is None or self._host.transport.wants(ends.local, ends.remote, opens=ends.opens):
            return None
        return ends.local.port

    def _ends(self, packet: IPPacket) -> Ends | None:
        octets, codec = packet.payload, self._host.codec
        if packet.protocol == TCP and len(octets) >= _LEAST_TCP:
            local = Endpoint(packet.destination, int.from_bytes(octets[2:4], "big"))
            remote = Endpoint(packet.source, int.from_bytes(octets[:2], "big"))
            return Ends(local, remote, octets[_FLAGS_AT] & (ACK | RST | SYN) == SYN)
        error, discovery = None, self._host.config.path_mtu_discovery
        if packet.protocol == ICMP and packet.version == 4 and len(octets) and octets[0] in ERRORS:
            error = icmp.parse_error(codec.decode_icmp(packet), path_mtu_discovery=discovery)
        elif packet.protocol == ICMPV6 and packet.version == 6 and len(octets) and is_error(octets[0]):
            error = icmpv6.parse_error(codec.decode_icmpv6(packet), path_mtu_discovery=discovery)
        return None if error is None else Ends(error.local, error.remote, False)
