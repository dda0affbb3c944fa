"""The one interface of the two codecs: ``fast`` (struct) and ``scapy`` (every packet through scapy's layers).

Both give equal values for equal bytes and equal bytes for equal values; a property test holds them to it.
"""

import importlib
from typing import Protocol

from userstack.errors import InvalidArgument
from userstack.wire.arp import ArpPacket
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import Buffer, IPPacket
from userstack.wire.tcp import TcpSegment

NAMES = ("fast", "scapy")


class WireError(ValueError):
    """Bytes that are no valid packet. ``counter`` is the name of the counter that the host raises for it."""

    def __init__(self, counter: str, message: str) -> None:
        super().__init__(message)
        self.counter = counter


class Codec(Protocol):
    """Bytes to values (``decode_``, raising ``WireError``) and values to bytes (``encode_``, raising ``InvalidArgument``).

    The payload of a decoded value may be a view onto the bytes given: who keeps it longer than those bytes stay copies it.
    """

    name: str

    def decode_ip(self, data: Buffer) -> IPPacket:
        """Take an IP packet apart; trailing octets past its total length are link padding and are cut off.

        Of IPv6 the fixed header is read: extension headers stay in the payload, ``protocol`` names the first of them.
        """
        ...

    def encode_ip(self, packet: IPPacket) -> bytes:
        """Build the whole packet, header checksum included. IPv6 has a flow label of 0, and neither options nor fragments."""
        ...

    def decode_tcp(self, packet: IPPacket, *, verify: bool = True) -> TcpSegment:
        """Take the payload of ``packet`` apart as TCP; ``verify=False`` where the device vouches for the checksum.

        Options keep their octets, whatever lengths their RFCs want; what they mean is not the codec's to say.
        """
        ...

    def encode_tcp(self, segment: TcpSegment, source: bytes, destination: bytes) -> bytes:
        """Build header, options (in their order, padded with EOL to 32 bits) and payload, checksum included (MUST-2)."""
        ...

    def decode_icmp(self, packet: IPPacket) -> IcmpMessage:
        """Take the payload of ``packet`` apart as ICMP, its checksum verified."""
        ...

    def encode_icmp(self, message: IcmpMessage) -> bytes:
        """Build an ICMP message, checksum included."""
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
