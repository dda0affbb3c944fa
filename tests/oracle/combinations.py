"""Every segment that arrives at a connection: its control bits, and its place among the edges that the rules speak of."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.oracle.bench import IRS, WINDOW, octets
from tests.oracle.rfc9293 import Reference
from tests.oracle.stack import BUFFER
from tests.oracle.values import MODULO, Segment, before

FAR = 3_000
"""Beyond every window here."""
INSIDE = 60
TEXT = 10


@dataclass(frozen=True, slots=True)
class Kind:
    """Control bits and octets of text; ``closes``: also with SEG.WND zero; ``urg``: the urgent pointers."""

    ctl: str
    size: int = 0
    closes: bool = False
    urg: tuple[int, ...] = (0,)

    def __str__(self) -> str:
        return f"{self.ctl or 'no flags'}{f'+{self.size}' if self.size else ''}"


KINDS = (
    Kind("S"),
    Kind("SA"),
    Kind("A", closes=True),
    Kind("A", TEXT, closes=True),
    Kind("F"),
    Kind("FA", closes=True),
    Kind("R"),
    Kind("RA"),
    Kind("SF"),
    Kind(""),
    Kind("SFRAPUEC"),
    Kind("SFA"),
    Kind("FA", TEXT),
    Kind("", TEXT),
    Kind("R", TEXT),
    Kind("S", TEXT),
    Kind("AU", 1, urg=(1, INSIDE)),
    Kind("FA", BUFFER + TEXT),
)


def places(reference: Reference, length: int) -> list[int]:
    """SEG.SEQ: left of, at the left edge of, inside, at the right edge of and beyond the receive window."""
    if reference.state in ("CLOSED", "LISTEN", "SYN-SENT"):
        return [0, IRS, MODULO - 1]
    left, right = reference.rcv_nxt, reference.rcv_nxt + reference.rcv_wnd
    found = [left - FAR, left - length, left - 1, left, left + 1, left + INSIDE, right - 1, right, right + 1]
    return list(dict.fromkeys(seq % MODULO for seq in found))


def acknowledgments(reference: Reference) -> list[int]:
    """SEG.ACK: too old, old, SND.UNA, in flight, SND.NXT and beyond."""
    if reference.state in ("CLOSED", "LISTEN"):
        return [0, 1, MODULO - 1]
    una, nxt, oldest = reference.snd_una, reference.snd_nxt, reference.snd_una - reference.max_snd_wnd
    middle = una + (nxt - una) % MODULO // 2
    found = [oldest - 1, oldest, una - 1, una, middle, nxt - 1, nxt, nxt + 1]
    return list(dict.fromkeys(ack % MODULO for ack in found))


def contradicts(segment: Segment, reference: Reference) -> bool:
    """Whether it and what is held have text beyond a FIN, or two FINs: no rule says whom to believe."""
    fin = reference.held_fin
    end = (segment.seq + segment.length - ("F" in segment.ctl)) % MODULO
    if "F" in segment.ctl:
        return (fin is not None and fin != end) or any(not before(seq, end) for seq in reference.held)
    return fin is not None and segment.length > 0 and before(fin, end)


def segments(reference: Reference) -> Iterator[Segment]:
    """Every segment that a peer with one stream may send to a connection in that place."""
    return (segment for segment in _all_segments(reference) if not contradicts(segment, reference))


def _all_segments(reference: Reference) -> Iterator[Segment]:
    """Each kind at each place."""
    for kind in KINDS:
        for seq in places(reference, max(1, kind.size)):
            text = octets(seq + ("S" in kind.ctl), kind.size)
            if "A" not in kind.ctl:
                yield Segment(kind.ctl, seq, 0, WINDOW, text)
                continue
            for ack in acknowledgments(reference):
                for wnd, urg in product((WINDOW, 0) if kind.closes else (WINDOW,), kind.urg):
                    yield Segment(kind.ctl, seq, ack, wnd, text, urg)
