"""IP's header around what TCP hands down, and the checksum as far as it is ours to compute."""

from collections import deque

from userstack.net.outgoing import Outgoing
from userstack.wire.codec import Codec
from userstack.wire.gso import Train, cut, divide
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.offload import Offloaded, Outbound


class Packing:
    """Makes packets of segments. ``offload``: the device finishes checksums, and cuts super-segments."""

    __slots__ = ("_codec", "_offload", "identification", "train")

    def __init__(self, codec: Codec, *, offload: bool) -> None:
        self._codec = codec
        self._offload = offload
        self.identification = 0
        """Of the last packet (RFC 6864)."""
        self.train: deque[Outbound] = deque()
        """What is left of the one that is under way."""

    def pack(self, outgoing: Outgoing) -> Outbound:
        """The packet with a segment, or the first of a train, whose rest stands in ``train`` then."""
        self.identification = (self.identification + 1) & 0xFFFF
        segment = outgoing.segment
        if segment.gso_size:
            return self._in_units(outgoing)
        if self._offload and outgoing.route is None:
            head, transport, version = self._headers(outgoing)
            text, size = (segment.payload,) if segment.payload else (), len(head) + len(segment.payload)
            return Offloaded(head, transport, text, size, version=version, gso_size=0)
        packet = IPPacket(
            outgoing.source,
            outgoing.destination,
            TCP,
            self._codec.encode_tcp(segment, outgoing.source, outgoing.destination),
            ttl=outgoing.ttl,
            tos=outgoing.tos,
            identification=self.identification,
            dont_fragment=outgoing.dont_fragment,
        )
        return self._codec.encode_ip(packet if outgoing.route is None else outgoing.route.lead(packet))

    def _in_units(self, outgoing: Outgoing) -> Outbound:
        """The first part of a train; the rest follows."""
        segment = outgoing.segment
        text, segment.payload, segment.more = (segment.payload, *segment.more), b"", ()
        head, transport, version = self._headers(outgoing)
        train = Train(head, transport, text, version, segment.gso_size)
        self.train.extend(divide(train) if self._offload else cut(train))
        self.identification = (self.identification + len(self.train) - 1) & 0xFFFF
        return self.train.popleft()

    def _headers(self, outgoing: Outgoing) -> tuple[bytes, int, int]:
        """Those of IP and TCP, with a partial checksum, where in them TCP begins, and the version of IP."""
        head = self._codec.encode_headers(
            outgoing.segment,
            outgoing.source,
            outgoing.destination,
            ttl=outgoing.ttl,
            tos=outgoing.tos,
            identification=self.identification,
            dont_fragment=outgoing.dont_fragment,
        )
        return (head, 20, 4) if len(outgoing.source) == 4 else (head, 40, 6)
