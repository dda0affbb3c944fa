"""What TCP hands down to IP: a segment, and what the packet around it is to say."""

from typing import NamedTuple

from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import TcpSegment


class Outgoing(NamedTuple):
    """A segment on its way down to IP."""

    segment: TcpSegment
    source: bytes
    destination: bytes
    ttl: int
    tos: int
    dont_fragment: bool
    route: SourceRoute | None
