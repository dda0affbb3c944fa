"""The ARP packet (RFC 826) for IPv4 over Ethernet as a value."""

from dataclasses import dataclass
from typing import Final

REQUEST: Final = 1
REPLY: Final = 2


@dataclass(slots=True)
class ArpPacket:
    """Hardware addresses have six octets, protocol addresses four."""

    operation: int
    sender_mac: bytes
    sender_ip: bytes
    target_mac: bytes
    target_ip: bytes
