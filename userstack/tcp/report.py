"""ERROR_REPORT of RFC 9293 3.9.1.8: what a connection survives and its application may want to know (MUST-47)."""

from collections import deque
from enum import Enum
from typing import NamedTuple

from userstack.counters import Counters


class Reason(Enum):
    """What is reported."""

    ICMP = "ICMP error"
    """An ICMP error that does not end the connection has come (RFC 9293 3.9.2.2, SHLD-25)."""
    RETRANSMISSIONS = "excessive retransmissions"
    """R1 was reached (RFC 9293 3.8.3, SHLD-9)."""


class Report(NamedTuple):
    """One report: its time in ns, the reason, and the sub-reason as the error that it would be if it ended the connection."""

    time: int
    reason: Reason
    error: OSError


class Reports:
    """Those of one connection that nobody has read yet. Nothing is kept until somebody asks for it (SHLD-20)."""

    __slots__ = ("_counters", "_limit", "_waiting", "wanted")

    def __init__(self, limit: int, counters: Counters) -> None:
        self.wanted = False
        self._limit = limit
        self._counters = counters
        self._waiting: deque[Report] = deque()

    def add(self, now: int, reason: Reason, error: OSError) -> None:
        """Keep a report for whoever reads; where there are too many the oldest is lost (TcpExtErrorReportsDropped)."""
        if not self.wanted:
            return
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self._counters.add("TcpExtErrorReportsDropped")
        self._waiting.append(Report(now, reason, error))

    def want(self, wanted: bool) -> None:
        """Begin to keep reports, or keep none and forget those that nobody has read."""
        self.wanted = wanted
        if not wanted:
            self._waiting.clear()

    def take(self) -> Report | None:
        """The oldest that nobody has read, or None."""
        return self._waiting.popleft() if self._waiting else None

    def __len__(self) -> int:
        return len(self._waiting)
