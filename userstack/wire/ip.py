"""The IP packet as a value: one for both versions, so that what stands above never asks which it is."""

from dataclasses import dataclass
from typing import Final, NamedTuple

# Protocol numbers, which are IPv6's Next Header values too (IANA).
HOP_BY_HOP: Final = 0
ICMP: Final = 1
TCP: Final = 6
ROUTING: Final = 43
FRAGMENT: Final = 44
ICMPV6: Final = 58
NO_NEXT_HEADER: Final = 59
DESTINATION_OPTIONS: Final = 60

EXTENSION_HEADERS: Final = frozenset({HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS})
"""What RFC 8200 4 asks of every node; the two others, of IPsec, name what is encrypted or signed, and are upper layers here."""
MAX_EXTENSION_HEADERS: Final = 8
"""Of one packet: RFC 8200 4.1 has a use for six; more of them only make work for who reads them (RFC 8504 5.3 allows limits)."""

Buffer = bytes | bytearray | memoryview


class ExtensionHeader(NamedTuple):
    """An IPv6 extension header (RFC 8200 4): its own protocol number, and its octets after Next Header as they stand.

    Its Next Header is not in it: that is the kind of the header which follows, or the packet's protocol.
    """

    kind: int
    body: bytes

    @property
    def size(self) -> int:
        """Octets on the wire."""
        return 1 + len(self.body)


@dataclass(slots=True, init=False)
class IPPacket:
    """An IPv4 (RFC 791) or IPv6 (RFC 8200) packet. ``source`` and ``destination`` are packed; their length tells the version.

    ``protocol`` and ``payload`` are the upper layer's, whatever headers stand before it. An IPv6 packet has its ``identification``,
    ``more_fragments`` and ``fragment_offset`` from the Fragment header, if there is one; ``dont_fragment`` says nothing there.
    """

    source: bytes
    destination: bytes
    protocol: int
    payload: Buffer
    ttl: int
    tos: int
    """The whole octet: six bits of DSCP, two of ECN."""
    identification: int
    dont_fragment: bool
    more_fragments: bool
    fragment_offset: int
    """In units of eight octets, as on the wire."""
    options: bytes
    """The IPv4 options as they stand, padding included."""
    extension_headers: tuple[ExtensionHeader, ...]
    """Those of IPv6 in their order. One that is a fragment's ends the list: what follows it is the payload."""

    def __init__(  # noqa: PLR0917 # the fields, written out for mypyc as those of TcpSegment
        self,
        source: bytes,
        destination: bytes,
        protocol: int,
        payload: Buffer,
        ttl: int = 64,
        tos: int = 0,
        identification: int = 0,
        dont_fragment: bool = True,
        more_fragments: bool = False,
        fragment_offset: int = 0,
        options: bytes = b"",
        extension_headers: tuple[ExtensionHeader, ...] = (),
    ) -> None:
        self.source = source
        self.destination = destination
        self.protocol = protocol
        self.payload = payload
        self.ttl = ttl
        self.tos = tos
        self.identification = identification
        self.dont_fragment = dont_fragment
        self.more_fragments = more_fragments
        self.fragment_offset = fragment_offset
        self.options = options
        self.extension_headers = extension_headers

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.source) == 4 else 6

    @property
    def is_fragment(self) -> bool:
        """True for every fragment of a packet, the first and the last included."""
        return self.more_fragments or self.fragment_offset != 0

    @property
    def next_header_offset(self) -> int:
        """Where in an IPv6 packet the octet stands that names ``protocol``: what a parameter problem points at (RFC 4443 3.4)."""
        return 40 + sum(header.size for header in self.extension_headers[:-1]) if self.extension_headers else 6
