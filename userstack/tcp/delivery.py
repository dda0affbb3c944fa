"""How much of what was sent has been delivered, and how fast: draft-cheng-iccrg-delivery-rate-estimation, counted as Linux does.

Segments count, a FIN that goes alone as one; one is delivered when it is acknowledged or SACKed. Each takes along where delivery
stood when it went out; of those that an ACK delivers, the one sent last gives the sample. Segments that went out as one
(TSO) are remembered as one, until a part of them is delivered or sent again.
"""

from typing import Final

from userstack.tcp.sack import Block

_Sent = tuple[int, int, int, int, bool]
"""What a segment takes along: when it went out; P.delivered, P.delivered_time, P.first_sent_time, P.is_app_limited."""


class _Outstanding:
    """One or more segments of ``size`` octets, the last of which may be smaller, that went out together."""

    __slots__ = ("end", "sacked", "sent", "size", "start")

    def __init__(self, start: int, end: int, size: int, sent: _Sent) -> None:
        self.start = start
        self.end = end
        self.size = size
        self.sent = sent
        self.sacked = False
        """Delivered already."""

    @property
    def count(self) -> int:
        """How many segments."""
        length = self.end - self.start
        return 1 if length <= self.size else -(-length // self.size)

    def cut_at(self, number: int) -> int:
        """The end of the segment before the one in which ``number`` lies."""
        return self.start + (number - self.start) // self.size * self.size


_EMPTY: Final[list[_Outstanding]] = []
"""The book as long as nothing stands in it; nothing is ever put into this one."""


class Delivery:
    """The delivery of one connection. Times in ns."""

    __slots__ = (
        "_app_limited_until",
        "_book",
        "_delivered_at",
        "_first_sent_at",
        "_newly",
        "_prior",
        "delivered",
        "delivered_ce",
        "outstanding",
        "rate_app_limited",
        "rate_delivered",
        "rate_interval",
        "sacked",
    )

    def __init__(self, delivered: int = 0) -> None:
        self.delivered = delivered
        self.delivered_ce = 0
        """Segments delivered, and those of them whose ACK echoed a mark (RFC 3168)."""
        self.outstanding = self.sacked = 0
        """Segments with text or FIN that are not acknowledged cumulatively, and those of them that are delivered already."""
        self.rate_delivered = self.rate_interval = 0
        """The last sample to be believed: so many segments in so many ns."""
        self.rate_app_limited = True
        """It says what the application gave, not what the path takes; so it is before there was one."""
        self._app_limited_until = 0
        self._book = _EMPTY
        """In the order of the numbers."""
        self._delivered_at = self._first_sent_at = 0
        self._newly = 0
        self._prior: _Sent | None = None

    def sent(self, start: int, end: int, size: int, now: int) -> None:
        """Text or FIN went out for the first time, in segments of ``size`` octets."""
        if not self._book:
            self._first_sent_at = self._delivered_at = now
            self._book = []
        went = _Outstanding(start, end, size, self._stand(now))
        self._book.append(went)
        self.outstanding += went.count

    def resent(self, start: int, end: int, now: int) -> None:
        """The same again; what was cut anew gives no sample."""
        index = next((index for index, went in enumerate(self._book) if went.end >= end), None)
        if index is None or self._book[index].sacked:
            return
        went = self._book[index]
        if went.count > 1 and went.start <= start and went.cut_at(start) == start:
            index = self._split(index, start)
            if self._book[index].cut_at(end) == end:
                self._split(index, end)
        if self._book[index].end == end:
            self._book[index].sent = self._stand(now)

    def gave_all(self) -> None:
        """The application has left the sender without anything to send: what is delivered up to here says nothing of the path."""
        self._app_limited_until = max(self.delivered + self.outstanding - self.sacked, 1)

    def twice(self, segments: int) -> None:
        """A D-SACK: what was sent again has been delivered as well."""
        self.delivered += segments
        self._newly += segments

    def acknowledged(self, snd_una: int) -> None:
        """All below SND.UNA has been delivered."""
        done = 0
        for went in self._book:
            if went.end > snd_una:
                if went.start < snd_una:
                    self._acknowledge_in_part(went, snd_una)
                break
            done += 1
            self._leave(went, went.count)
        if done:
            del self._book[:done]

    def _acknowledge_in_part(self, went: _Outstanding, snd_una: int) -> None:
        before = went.count
        went.start = went.cut_at(snd_una)
        if went.count < before:
            self._leave(went, before - went.count)

    def _leave(self, went: _Outstanding, count: int) -> None:
        self.outstanding -= count
        if went.sacked:
            self.sacked -= count
        else:
            self._deliver(went.sent, count)

    def selectively(self, blocks: list[Block]) -> None:
        """What lies within these blocks has been delivered."""
        for start, stop in blocks:
            index = 0
            while index < len(self._book) and self._book[index].start < stop:
                if self._book[index].end > start and not self._book[index].sacked:
                    index = self._take_within(index, start, stop)
                index += 1

    def _take_within(self, index: int, start: int, stop: int) -> int:
        """Those of one entry that end in a block; the place of the entry that they have become."""
        went = self._book[index]
        first = went.start if went.count == 1 else max(went.cut_at(start), went.start)
        last = went.end if went.end <= stop else went.cut_at(stop) if went.count > 1 else first
        if first >= last:
            return index
        index = self._split(index, first)
        self._split(index, last)
        went = self._book[index]
        went.sacked = True
        self.sacked += went.count
        self._deliver(went.sent, went.count)
        return index

    def _split(self, index: int, at: int) -> int:
        """Make two of an entry; the place of the one that begins ``at``, or of the only one that there is."""
        went = self._book[index]
        if not went.start < at < went.end:
            return index
        self._book.insert(index + 1, _Outstanding(at, went.end, went.size, went.sent))
        went.end = at
        return index + 1

    def _stand(self, now: int) -> _Sent:
        return (now, self.delivered, self._delivered_at, self._first_sent_at, self._app_limited_until > 0)

    def _deliver(self, sent: _Sent, count: int) -> None:
        self.delivered += count
        self._newly += count
        if self._prior is None or sent[0] >= self._prior[0]:
            self._prior = sent

    def sample(self, now: int, least_rtt: int, *, marked: bool) -> int:
        """An ACK has been taken in, which echoed a mark or not: draft 3.3, GenerateRateSample. How many segments it delivered."""
        newly, prior = self._newly, self._prior
        if not newly:
            return 0
        self._newly, self._prior = 0, None
        if marked:
            self.delivered_ce += newly
        if prior is None:
            return newly
        if self._app_limited_until and self.delivered > self._app_limited_until:
            self._app_limited_until = 0
        sent_at, delivered, delivered_at, first_sent_at, app_limited = prior
        self._delivered_at, self._first_sent_at = now, sent_at
        interval = max(sent_at - first_sent_at, now - delivered_at)
        count = self.delivered - delivered
        # Below the least round-trip time ACKs were compressed somewhere; what the application limited counts where it was more.
        if interval >= max(least_rtt, 1) and (not app_limited or count * self.rate_interval >= self.rate_delivered * interval):
            self.rate_delivered, self.rate_interval, self.rate_app_limited = count, interval, app_limited
        return newly

    def forget(self) -> None:
        """Nothing is outstanding any more."""
        self._book = _EMPTY
        self.outstanding = self.sacked = 0


NOTHING_DELIVERED: Final = Delivery()
"""That of every connection which has sent neither text nor FIN; see ``first_text``."""
SYN_DELIVERED: Final = Delivery(1)
"""The same once its SYN is acknowledged: it counts as a segment, and tells no rate."""
UNTOUCHED: Final = NOTHING_DELIVERED, SYN_DELIVERED
"""Both."""
