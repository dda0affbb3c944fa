"""Exit codes for signals: 128 and the signal's number, as shells have it."""

import signal

INTERRUPTED = 130
"""SIGINT, Ctrl-C."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command as Ctrl-C does: somebody asks for it, or its terminal is gone."""


def ended_by(number: int) -> int:
    """The exit code of a command that the signal ``number`` has ended."""
    return 128 + number


def heeded() -> list[signal.Signals]:
    """Those of ``ENDING`` that this process was not told to ignore, as nohup does with SIGHUP."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
