"""The IP packet as a value: one for both versions, so that what stands above never asks which it is."""

from dataclasses import dataclass

ICMP = 1
TCP = 6
ICMPV6 = 58

Buffer = bytes | bytearray | memoryview


@dataclass(slots=True)
class IPPacket:
    """An IPv4 (RFC 791) or IPv6 (RFC 8200) packet. ``source`` and ``destination`` are packed; their length tells the version.

    IPv6 has no place for ``identification``, ``dont_fragment`` and what follows: read, they are the defaults.
    """

    source: bytes
    destination: bytes
    protocol: int
    payload: Buffer
    ttl: int = 64
    tos: int = 0
    """The whole octet: six bits of DSCP, two of ECN."""
    identification: int = 0
    dont_fragment: bool = True
    more_fragments: bool = False
    fragment_offset: int = 0
    """In units of eight octets, as on the wire."""
    options: bytes = b""
    """The IPv4 options as they stand, padding included."""

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.source) == 4 else 6

    @property
    def is_fragment(self) -> bool:
        """True for every fragment of a packet, the first and the last included."""
        return self.more_fragments or self.fragment_offset != 0
