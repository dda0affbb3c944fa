"""What ``userstack drill`` shows a person: a ladder for each script that failed, and the counts at the end."""

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from rich.console import Console
from rich.text import Text

from userstack.config import SECOND
from userstack.drill.outcome import Outcome, Seen, Verdict
from userstack.drill.suite import Result

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}
_TIME = 12
_LANE, _LEAST_LANE = 78, 40
_WORD = re.compile(r"[^\s,;<>]+|[\s,;<>]+")
"""What differs as a whole: a field's name, a number, an option."""
_MOST = 20
"""Lines of a ladder: what happened last is what matters."""


class DrillReport:
    """Shows results on ``console``; with ``verbose`` those that passed or were skipped too."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        unicode = console.encoding.lower().startswith("utf")
        self._line, self._left, self._right = ("─", "◀", "▶") if unicode else ("-", "<", ">")
        self._lane = min(_LANE, max(console.width - _TIME - 3, _LEAST_LANE)) if console.is_terminal else _LANE

    def show(self, result: Result) -> None:
        """One script's end, with what led to it."""
        outcome = result.outcome
        if outcome.verdict is not Verdict.FAILED and not self._verbose:
            return
        variant = f" ({result.case.variant.value})" if result.case.variant else ""
        text = f": {outcome.message}" if outcome.message else ""
        head = f" {outcome.place or result.case.path}{variant}{text}"
        lines = [Text.assemble((outcome.verdict.value, _STYLES[outcome.verdict]), head)]
        seen = outcome.seen if self._verbose else outcome.seen[-_MOST:]
        if seen:
            lines.append(Text(f"{'seconds':>{_TIME}}  {'userstack':<{self._lane - 9}}the script", style="bold"))
        if len(seen) < len(outcome.seen):
            lines.append(Text(f"{'':{_TIME}}  ... {len(outcome.seen) - len(seen)} lines before (-v shows them)", style="dim"))
        lines += [*map(self._step, seen), *_difference(outcome)]
        self._print(Text("\n").join(lines))

    def sum_up(self, results: Sequence[Result]) -> None:
        """How many passed, failed and were skipped, and why."""
        counts = Counter(result.outcome.verdict for result in results)
        reasons = Counter(result.outcome.message for result in results if result.outcome.verdict is Verdict.SKIPPED)
        for reason, count in reasons.most_common():
            self._print(Text(f"{count:>7} skipped: {reason}", style=_STYLES[Verdict.SKIPPED]))
        parts = [(f"{counts[verdict]} {verdict.value}", _STYLES[verdict] if counts[verdict] else "dim") for verdict in Verdict]
        seconds = sum(result.seconds for result in results)
        self._print(Text.assemble(parts[0], ", ", parts[1], ", ", parts[2], f" ({seconds:.1f} s of work)"))

    def _step(self, seen: Seen) -> Text:
        line = Text(f"{seen.time / SECOND:>{_TIME}.6f}  ", style="dim")
        if not seen.arrow:
            return line.append(seen.text, style="not dim")
        shaft = self._line * max(self._lane - len(seen.text) - 5, 2)
        inbound = seen.arrow == "<"
        arrow = f"{self._left}{self._line} {seen.text} {shaft}" if inbound else f"{self._line} {seen.text} {shaft}{self._right}"
        return line.append(arrow, style="not dim cyan" if inbound else "not dim green")

    def _print(self, line: Text) -> None:
        """Scripts and their names may have anything in them, also what a terminal obeys and what no encoding knows."""
        known = line.plain.encode(self._console.encoding, "replace").decode(self._console.encoding)
        line.plain = "".join(char if char.isprintable() or char in "\n\t" else "?" for char in known)
        self._console.print(line, soft_wrap=True, highlight=False)


def _difference(outcome: Outcome) -> list[Text]:
    """What was expected and what came instead, one under the other."""
    if outcome.difference is None:
        return []
    expected, got = _marked(outcome.difference.expected, outcome.difference.got)
    return [
        Text(f"{'expected':>{_TIME}}  ", style="bold green").append_text(expected),
        Text(f"{'got':>{_TIME}}  ", style="bold red").append_text(got),
    ]


def _marked(one: str, other: str) -> tuple[Text, Text]:
    """Both texts, the words in reverse that the other has not there."""
    words, others = _WORD.findall(one), _WORD.findall(other)
    left, right = Text(style="not bold"), Text(style="not bold")
    for what, i, j, k, m in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        style = "" if what == "equal" else "reverse"
        left.append("".join(words[i:j]), style=style)
        right.append("".join(others[k:m]), style=style)
    return left, right
