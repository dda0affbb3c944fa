"""When what has arrived in order is acknowledged (RFC 9293 3.8.6.3, RFC 5681 4.2).

By default every second segment at once and others after a fixed time (SHLD-18, SHLD-19). With ``quick_acks`` as Linux does: the
first so many ACKs at once, so that the peer's slow start grows fast, then those of more than one full segment; the delay follows
the pace at which data comes, and whoever answers what it has read (an "interactive" connection) lets its answers carry the ACKs.
"""

from typing import Final

from userstack.config import MILLISECOND, StackConfig

_LEAST_SEGMENT: Final = 536
"""What is taken for a full segment until a larger one has come."""
_LONGEST: Final = 499 * MILLISECOND
"""MUST-40."""
_LONGEST_INTERACTIVE: Final = 200 * MILLISECOND


class DelayedAck:
    """What one connection owes acknowledgements for, and how long it may owe them. Times in ns."""

    __slots__ = ("_config", "_delay", "_interactive", "_last_arrival", "_octets", "_pushed", "_quick", "_segment", "_segments")

    def __init__(self, config: StackConfig) -> None:
        self._config = config
        self._delay = config.delayed_ack
        """How long an ACK waits now (Linux: ATO)."""
        self._segments = self._octets = 0
        """Arrived since the last ACK."""
        self._quick = 0
        """ACKs that still go out at once."""
        self._interactive = False
        self._segment = _LEAST_SEGMENT
        """The largest segment that came: what counts as full."""
        self._last_arrival: int | None = None
        self._pushed = 0
        """Segments since the last ACK that were not full: an application that has read all has nothing more to wait for."""

    @property
    def quick(self) -> bool:
        """TCP_QUICKACK: ACKs are not held back for answers to carry them."""
        return not self._interactive

    @property
    def ato(self) -> int:
        """How long an ACK would wait now (Linux ``tcpi_ato``); 0 before anything has come."""
        return 0 if self._last_arrival is None else self._delay

    @property
    def segment(self) -> int:
        """What counts as a full segment of the peer's (Linux ``tcpi_rcv_mss``)."""
        return self._segment

    def set_quick(self, value: bool) -> None:
        """TCP_QUICKACK, until the connection changes it itself."""
        self._interactive = not value

    def arrived(self, octets: int, segments: int, window: int, rto: int, now: int) -> bool:
        """Text of so many octets, in so many segments, has arrived in order; True: it is to be acknowledged at once."""
        self._segments += segments
        self._octets += octets
        each = -(-octets // segments)
        full = each >= self._segment
        if full:
            self._segment = each
        if not self._config.quick_acks:
            self._last_arrival = now
            return self._segments >= 2
        if not full:
            self._pushed += 1
        self._keep_pace(window, rto, now)
        return self._octets > self._segment or (self._quick > 0 and not self._interactive)

    def _keep_pace(self, window: int, rto: int, now: int) -> None:
        """The delay goes halfway to the time between two arrivals; after a long silence the peer begins anew."""
        least = self._config.delayed_ack
        gap = None if self._last_arrival is None else now - self._last_arrival
        self._last_arrival = now
        if gap is None or gap > rto:
            self.hurry(window)
        elif gap <= least // 2:
            self._delay = (self._delay + least) // 2
        elif gap < self._delay:
            self._delay = min(self._delay // 2 + gap, rto)

    def hurry(self, window: int) -> None:
        """Something unusual has happened: the next ACKs go out at once, as many as half of the window's segments need."""
        self._quick = max(self._quick, min(max(window // (2 * self._segment), 2), self._config.quick_acks))

    def deadline(self, srtt: int | None, now: int) -> int:
        """When an ACK that begins to wait now has to go out."""
        if self._delay <= self._config.delayed_ack:
            return now + self._delay
        longest = _LONGEST_INTERACTIVE if self._interactive else _LONGEST
        if srtt:
            longest = min(longest, max(srtt, self._config.delayed_ack))
        return now + min(self._delay, longest)

    def expired(self, rto: int) -> None:
        """Nothing came that an ACK could have ridden on, nor a second segment."""
        if self._interactive:
            self._interactive = False
            self._delay = self._config.delayed_ack
        elif self._config.quick_acks:
            self._delay = min(self._delay * 2, rto)

    def read(self, *, empty: bool) -> bool:
        """The application has read; True: it has all that has come, so that the ACK need not wait."""
        return empty and (self._pushed > 1 or (self._pushed == 1 and not self._interactive))

    def acknowledged(self) -> None:
        """An ACK goes out."""
        if self._segments:
            self._quick = max(self._quick - 1, 0)
        self._segments = self._octets = self._pushed = 0

    def answered(self, now: int) -> None:
        """Data goes out: soon after data has come it is an answer, and the next ones may carry ACKs too."""
        if self._last_arrival is not None and now - self._last_arrival < self._delay:
            self._interactive = True


NOTHING_ARRIVED: Final = DelayedAck(StackConfig())
"""That of every connection which has received no text; it never asks for its settings. See ``first_text``."""
