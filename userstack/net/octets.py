"""Octets of IP packets and their ECN marks, as Linux counts them (IpExt..., and Ip6... in the same place)."""

from typing import Final

from userstack.counters import Counters

_MARKS: Final[tuple[tuple[str, ...], ...]] = (
    ("IpExtInNoECTPkts", "IpExtInECT1Pkts", "IpExtInECT0Pkts", "IpExtInCEPkts"),
    ("Ip6InNoECTPkts", "Ip6InECT1Pkts", "Ip6InECT0Pkts", "Ip6InCEPkts"),
)
"""By the two bits of RFC 3168 5."""


def count_in(counters: Counters, version_6: bool, tos: int, packets: int, size: int) -> None:
    """Packets of ``size`` octets together have come."""
    counters["Ip6InOctets" if version_6 else "IpExtInOctets"] += size
    counters[_MARKS[version_6][tos & 3]] += packets


def count_delivered(counters: Counters, version_6: bool, tos: int, packets: int, size: int) -> None:
    """The same of packets that were handed up to TCP by a short way."""
    receives, delivers = ("Ip6InReceives", "Ip6InDelivers") if version_6 else ("IpInReceives", "IpInDelivers")
    counters[receives] += packets
    count_in(counters, version_6, tos, packets, size)
    counters[delivers] += packets
    counters["TcpInSegs"] += packets


def count_out(counters: Counters, version: int, packets: int, size: int) -> None:
    """Packets of ``size`` octets together go out."""
    counters["IpOutRequests" if version == 4 else "Ip6OutRequests"] += packets
    counters["IpExtOutOctets" if version == 4 else "Ip6OutOctets"] += size
