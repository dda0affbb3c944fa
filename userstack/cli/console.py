"""Where a command draws for people."""

from typing import TextIO

from rich.console import Console

from userstack.observe.ladder import MAX_WIDTH


def make_console(stream: TextIO) -> Console:
    """A console on ``stream``; one that is no terminal gets no colour, and the full width."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else MAX_WIDTH)
