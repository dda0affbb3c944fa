"""What ``userstack drill`` shows a person: a ladder for each script that failed, and the counts at the end."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from userstack.config import SECOND
from userstack.drill.outcome import Outcome, Seen, Verdict
from userstack.drill.suite import Result

_STYLES = {Verdict.PASSED: "green", Verdict.FAILED: "bold red", Verdict.SKIPPED: "yellow"}
_TIME = 12
_LANE = 78
_MOST = 20
"""Lines of a ladder: what happened last is what matters."""


class DrillReport:
    """Shows results on ``console``; with ``verbose`` those that passed or were skipped too."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        self._console = console
        self._verbose = verbose
        unicode = console.encoding.lower().startswith("utf")
        self._line, self._left, self._right = ("─", "◀", "▶") if unicode else ("-", "<", ">")

    def show(self, result: Result) -> None:
        """One script's end, with what led to it."""
        outcome = result.outcome
        if outcome.verdict is not Verdict.FAILED and not self._verbose:
            return
        variant = f" ({result.case.variant.value})" if result.case.variant else ""
        text = f": {outcome.message}" if outcome.message else ""
        head = f" {outcome.place or result.case.path}{variant}{text}"
        self._print(Text.assemble((outcome.verdict.value, _STYLES[outcome.verdict]), head))
        seen = outcome.seen if self._verbose else outcome.seen[-_MOST:]
        if seen:
            self._print(Text(f"{'seconds':>{_TIME}}  {'userstack':<{_LANE - 9}}the script", style="bold"))
        if len(seen) < len(outcome.seen):
            self._print(Text(f"{'':{_TIME}}  ... {len(outcome.seen) - len(seen)} lines before (-v shows them)", style="dim"))
        for one in seen:
            self._print(self._step(one))
        self._show_difference(outcome)

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
        shaft = self._line * max(_LANE - len(seen.text) - 5, 2)
        inbound = seen.arrow == "<"
        arrow = f"{self._left}{self._line} {seen.text} {shaft}" if inbound else f"{self._line} {seen.text} {shaft}{self._right}"
        return line.append(arrow, style="not dim cyan" if inbound else "not dim green")

    def _show_difference(self, outcome: Outcome) -> None:
        if outcome.difference is not None:
            self._print(Text(f"{'expected':>{_TIME}}  {outcome.difference.expected}", style="bold green"))
            self._print(Text(f"{'got':>{_TIME}}  {outcome.difference.got}", style="bold red"))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)
