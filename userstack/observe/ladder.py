"""The ladder: segments as arrows between two ends, each with the state of both beside it, drawn line by line as it happens.

Law: this module only draws. It reads ``Step`` values and writes lines of text; colour says nothing that the words do not say too.
"""

import textwrap
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from userstack.address import Endpoint
from userstack.observe.steps import UNKNOWN, Alarm, Arrow, Discard, Folded, Mark, Move, Phase, Release, Step
from userstack.wire.tcp import FIN, RST, SYN, flag_names

MIN_WIDTH, MAX_WIDTH = 100, 110
_TIME, _STATE, _PHASE = 10, 12, 7
_GAPS = 6
_INDENT = _TIME + 2

_HANDSHAKE = frozenset({Phase.SYN, Phase.SYN_ACK, Phase.HANDSHAKE_ACK, Phase.CROSSED_SYN})


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What lines are drawn with."""

    left: str = "◀"
    right: str = "▶"
    line: str = "─"
    lost: str = "✗"
    branch: str = "└"
    to: str = "→"
    bullet: str = "·"
    times: str = "×"


UNICODE = Glyphs()
ASCII = Glyphs(left="<", right=">", line="-", lost="X", branch="`", to="->", bullet="-", times="x")


class Ladder:
    """Draws steps on ``console``.

    Args:
        console: where to; its width is used between 100 and 110 columns.
        ours: the name of this end.
        peer: the name of the other end.
        show_data: write the first octets of what is carried below its arrow.
    """

    def __init__(self, console: Console, *, ours: str = "userstack", peer: str = "peer", show_data: bool = False) -> None:
        self._console = console
        self._names = (ours, peer)
        self._show_data = show_data
        self._glyphs = UNICODE if console.encoding.lower().startswith("utf") else ASCII
        self.width = min(max(console.width, MIN_WIDTH), MAX_WIDTH)
        self._body = self.width - _TIME - 2 * _STATE - _PHASE - _GAPS
        self._flow: tuple[Endpoint, Endpoint] | None = None
        self._shown: tuple[str, str] = ("", "")

    def __call__(self, step: Step) -> None:
        """Draw one step."""
        match step:
            case Arrow():
                self._draw_arrow(step)
            case Move():
                self._print(self._move(step))
            case Alarm():
                self._print(self._alarm(step))
            case Release():
                self._print(self._release(step))
            case Discard():
                self._print(self._note(f"dropped {step.length} bytes that came in: {step.counter}", "yellow"))
            case Folded():
                self._print(self._folded(step))

    def title(self, text: str) -> None:
        """A heading across the whole width."""
        rule = self._glyphs.line
        line = f"{rule * 2} {text} "
        self._console.print()
        self._print(Text(line + rule * (self.width - cell_len(line)), style="bold cyan"))
        self._flow = None

    def say(self, text: str, style: str = "italic") -> None:
        """A sentence of the narrator."""
        for line in textwrap.wrap(text, self.width - _INDENT, break_on_hyphens=False):
            self._print(Text(f"{'':{_INDENT}}{line}", style=style))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _draw_arrow(self, arrow: Arrow) -> None:
        if (arrow.local, arrow.remote) != self._flow:
            self._head(arrow)
        line = Text.assemble((f"{_milliseconds(arrow.time):>{_TIME}}  ", "dim"))
        line.append(f"{arrow.ours:<{_STATE}} ", style=_state_style(arrow.ours, self._shown[0]))
        line.append_text(self._shaft(arrow))
        line.append(f" {arrow.peer:<{_STATE}}", style=_state_style(arrow.peer, self._shown[1]))
        if arrow.phase is not None:
            line.append(f"  {arrow.phase}", style=_phase_style(arrow))
        line.rstrip()
        self._shown = (arrow.ours, arrow.peer)
        self._print(line)
        for text, style in self._remarks(arrow):
            self._print(self._note(text, style))

    def _head(self, arrow: Arrow) -> None:
        """Who stands on which side, wherever another connection's arrows begin."""
        self._flow, self._shown = (arrow.local, arrow.remote), ("", "")
        ours, peer = self._names
        space = _STATE + 2 + self._body
        local, remote = str(arrow.local), str(arrow.remote)
        self._console.print()
        self._print(Text(f"{'time ms':>{_TIME}}  {ours:<{space}}{peer:<{_STATE}}  step", style="bold"))
        if len(remote) <= self.width - _INDENT - space:
            self._print(Text(f"{'':{_INDENT}}{local:<{space}}{remote}", style="dim"))
        else:
            self._print(Text(f"{'':{_INDENT}}{local}", style="dim"))
            self._print(Text(f"{remote:>{self.width}}", style="dim"))
        self._print(Text(self._glyphs.line * self.width, style="dim"))

    def _shaft(self, arrow: Arrow) -> Text:
        """The arrow with its words on it, exactly as wide as the space between the two ends."""
        glyphs = self._glyphs
        words = self._fit(self._words(arrow))
        room = self._body - 1 - cell_len(words) - 2
        before = min(3, room)
        after = room - before
        head, tail, spare = glyphs.right, "", ""
        if arrow.lost:
            head, spare = glyphs.lost, " " * min(6, after)
            after -= len(spare)
        if not arrow.sent:
            head, tail = "", glyphs.lost if arrow.lost else glyphs.left
        line = Text(style=_arrow_style(arrow))
        if arrow.sent:
            line.append(f"{glyphs.line * before} {words} {glyphs.line * after}{head}{spare}")
        else:
            line.append(f"{spare}{tail}{glyphs.line * before} {words} {glyphs.line * after}")
        line.highlight_words([flag_names(arrow.flags)], "bold")
        return line

    def _words(self, arrow: Arrow) -> str:
        parts = [flag_names(arrow.flags), f"seq {arrow.seq}"]
        if arrow.ack is not None:
            parts.append(f"ack {arrow.ack}")
        if arrow.length:
            parts.append(f"len {arrow.length}")
        parts.append(f"win {arrow.window}")
        if arrow.urgent_pointer is not None:
            parts.append(f"urg {arrow.urgent_pointer}")
        shown = [_short(option) for option in arrow.options if option not in {"nop", "eol"}]
        if shown and (arrow.flags & SYN or shown != ["TS"]):
            parts.append(f"<{' '.join(shown)}>")
        return " ".join(parts)

    def _fit(self, words: str) -> str:
        most = self._body - 6
        return words if len(words) <= most else words[: most - 3] + "..."

    def _remarks(self, arrow: Arrow) -> list[tuple[str, str]]:
        remarks = [(_MARK_WORDS[mark], "yellow") for mark in arrow.marks]
        if arrow.lost:
            remarks.append((f"lost on the way, on purpose: {'the peer' if arrow.sent else 'we'} never saw it", "bold red"))
        if arrow.note:
            remarks.append((arrow.note, "red" if arrow.flags & RST else "magenta" if arrow.flags & FIN else ""))
        if self._show_data and arrow.preview:
            remarks.append((_quote(arrow.preview, arrow.length), "cyan"))
        return remarks

    def _note(self, text: str, style: str) -> Text:
        return Text(f"{'':{_INDENT}}{self._glyphs.bullet} {text}", style=style)

    def _move(self, move: Move) -> Text:
        line = Text.assemble((f"{'':{_INDENT}}{self._glyphs.branch} ", "dim"))
        change = f"{move.old} {self._glyphs.to} {move.new}"
        line.append(f"{change:<27}", style="bold green")
        line.append(f" {move.cause:<17}", style="green")
        line.append(f" {move.clause}", style="bright_blue")
        if move.spent is not None:
            spent = f"{_milliseconds(move.spent)} ms"
            room = self.width - line.cell_len - 3
            line.append(f" {self._glyphs.bullet} {f'after {spent}' if len(spent) + 6 <= room else spent}", style="dim")
        return line

    def _alarm(self, alarm: Alarm) -> Text:
        detail = f" ({alarm.detail})" if alarm.detail else ""
        return self._note(f"{alarm.timer} timer fires at {_milliseconds(alarm.time)} ms{detail}", "yellow")

    def _release(self, release: Release) -> Text:
        whose = f"{release.local} {self._glyphs.to} {release.remote}" if release.remote else f"{release.local}, listening"
        return self._note(f"TCB freed at {_milliseconds(release.time)} ms: {whose}", "bold green")

    def _folded(self, folded: Folded) -> Text:
        counts = (
            f"{folded.segments_sent} sent with {folded.bytes_sent} bytes, "
            f"{folded.segments_received} received with {folded.bytes_received} bytes"
        )
        return self._note(f"... and {folded.segments_sent + folded.segments_received} more plain segments: {counts}", "dim")


