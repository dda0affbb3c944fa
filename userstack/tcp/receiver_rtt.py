"""What a receiver can tell of its peer's pace: a round-trip time without sending, and what the application reads in one.

The method is that of Linux, dynamic right-sizing (Fisk and Feng): the time in which a window of text comes is at most a round trip
too long; a timestamp that comes back with a full segment says it better. Times in ns.
"""

from typing import Final


class ReceiverRtt:
    """The estimates of one connection."""

    __slots__ = ("_echo", "_edge", "_edge_since", "_eightfold", "_read_from", "_read_since", "space")

    def __init__(self) -> None:
        self._eightfold = 0
        self._edge = 0
        self._edge_since: int | None = None
        self._echo = -1
        self._read_from = self._read_since = 0
        self.space = 0
        """The most octets that were read in a round trip; at first what the window, or ten segments, allow."""

    @property
    def rtt(self) -> int:
        """The estimate; 0 before there is one."""
        return self._eightfold // 8

    def begin(self, rcv_nxt: int, space: int, now: int) -> None:
        """The connection is established."""
        self.space = space
        self._read_from, self._read_since = rcv_nxt, now

    def window_passed(self, rcv_nxt: int, rcv_wnd: int, now: int) -> None:
        """Text came in order: where a window of it has, that took a round trip at most; so only less is believed."""
        if self._edge_since is None or rcv_nxt >= self._edge:
            if self._edge_since is not None:
                sample = max(now - self._edge_since, 1) * 8
                if not self._eightfold or sample < self._eightfold:
                    self._eightfold = sample
            self._edge, self._edge_since = rcv_nxt + rcv_wnd, now

    def is_news(self, tsecr: int) -> bool:
        """No segment before has brought this echo."""
        news, self._echo = tsecr != self._echo, tsecr
        return news

    def echoed(self, elapsed: int, *, all_read: bool) -> None:
        """A full segment has brought a timestamp back; unless the application reads on, a longer time may be its own."""
        if not self._eightfold or elapsed * 8 < self._eightfold:
            self._eightfold = elapsed * 8
        elif all_read:
            self._eightfold += elapsed - self.rtt

    def read(self, copied: int, now: int) -> bool:
        """The application has read up to this number; once a round trip what that was is noted. True: more than ever before."""
        if not self._eightfold or now - self._read_since < self._eightfold // 8:
            return False
        before = self.space
        self.space = max(before, copied - self._read_from)
        self._read_from, self._read_since = copied, now
        return self.space > before


NOTHING_MEASURED: Final = ReceiverRtt()
"""That of every connection which has received no text; see ``first_text``."""
