"""Octets of IP packets and their ECN marks, as Linux counts them (IpExt..., and Ip6... in the same place)."""

from userstack.counters import Counters
from userstack.wire.ip import IPPacket

_MARKS = (
    ("IpExtInNoECTPkts", "IpExtInECT1Pkts", "IpExtInECT0Pkts", "IpExtInCEPkts"),
    ("Ip6InNoECTPkts", "Ip6InECT1Pkts", "Ip6InECT0Pkts", "Ip6InCEPkts"),
)
"""By the two bits of RFC 3168 5."""


def count_in(counters: Counters, packet: IPPacket, size: int) -> None:
    """A packet of ``size`` octets has come."""
    version_6 = len(packet.source) == 16
    counters.add("Ip6InOctets" if version_6 else "IpExtInOctets", size)
    counters.add(_MARKS[version_6][packet.tos & 3])


def count_out(counters: Counters, version: int, size: int) -> None:
    """A packet of ``size`` octets goes out."""
    counters.add("IpOutRequests" if version == 4 else "Ip6OutRequests")
    counters.add("IpExtOutOctets" if version == 4 else "Ip6OutOctets", size)
