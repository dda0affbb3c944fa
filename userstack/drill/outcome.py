"""How a script ended, and what was seen on the way: values, so that whoever shows them may draw them as it likes."""

from dataclasses import dataclass
from enum import Enum

from userstack.drill.script import Place


class Verdict(Enum):
    """The three ends of a script."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened: a packet in or out, or a call."""

    time: int
    """Nanoseconds since the script began."""
    arrow: str
    """``<`` came in, ``>`` went out, empty: a call, a command or a code block."""
    text: str
    """In the script's language, with the script's numbers."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the script says and what happened instead."""

    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one script."""

    verdict: Verdict
    message: str = ""
    """One line: what was wrong, or why the script was skipped; empty where it passed."""
    place: Place | None = None
    """The event that could not be honoured."""
    difference: Difference | None = None
    seen: tuple[Seen, ...] = ()
    """What happened up to there, oldest first."""
