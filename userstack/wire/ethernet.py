"""The Ethernet frame as a value."""

from dataclasses import dataclass
from typing import Final

from userstack.wire.ip import Buffer

IPV4: Final = 0x0800
ARP: Final = 0x0806
IPV6: Final = 0x86DD
BROADCAST: Final = b"\xff" * 6


@dataclass(slots=True)
class EthernetFrame:
    """An Ethernet II frame without its check sequence."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: Buffer


def multicast_mac(address: bytes) -> bytes:
    """Where Ethernet takes packets to an IPv6 multicast address: 33:33 and its last four octets (RFC 2464 7)."""
    return b"\x33\x33" + address[-4:]


def format_mac(mac: bytes) -> str:
    """``02:00:00:00:00:01``."""
    return mac.hex(":")
