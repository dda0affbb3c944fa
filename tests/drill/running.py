"""Running a script that stands in a test."""

from typing import Any

from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.parser import parse
from userstack.drill.run import run_script

OPEN = """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+0 < . 1:1(0) ack 1 win 30000
+0 accept(3, ..., ...) = 4
"""
"""A connection that the script's side has opened; its MSS is 1000."""


def run(text: str, **settings: Any) -> Outcome:
    """The outcome of a script."""
    return run_script(parse(text), **settings)


def check_passes(text: str, **settings: Any) -> None:
    """The script passes."""
    outcome = run(text, **settings)
    assert outcome.verdict is Verdict.PASSED, f"{outcome.place}: {outcome.message} {outcome.difference}"


def check_fails(text: str, complaint: str, **settings: Any) -> Outcome:
    """The script fails, and ``complaint`` is part of what is said about it."""
    outcome = run(text, **settings)
    assert outcome.verdict is Verdict.FAILED, outcome
    assert complaint in outcome.message, outcome.message
    return outcome


def check_skipped(text: str, reason: str, **settings: Any) -> None:
    """The script is skipped for that reason."""
    outcome = run(text, **settings)
    assert (outcome.verdict, outcome.message) == (Verdict.SKIPPED, reason)
