"""A segment that is for a listener, or for nobody, with all that whoever answers it has to know."""

from typing import NamedTuple

from userstack.address import Endpoint
from userstack.tcp import md5sig
from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import TcpSegment


class Arrival(NamedTuple):
    """The segment, its two ends as this host names them, and when it came."""

    local: Endpoint
    remote: Endpoint
    segment: TcpSegment
    route: SourceRoute | None
    """The way back that its packet has recorded."""
    md5_key: bytes | None
    """What was agreed with the remote end (RFC 2385), None for nothing."""
    now: int

    @property
    def forgery(self) -> str | None:
        """The counter of what its signature shows to be forged; None where it may go on."""
        return md5sig.failure(self.segment, self.remote.address, self.local.address, self.md5_key)
