"""Explicit congestion notification (RFC 3168 6.1): routers mark instead of dropping, receivers say so, senders slow down."""

from typing import Final

from userstack.wire.tcp import ACK, CWR, ECE, SYN

ECT_0: Final = 0b10
"""The codepoint that says that a packet may be marked."""
CE: Final = 0b11
"""The codepoint of a packet that was."""


class Ecn:
    """One connection's part in it; with ``offers`` its SYN asks for it."""

    __slots__ = ("_offered", "_offers", "_recover", "_reduced_for_mark", "cwr_due", "echo", "ok", "seen")

    def __init__(self, iss: int, *, offers: bool) -> None:
        self._offers = offers
        self._offered = False
        self.ok = False
        """Both ends take part."""
        self.echo = False
        """A mark has come: ACKs say so until the peer says that it has slowed down."""
        self.cwr_due = False
        """The window was reduced: the next new data says so."""
        self.seen = False
        """Something has come that said that it may be marked."""
        self._reduced_for_mark = False
        self._recover = iss
        """What was sent before the last reduction lies below it: marks of it ask for nothing more."""

    def syn_flags(self, *, answer: bool, first: bool) -> int:
        """The flags of a SYN, or with ``answer`` of a SYN,ACK. A SYN that was lost is repeated without (6.1.1.1)."""
        if answer:
            return ECE if self.ok else 0
        self._offered = self._offers and first
        return ECE | CWR if self._offered else 0

    def agreed(self, flags: int, mode: int, iss: int) -> "Ecn":
        """The peer's SYN, or SYN,ACK, is here (6.1.1): what has come of it. ``mode`` is ``StackConfig.ecn``."""
        bits = flags & (ECE | CWR)
        if not (self._offered and bits == ECE if flags & ACK else mode and bits == ECE | CWR):
            return OFF
        both = Ecn(iss, offers=False) if self is OFF else self
        both.ok = True
        return both

    def text_arrived(self, flags: int, codepoint: int) -> bool:
        """6.1.3: text has come; True where that is to be acknowledged at once."""
        if not self.ok:
            return False
        self.seen |= codepoint != 0
        slowed, marked = bool(flags & CWR), codepoint == CE
        first = marked and not self.echo
        if slowed:
            self.echo = False
        self.echo |= marked
        return slowed or first

    def asks_to_slow_down(self, flags: int, snd_una: int) -> bool:
        """6.1.2: an acknowledgement echoes a mark, and this window has not been reduced yet."""
        return self.ok and flags & (ECE | SYN) == ECE and snd_una > self._recover

    def slowed_down(self, snd_nxt: int, *, marked: bool = False) -> None:
        """The window was reduced, for a mark or for a loss."""
        if self.ok:
            self._recover = snd_nxt
            self._reduced_for_mark = marked
            self.cwr_due = True

    def reducing(self, snd_una: int) -> bool:
        """The window was reduced for a mark, and not all is acknowledged that was sent before (Linux: until more than that is)."""
        return self._reduced_for_mark and snd_una <= self._recover

    def new_data(self) -> tuple[int, int]:
        """6.1.2, 6.1.5: the flags and the codepoint of a segment with new data; what is sent again and bare ACKs are not marked."""
        if not self.ok:
            return 0, 0
        flags = CWR if self.cwr_due else 0
        self.cwr_due = False
        return flags, ECT_0


OFF: Final = Ecn(0, offers=False)
"""That of every connection which takes no part in it."""
