"""A segment that is outstanding, as loss recovery by time remembers it (RFC 8985 5.2)."""


class SentSegment:
    """What RFC 8985 5.2 keeps of a segment, or of several of ``size`` octets that went out as one (TSO)."""

    __slots__ = ("again", "end", "lost", "marked", "sacked", "sent_at", "size", "start")

    def __init__(self, start: int, end: int, size: int, now: int) -> None:
        self.start = start
        self.end = end
        self.size = size
        self.sent_at = now
        """Segment.xmit_ts, in ns."""
        self.again = False
        """Segment.retransmitted."""
        self.lost = False
        """Taken as lost, and not yet sent again."""
        self.marked = False
        """It has been taken as lost since it was sent first."""
        self.sacked = False

    @property
    def count(self) -> int:
        """How many segments."""
        length = self.end - self.start
        return 1 if length <= self.size else -(-length // self.size)
