"""What devices of level 2 share."""

import secrets

ETHERNET_HEADER = 18
"""Bytes of an Ethernet header with a VLAN tag: how much longer than its IP packet a frame can be."""


def random_mac() -> bytes:
    """A hardware address of nobody's: unicast, locally administered (IEEE 802)."""
    return b"\x02" + secrets.token_bytes(5)
