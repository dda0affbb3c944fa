"""Which step of the three-way handshake or of the close a segment is.

Law: the four parts of a close are the first FIN (1/4), its acknowledgement (2/4), the other end's FIN (3/4) and its
acknowledgement (4/4), whatever segments they travel in: a FIN that carries the first acknowledgement is 2+3/4, and the close then
takes three segments. Where both ends close before they hear of each other's FIN (RFC 9293 3.6, figure 13) the order is 1, 3, 2, 4.
"""

from dataclasses import dataclass

from userstack.observe.steps import Phase
from userstack.wire.tcp import ACK, FIN, RST, SYN


@dataclass(slots=True)
class _Fin:
    """One end's FIN: the relative number after it, whether the other end has acknowledged it, whether it came again since."""

    end: int
    acked: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a segment is, and a sentence about it where one is due."""

    phase: Phase | None = None
    note: str = ""
    again: bool = False
    """It acknowledges a repeated FIN again."""


NOTHING = Finding()


class Phases:
    """The progress of one connection; ``sent`` is True for this stack's segments."""

    __slots__ = ("_crossed", "_fins", "_first_closer", "_opener", "_reset", "_syn_end", "_three_way_done")

    def __init__(self) -> None:
        self._opener: bool | None = None
        self._crossed = False
        self._syn_end: dict[bool, int] = {}
        self._three_way_done = False
        self._fins: dict[bool, _Fin] = {}
        self._first_closer: bool | None = None
        self._reset = False

    @property
    def in_use(self) -> bool:
        """The handshake is done, or was not seen at all, and neither a RST nor both FINs have ended the connection."""
        return not self._opening_up and not self._reset and len(self._fins) < 2

    @property
    def _opening_up(self) -> bool:
        return bool(self._syn_end) and not self._three_way_done

    def look(self, *, sent: bool, flags: int, end: int, ack: int | None) -> Finding:
        """Take note of the segment whose relative numbers end at ``end`` and which acknowledges up to ``ack``."""
        if flags & RST:
            self._reset = True
            return Finding(note=_refuses(sent) if self._opening_up else _resets(sent))
        if flags & SYN:
            return self._opening(sent, flags, end)
        if self._opening_up:
            if not self._completes(sent, ack):
                return NOTHING
            self._three_way_done = True
            if not flags & FIN and not self._crossed:
                return Finding(Phase.HANDSHAKE_ACK)
        if flags & FIN:
            return self._closing(sent, end, ack)
        return self._acknowledging(sent, ack)

    def _opening(self, sent: bool, flags: int, end: int) -> Finding:
        self._syn_end[sent] = end
        if flags & ACK:
            return Finding(Phase.CROSSED_SYN if self._crossed else Phase.SYN_ACK)
        if self._opener is None or self._opener == sent:
            self._opener = sent
            return Finding(Phase.SYN)
        self._crossed = True
        return Finding(Phase.CROSSED_SYN, "both ends open at once: a simultaneous open")

    def _completes(self, sent: bool, ack: int | None) -> bool:
        """Only the opener's ACK of the other SYN completes the handshake; where both opened, either's."""
        opened = self._syn_end.get(not sent)
        return opened is not None and ack is not None and ack >= opened and (sent == self._opener or self._crossed)

    def _closing(self, sent: bool, end: int, ack: int | None) -> Finding:
        mine = self._fins.get(sent)
        if mine is not None:
            mine.repeated = True
            return Finding(Phase.FIRST_FIN if sent == self._first_closer else Phase.SECOND_FIN, _repeats(sent))
        self._fins[sent] = _Fin(end)
        other = self._fins.get(not sent)
        if other is None:
            self._first_closer = sent
            return Finding(Phase.FIRST_FIN, "we close first" if sent else "the peer closes first")
        if ack is None or ack < other.end:
            return Finding(Phase.SECOND_FIN, "both ends close at once: a simultaneous close")
        if other.acked:
            return Finding(Phase.SECOND_FIN)
        other.acked = True
        who = "we merge" if sent else "the peer's kernel merges"
        return Finding(Phase.MERGED_FIN, f"{who} ACK (2/4) and FIN (3/4): three segments close, not four")

    def _acknowledging(self, sent: bool, ack: int | None) -> Finding:
        other = self._fins.get(not sent)
        if other is None or ack is None or ack < other.end:
            return NOTHING
        phase = Phase.SECOND_FIN_ACK if sent == self._first_closer else Phase.FIRST_FIN_ACK
        if other.acked and not other.repeated:
            return NOTHING
        again, other.acked, other.repeated = other.acked, True, False
        return Finding(phase, again=again)


def _repeats(sent: bool) -> str:
    return "we repeat our FIN" if sent else "the peer repeats its FIN"


def _resets(sent: bool) -> str:
    return ("we reset" if sent else "the peer resets") + " the connection"


def _refuses(sent: bool) -> str:
    return ("we refuse" if sent else "the peer refuses") + " the connection"
