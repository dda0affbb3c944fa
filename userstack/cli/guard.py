"""How a command ends: one line and a code for what went wrong, everything removed on Ctrl-C, and never a traceback for it."""

import asyncio
import functools
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import ParamSpec

import typer

from userstack.cli.codes import INTERRUPTED, TERMINATED

P = ParamSpec("P")


def guarded(name: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a command tell its errors as ``userstack NAME: text`` with exit code 1, and end quietly with 130 on Ctrl-C."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(command)
        def run(*arguments: P.args, **options: P.kwargs) -> None:
            try:
                command(*arguments, **options)
            except OSError as error:  # UserstackError is one
                complain(name, describe(error))
                raise typer.Exit(1) from None
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None

        return run

    return decorate


def complain(name: str, text: str) -> None:
    """One line on standard error."""
    print(f"userstack {name}: {text}", file=sys.stderr)


def describe(error: OSError) -> str:
    """The text of an error without its number, on one line."""
    text = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    return " ".join(f"{where}{text}".split())


def run_async(work: Coroutine[None, None, int]) -> int:
    """Run ``work`` on an event loop and give its code; SIGTERM cancels it as Ctrl-C does, so that everything it made is removed."""
    terminated = False

    async def main() -> int:
        task = asyncio.current_task()
        assert task is not None

        def on_terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, on_terminate)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        if terminated:
            return TERMINATED
        raise
