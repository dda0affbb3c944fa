"""How a command ends: one line and a code for what went wrong, everything removed on Ctrl-C, and never a traceback for it."""

import asyncio
import functools
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ParamSpec

import typer

from userstack.cli.codes import INTERRUPTED, ended_by, heeded
from userstack.errors import UserstackError

P = ParamSpec("P")


def guarded(name: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Make a command tell its errors as ``userstack NAME: text`` with exit code 1, and end quietly with 130 on Ctrl-C."""

    def decorate(command: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(command)
        def run(*arguments: P.args, **options: P.kwargs) -> None:
            try:
                try:
                    command(*arguments, **options)
                finally:
                    sys.stdout.flush()  # or a full disk shows only when nobody is left to say so
            except OSError as error:  # UserstackError is one
                complain(name, describe(error))
                raise typer.Exit(1) from None
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None

        return run

    return decorate


def complain(name: str, text: str) -> None:
    """One line on standard error; where nobody takes it, the exit code has to do."""
    with suppress(OSError):
        print(f"userstack {name}".rstrip() + f": {text}", file=sys.stderr)


def describe(error: OSError) -> str:
    """The text of an error without its number, on one line."""
    text = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    return " ".join(f"{where}{text}".split())


def run_async(work: Coroutine[None, None, int]) -> int:
    """Run ``work`` on an event loop and give its code.

    SIGTERM and SIGHUP cancel it as Ctrl-C does, so that everything it made is removed.

    Raises:
        OSError: ``work`` raised it, or something that watches it and can no longer write what it sees.
    """
    ending = _Ending()
    try:
        return asyncio.run(ending.watch_over(work))
    except asyncio.CancelledError:
        return ending.outcome()


class _Ending:
    """What cancels a command from outside, once: a second cancellation would break into the removal of what it made."""

    def __init__(self) -> None:
        self._reason: int | OSError | None = None
        self._task: asyncio.Task[Any] | None = None

    async def watch_over(self, work: Coroutine[None, None, int]) -> int:
        """Await ``work``, ready to cancel it."""
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_failed_callback)
        for number in heeded():
            loop.add_signal_handler(number, self._end, ended_by(number))
        return await work

    def outcome(self) -> int:
        """The exit code, after it was cancelled."""
        if isinstance(self._reason, OSError):
            raise self._reason
        if self._reason is None:
            raise asyncio.CancelledError
        return self._reason

    def _end(self, reason: int | OSError) -> None:
        if self._reason is None and self._task is not None:
            self._reason = reason
            self._task.cancel()

    def _on_failed_callback(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A watcher runs inside the stack's callbacks, which is no place for its errors to end up. Any other is a bug, and told."""
        error = context.get("exception")
        if isinstance(error, OSError) and not isinstance(error, UserstackError) and not {"future", "task"} & context.keys():
            self._end(error)
        else:
            loop.default_exception_handler(context)
