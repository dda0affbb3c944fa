"""What one connection of the system has outstanding, and how loss came into it, as the wire shows it."""

from userstack.tcp.seq import unwrap
from userstack.wire.tcp import ACK, FIN, RST, SACK, SACK_PERMITTED, SYN, TcpSegment


class Outstanding:
    """Fed with every segment of the connection; sequence numbers inside do not wrap."""

    __slots__ = ("_ack", "_edges", "_highest", "_resent", "_sack_offers", "disturbed", "sent_at")

    def __init__(self) -> None:
        self._highest: int | None = None
        """After the highest number that was ever sent."""
        self._edges: set[int] = set()
        """Where segments began and ended when they were sent for the first time."""
        self._ack: int | None = None
        self._resent = False
        self.sent_at = 0
        """When data or a FIN went out last."""
        self._sack_offers = [False, False]
        self.disturbed = False
        """Loss recovery has had something to decide: there were SACKs, duplicate ACKs, or an ACK after a retransmission."""

    @property
    def selective(self) -> bool:
        """Both SYNs had the SACK-permitted option."""
        return all(self._sack_offers)

    def note_sent(self, segment: TcpSegment, time: int) -> bool:
        """The system has sent a segment: whether it had sent all of it before, a SYN or a bare ACK aside."""
        if segment.flags & SYN:
            self._highest = _end(segment)
            self._edges = {_end(segment)}
            self._note_syn(segment, 0)
        if self._highest is None or segment.flags & SYN or not _length(segment):
            return False
        self.sent_at = time
        end = unwrap(_end(segment), self._highest)
        if end <= self._highest:
            self._resent = True
            return True
        self._highest = end
        self._edges.add(end)
        return False

    def note_received(self, segment: TcpSegment) -> None:
        """A segment comes in."""
        if segment.flags & SYN:
            self._note_syn(segment, 1)
        if not segment.flags & ACK:
            return
        again = segment.ack == self._ack and not _length(segment) and not segment.flags & RST
        self._ack = segment.ack
        waits = self._highest is not None and unwrap(segment.ack, self._highest) < self._highest
        sacks = any(option.kind == SACK for option in segment.options)
        self.disturbed = self.disturbed or sacks or self._resent or (again and waits)

    def could_be(self, start: int, end: int) -> bool:
        """Loss recovery could send what stands between these numbers, as on the wire: segments again, or new text."""
        if self._highest is None:
            return False
        first, last = unwrap(start, self._highest), unwrap(end, self._highest)
        return first == self._highest or (first in self._edges and last in self._edges)

    def was_sent(self, end: int) -> bool:
        """All up to the number ``end``, as on the wire, was sent already."""
        return self._highest is not None and unwrap(end, self._highest) <= self._highest

    def _note_syn(self, segment: TcpSegment, side: int) -> None:
        self._sack_offers[side] = any(option.kind == SACK_PERMITTED for option in segment.options)


def _length(segment: TcpSegment) -> int:
    """SEG.LEN."""
    return len(segment.payload) + bool(segment.flags & SYN) + bool(segment.flags & FIN)


def _end(segment: TcpSegment) -> int:
    return segment.seq + _length(segment)
