"""The one interface of the two codecs: ``fast`` (struct) and ``scapy`` (every packet through scapy's layers).

Both give equal values for equal bytes and equal bytes for equal values; a property test holds them to it.
"""

import importlib
from typing import Final, Protocol

from userstack.errors import InvalidArgument
from userstack.wire.arp import ArpPacket
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import Buffer, IPPacket
from userstack.wire.tcp import TcpSegment

NAMES: Final = ("fast", "scapy")


class WireError(ValueError):
    """Bytes that are no valid packet. ``counter`` is the name of the counter that the host raises for it."""

    def __init__(self, counter: str, message: str) -> None:
        super().__init__(message)
        self.counter = counter


class ParameterProblem(WireError):
    """A packet whose source is told of a parameter problem, as RFC 8200 has it (RFC 4443 3.4), or RFC 1122 3.2.2.5 for IPv4.

    ``code`` is the message's, ``pointer`` the offset in the packet of the octet at fault. ``multicast``: the message goes out even
    if the packet was sent to a multicast address (RFC 4443 2.4 (e.3)).
    """

    def __init__(self, counter: str, message: str, *, code: int, pointer: int, multicast: bool = False) -> None:
        super().__init__(counter, message)
        self.code = code
        self.pointer = pointer
        self.multicast = multicast


class Codec(Protocol):
    """Bytes to values (``decode_``, raising ``WireError``) and values to bytes (``encode_``, raising ``InvalidArgument``).

    The payload of a decoded value may be a view onto the bytes given: who keeps it longer than those bytes stay copies it.
    """

    name: str

    def decode_ip(self, data: Buffer) -> IPPacket:
        """Take an IP packet apart; trailing octets past its total length are link padding and are cut off.

        IPv6 extension headers are read in their order up to the upper layer, or up to the Fragment header of a fragment, and judged
        as RFC 8200 4 has a destination judge them: what is to be answered raises ``ParameterProblem``. An unknown upper layer is
        for the host to judge.
        """
        ...

    def encode_ip(self, packet: IPPacket) -> bytes:
        """Build the whole packet, header checksum included. IPv6 has a flow label of 0, and its extension headers as they stand."""
        ...

    def decode_tcp(self, packet: IPPacket, *, verify: bool = True) -> TcpSegment:
        """Take the payload of ``packet`` apart as TCP; ``verify=False`` where the device vouches for the checksum.

        Options keep their octets, whatever lengths their RFCs want; what they mean is not the codec's to say.
        """
        ...

    def encode_tcp(self, segment: TcpSegment, source: bytes, destination: bytes) -> bytes:
        """Build header, options (in their order, padded with EOL to 32 bits) and payload, checksum included (MUST-2)."""
        ...

    def encode_headers(
        self,
        segment: TcpSegment,
        source: bytes,
        destination: bytes,
        *,
        ttl: int,
        tos: int,
        identification: int,
        dont_fragment: bool,
    ) -> bytes:
        """Build the headers of IP and TCP for a segment whose text follows them, and whose checksum the device finishes.

        The checksum of TCP holds the sum of the pseudo header. The text may be longer than a link takes.
        """
        ...

    def decode_icmp(self, packet: IPPacket) -> IcmpMessage:
        """Take the payload of ``packet`` apart as ICMP, its checksum verified."""
        ...

    def encode_icmp(self, message: IcmpMessage) -> bytes:
        """Build an ICMP message, checksum included."""
        ...

    def decode_icmpv6(self, packet: IPPacket) -> IcmpMessage:
        """Take the payload of ``packet`` apart as ICMPv6, its checksum, with the pseudo header, verified (RFC 4443 2.3)."""
        ...

    def encode_icmpv6(self, message: IcmpMessage, source: bytes, destination: bytes) -> bytes:
        """Build an ICMPv6 message, checksum included."""
        ...

    def decode_ethernet(self, data: Buffer) -> EthernetFrame:
        """Take an Ethernet II frame apart. A type below 0x600 is the length of an 802.3 frame, and nobody's here."""
        ...

    def encode_ethernet(self, frame: EthernetFrame) -> bytes:
        """Build an Ethernet II frame, without padding."""
        ...

    def decode_arp(self, data: Buffer) -> ArpPacket:
        """Take an ARP packet apart; only IPv4 over Ethernet is understood."""
        ...

    def encode_arp(self, packet: ArpPacket) -> bytes:
        """Build an ARP packet."""
        ...


def make_codec(name: str) -> Codec:
    """The codec of that name; scapy is imported only where it is asked for.

    Raises:
        InvalidArgument: no codec has that name.
    """
    if name not in NAMES:
        raise InvalidArgument(f"no codec {name!r}: choose one of {', '.join(NAMES)}")
    codec: Codec = importlib.import_module(f"userstack.wire.{name}_codec").make()
    return codec