_MARK_WORDS = {
    Mark.RETRANSMISSION: "retransmission: these numbers were sent before",
    Mark.OUT_OF_ORDER: "fills a hole: late, or sent again",
    Mark.DUPLICATE_ACK: "duplicate ACK: something before it is missing",
    Mark.ACKED_AGAIN: "acknowledged again: the other end did not hear the first time",
    Mark.ZERO_WINDOW: "zero window: no room for data",
}


def _milliseconds(time: int) -> str:
    return f"{time / 1_000_000:.3f}"


def _short(option: str) -> str:
    return option.partition(" val ")[0].replace("wscale", "ws")


def _quote(preview: bytes, length: int) -> str:
    more = f" ... ({length} bytes)" if length > len(preview) else ""
    return repr(preview)[1:] + more


def _state_style(state: str, before: str) -> str:
    """Bold where it has changed since the last arrow."""
    if state == UNKNOWN:
        return "dim"
    return "bold" if state != before else "dim"


def _arrow_style(arrow: Arrow) -> str:
    if arrow.lost or arrow.flags & RST:
        return "red"
    if arrow.marks:
        return "yellow"
    if arrow.phase is None:
        return "cyan" if arrow.length else "dim"
    return "green" if arrow.phase in _HANDSHAKE else "magenta"


def _phase_style(arrow: Arrow) -> str:
    return "bold green" if arrow.phase in _HANDSHAKE else "bold magenta"
