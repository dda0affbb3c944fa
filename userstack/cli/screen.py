"""What the demo shows itself on: a terminal for people, JSON lines for programs. Both are told the same."""

import textwrap
from collections.abc import Sequence
from typing import Protocol, TextIO

from rich.text import Text

from userstack.cli.console import make_console
from userstack.cli.leaks import Leaks
from userstack.observe.jsonl import JsonLines
from userstack.observe.ladder import Ladder
from userstack.observe.steps import Step

_NAME = 26


class Screen(Protocol):
    """Where the demo is shown."""

    def __call__(self, step: Step) -> None:
        """Show something that happened."""
        ...

    def prologue(self, *, device: str, namespace: str) -> None:
        """Before anything happens: where it will."""
        ...

    def act(self, number: int, title: str) -> None:
        """Begin an act."""
        ...

    def say(self, text: str) -> None:
        """A sentence of the narrator."""
        ...

    def countdown(self, seconds: float) -> None:
        """What is left of TIME-WAIT."""
        ...

    def summary(self, *, complaints: Sequence[str], states: Sequence[str], peer_states: Sequence[str], leaks: Leaks) -> None:
        """The end: what was wrong, which states both ends were seen in, what is left behind."""
        ...


class TerminalScreen:
    """For people: the ladder, with a narrator."""

    def __init__(self, stream: TextIO) -> None:
        self._console = make_console(stream)
        self._ladder = Ladder(self._console, peer="Linux kernel", show_data=True)

    def __call__(self, step: Step) -> None:
        """Draw it."""
        self._ladder(step)

    def prologue(self, *, device: str, namespace: str) -> None:
        """How to read what follows."""
        self._ladder.title("A three-way handshake and a four-way close, live")
        self._line("at the left", "userstack, a TCP in user space")
        self._line("at the right", f"the Linux kernel and its nc, in the network namespace {namespace}")
        self._line("between them", f"the device {device}")
        self._line("beside a segment", "our state, and the kernel's as it tells it (sock_diag)")
        self._line("below a segment", "our transition: cause, rule, time spent in the old state")

    def act(self, number: int, title: str) -> None:
        """A heading."""
        self._ladder.title(f"Act {number}: {title}")

    def say(self, text: str) -> None:
        """An indented line."""
        self._ladder.say(text)

    def countdown(self, seconds: float) -> None:
        """An indented line."""
        self._ladder.say(f"TIME-WAIT: {seconds:.1f} s left", "magenta")

    def summary(self, *, complaints: Sequence[str], states: Sequence[str], peer_states: Sequence[str], leaks: Leaks) -> None:
        """The verdict, last of all."""
        self._ladder.title("The end")
        self._line("states of ours seen", ", ".join(states))
        self._line("states of the kernel seen", ", ".join(peer_states))
        left = ", ".join(f"{count} {name}" for name, count in leaks.items())
        self._line("left behind", left, "bold red" if any(leaks.values()) else "")
        for complaint in complaints:
            self._line("wrong", complaint, "bold red")
        if not complaints and not any(leaks.values()):
            self._line("verdict", "segments, transitions and both ends' final states are what RFC 9293 says", "bold green")

    def _line(self, name: str, text: str, style: str = "") -> None:
        for number, line in enumerate(textwrap.wrap(text, self._ladder.width - _NAME - 2, break_on_hyphens=False)):
            head = f"{name:>{_NAME}}: " if number == 0 else " " * (_NAME + 2)
            self._console.print(Text.assemble((head, "dim"), (line, style)), soft_wrap=True)


class JsonScreen:
    """For programs: one JSON object a line, the last one the summary."""

    def __init__(self, stream: TextIO) -> None:
        self._lines = JsonLines(stream)

    def __call__(self, step: Step) -> None:
        """The step's own record."""
        self._lines(step)

    def prologue(self, *, device: str, namespace: str) -> None:
        """``{"event": "start"}``."""
        self._lines.write({"event": "start", "device": device, "namespace": namespace})

    def act(self, number: int, title: str) -> None:
        """``{"event": "act"}``."""
        self._lines.write({"event": "act", "act": number, "title": title})

    def say(self, text: str) -> None:
        """``{"event": "note"}``."""
        self._lines.write({"event": "note", "text": text})

    def countdown(self, seconds: float) -> None:
        """``{"event": "countdown"}``."""
        self._lines.write({"event": "countdown", "seconds_left": round(seconds, 3)})

    def summary(self, *, complaints: Sequence[str], states: Sequence[str], peer_states: Sequence[str], leaks: Leaks) -> None:
        """``{"event": "summary"}``."""
        self._lines.write(
            {
                "event": "summary",
                "ok": not complaints and not any(leaks.values()),
                "complaints": list(complaints),
                "states_seen": list(states),
                "peer_states_seen": list(peer_states),
                "leaks": leaks,
            }
        )
