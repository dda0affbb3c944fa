"""How much of what was sent has been delivered, and how fast: draft-cheng-iccrg-delivery-rate-estimation, counted as Linux does.

Segments count, a FIN that goes alone as one; one is delivered when it is acknowledged or SACKed. Each takes along where delivery
stood when it went out; of those that an ACK delivers, the one sent last gives the sample.
"""

from userstack.tcp.sack import Block

_Sent = tuple[int, int, int, int, bool]
"""What a segment takes along: when it went out; P.delivered, P.delivered_time, P.first_sent_time, P.is_app_limited."""


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
        "rate_app_limited",
        "rate_delivered",
        "rate_interval",
        "sacked",
    )

    def __init__(self) -> None:
        self.delivered = self.delivered_ce = 0
        """Segments delivered, and those of them whose ACK echoed a mark (RFC 3168)."""
        self.sacked = 0
        """Segments outstanding that are delivered already."""
        self.rate_delivered = self.rate_interval = 0
        """The last sample to be believed: so many segments in so many ns."""
        self.rate_app_limited = True
        """It says what the application gave, not what the path takes; so it is before there was one."""
        self._app_limited_until = 0
        self._book: dict[int, _Sent | None] = {}
        """By the number after its end each segment outstanding, in the order of the numbers; None: delivered already."""
        self._delivered_at = self._first_sent_at = 0
        self._newly = 0
        self._prior: _Sent | None = None

    @property
    def outstanding(self) -> int:
        """Segments with text or FIN that are not acknowledged cumulatively."""
        return len(self._book)

    def sent(self, end: int, now: int) -> None:
        """A segment went out for the first time."""
        if not self._book:
            self._first_sent_at = self._delivered_at = now
        self._book[end] = (now, self.delivered, self._delivered_at, self._first_sent_at, self._app_limited_until > 0)

    def resent(self, end: int, now: int) -> None:
        """The same one again; what was cut anew gives no sample."""
        if self._book.get(end) is not None:
            self._book[end] = (now, self.delivered, self._delivered_at, self._first_sent_at, self._app_limited_until > 0)

    def gave_all(self) -> None:
        """The application has left the sender without anything to send: what is delivered up to here says nothing of the path."""
        self._app_limited_until = max(self.delivered + len(self._book) - self.sacked, 1)

    def syn_acked(self) -> None:
        """A SYN counts as one, and tells no rate."""
        self.delivered += 1

    def twice(self, segments: int) -> None:
        """A D-SACK: what was sent again has been delivered as well."""
        self.delivered += segments
        self._newly += segments

    def acknowledged(self, snd_una: int) -> None:
        """All below SND.UNA has been delivered."""
        done = []
        for end, sent in self._book.items():
            if end > snd_una:
                break
            done.append(end)
            if sent is None:
                self.sacked -= 1
            else:
                self._deliver(sent)
        for end in done:
            del self._book[end]

    def selectively(self, blocks: list[Block]) -> None:
        """What lies within these blocks has been delivered."""
        lowest = min((start for start, _ in blocks), default=0)
        for end, sent in self._book.items():
            if sent is not None and end > lowest and any(start < end <= stop for start, stop in blocks):
                self._book[end] = None
                self.sacked += 1
                self._deliver(sent)

    def _deliver(self, sent: _Sent) -> None:
        self.delivered += 1
        self._newly += 1
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
        self._book.clear()
        self.sacked = 0
