"""What TCP hands down to IP: a segment, and what the packet around it is to say."""

from collections.abc import Callable
from functools import partial
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


outgoing_of: Callable[[tuple[TcpSegment, bytes, bytes, int, int, bool, SourceRoute | None]], Outgoing] = partial(
    tuple.__new__, Outgoing
)
"""Makes one of all of them, for the data path: not by the function in Python that every NamedTuple has for that."""
