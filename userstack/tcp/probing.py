"""How long a peer has been asked whether its window is still shut, or whether it is still there, and whether it answers.

``timeouts`` asks with zero-window probes (RFC 9293 3.8.6.1), ``keepalive`` with its own (3.8.4). Times in ns.
"""

from typing import Final

MOST_COUNTED: Final = 32
"""Of zero-window probes: the back-off has long reached its ceiling then."""


class Probing:
    """Where one connection stands with it."""

    __slots__ = ("sent", "shut_since", "unanswered", "unanswered_since")

    def __init__(self) -> None:
        self.sent = 0
        """Zero-window probes since the window shut, answered or not; each doubles the time to the next one."""
        self.shut_since: int | None = None
        """When the first of them went out."""
        self.unanswered = 0
        """Zero-window probes and keep-alives that no ACK has answered (Linux ``tcpi_probes``)."""
        self.unanswered_since: int | None = None
        """When the first zero-window probe of those went out."""

    def due(self, now: int) -> None:
        """The time has come for a zero-window probe, whether it goes out or patience has ended."""
        if self.unanswered_since is None:
            self.unanswered_since = now
        if self.shut_since is None:
            self.shut_since = now

    def shut_for(self, now: int) -> int:
        """How long the window has been probed."""
        return 0 if self.shut_since is None else now - self.shut_since

    def unanswered_for(self, now: int) -> int:
        """How long no probe of it has been answered."""
        return 0 if self.unanswered_since is None else now - self.unanswered_since

    def probed(self) -> None:
        """A zero-window probe goes out."""
        self.unanswered += 1
        self.sent = min(self.sent + 1, MOST_COUNTED)

    def answered(self) -> None:
        """An ACK has come."""
        self.unanswered = 0
        self.unanswered_since = None

    def ended(self) -> None:
        """The window has opened, or nothing waits for it any more."""
        self.answered()
        self.sent = 0
        self.shut_since = None


NOT_PROBING: Final = Probing()
"""That of every connection which has asked nothing yet; what has been answered, or has ended, changes nothing of it."""
