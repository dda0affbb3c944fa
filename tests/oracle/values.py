"""What crosses the wire in the oracle: segments as values, and the arithmetic of RFC 9293 3.4."""

from dataclasses import dataclass, field
from typing import NamedTuple

MODULO = 2**32


def before(left: int, right: int) -> bool:
    """``left < right`` in the sense of RFC 9293 3.4."""
    return 0 < (right - left) % MODULO < MODULO // 2


def between(low: int, number: int, high: int) -> bool:
    """``low =< number =< high`` in the sense of RFC 9293 3.4."""
    return (number - low) % MODULO <= (high - low) % MODULO


class Segment(NamedTuple):
    """A segment that arrives. ``ctl`` holds a letter for each control bit: S, F, R, A, U; others (P, E, C) change nothing here."""

    ctl: str
    seq: int
    ack: int = 0
    wnd: int = 0
    data: bytes = b""
    urg: int = 0
    """The urgent pointer, which counts from SEG.SEQ."""

    def __str__(self) -> str:
        return shown(self)

    @property
    def length(self) -> int:
        """SEG.LEN: the octets of text, and one each for SYN and FIN (3.4)."""
        return len(self.data) + ("S" in self.ctl) + ("F" in self.ctl)

    @property
    def end(self) -> int:
        """SEG.SEQ+SEG.LEN."""
        return (self.seq + self.length) % MODULO


class Sent(NamedTuple):
    """A segment that is sent. ``ack`` is 0 without the ACK bit; ``wnd`` is None where the RFC names no window (a RST)."""

    ctl: str
    seq: int
    ack: int = 0
    data: bytes = b""
    wnd: int | None = None

    def __str__(self) -> str:
        return shown(self)

    def __repr__(self) -> str:
        return shown(self)


def shown(segment: "Segment | Sent") -> str:
    """``<SEQ=3><ACK=-5><CTL=SA><10 octets><WND=800>``: numbers near the top of the sequence space as negative ones."""
    seq, ack = ((number + MODULO // 2) % MODULO - MODULO // 2 for number in (segment.seq, segment.ack))
    acknowledges = f"<ACK={ack}>" if "A" in segment.ctl else ""
    text = f"<{len(segment.data)} octets>" if segment.data else ""
    window = "" if segment.wnd is None else f"<WND={segment.wnd}>"
    return f"<SEQ={seq}>{acknowledges}<CTL={segment.ctl or 'none'}>{text}{window}"


@dataclass
class Reaction:
    """What one event makes a TCP endpoint send."""

    segments: list[Sent] = field(default_factory=list)
    """SYN, RST, text and FIN, at once and in this order."""
    ack: Sent | None = None
    """An acknowledgment without text. Not needed where text goes out that carries it (MUST-58)."""
    delayed: bool = False
    """The acknowledgment may wait (MUST-40), or be sent at once."""
    challenge: bool = False
    """The acknowledgment passes the throttle of RFC 5961 7."""
