"""The script's process: its calls, those that return at once and those that sleep while the script goes on.

A call that sleeps is tried again whenever the system has moved on. Two that sleep on one descriptor do so one after the other.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from userstack.drill.calls.context import Attempt, Context, Done, Wait
from userstack.drill.calls.table import prepare
from userstack.drill.compare import Field
from userstack.drill.errors import Mismatch
from userstack.drill.script import Event, SystemCall
from userstack.drill.timing import Timeline, Window
from userstack.drill.values import BadArgument, describe, is_anything


@dataclass(slots=True)
class Sleeping:
    """A call that has not returned."""

    event: Event
    call: SystemCall
    attempt: Attempt
    window: Window | None
    """When it has to return."""
    until: int | None
    """When it wakes up by itself."""


class Process:
    """Makes the calls of a script and judges what they return."""

    __slots__ = ("_context", "_timeline", "sleeping")

    def __init__(self, context: Context, timeline: Timeline) -> None:
        self._context = context
        self._timeline = timeline
        self.sleeping: list[Sleeping] = []

    def begin(self, event: Event, call: SystemCall, window: Window | None) -> None:
        """Make a call; ``window`` is when it may return, where it may sleep.

        Raises:
            Mismatch: it does not return what the script says, or it sleeps where it may not.
            NotSupported: it needs what is not there.
        """
        with _arguments_judged(event, call):
            try:
                attempt = prepare(self._context, call)
                done: Done | OSError = attempt()
            except OSError as error:
                done = error
            except Wait as wait:
                if not call.blocking:
                    raise Mismatch(event.place, f"{call.name} would block", _expected(call), "sleeps") from None
                self.sleeping.append(Sleeping(event, call, attempt, window, wait.until))
                return
            self._judge(event, call, done)
        if call.blocking:
            self._check_time(event, call, window)

    def progress(self) -> None:
        """Try the calls that sleep.

        Raises:
            Mismatch: one of them returned something else than the script says, or at another time.
        """
        for sleeper in list(self.sleeping):
            with _arguments_judged(sleeper.event, sleeper.call):
                try:
                    done: Done | OSError = sleeper.attempt()
                except Wait as wait:
                    sleeper.until = wait.until
                    continue
                except OSError as error:
                    done = error
                self.sleeping.remove(sleeper)
                self._judge(sleeper.event, sleeper.call, done)
            self._check_time(sleeper.event, sleeper.call, sleeper.window)

    def is_awake(self, sleeper: Sleeping) -> bool:
        """The call has returned."""
        return sleeper not in self.sleeping

    def wakes(self) -> int | None:
        """When the first of the sleepers wakes up by itself; None: none does."""
        return min((sleeper.until for sleeper in self.sleeping if sleeper.until is not None), default=None)

    def overdue(self, now: int) -> None:
        """Look for calls that should have returned.

        Raises:
            Mismatch: there is one.
        """
        for sleeper in self.sleeping:
            if sleeper.window is not None and now > sleeper.window.latest:
                text = f"{sleeper.call.name}: expected to return at {self._timeline.text(sleeper.window)}, but it still blocks"
                raise Mismatch(sleeper.event.place, text, _expected(sleeper.call), "blocks")

    def _check_time(self, event: Event, call: SystemCall, window: Window | None) -> None:
        self._timeline.check(window, self._context.system.now, f"return of {call.name}", event.place)

    def _judge(self, event: Event, call: SystemCall, got: Done | OSError) -> None:
        expected = _expected(call)
        if not self._same(call, got):
            raise Mismatch(event.place, f"{call.name}: expected {expected}, got {_returned(got)}", expected, _returned(got))
        different: tuple[Field, ...] = got.differences if isinstance(got, Done) else ()
        if different:
            text = "; ".join(map(str, different))
            wanted, seen = (", ".join(parts) for parts in zip(*((one.expected, one.got) for one in different), strict=True))
            raise Mismatch(event.place, f"{call.name}: {text}", wanted, seen)

    def _same(self, call: SystemCall, got: Done | OSError) -> bool:
        if is_anything(call.result) and call.errno is None:
            return True
        value = -1 if isinstance(got, OSError) else got.value
        if not is_anything(call.result) and self._context.reader.number(call.result) != value:
            return False
        if not isinstance(got, OSError):
            return call.errno is None
        return call.errno is None or getattr(errno, call.errno, None) == got.errno


@contextmanager
def _arguments_judged(event: Event, call: SystemCall) -> Iterator[None]:
    """Arguments and results that make no sense fail the script where they stand."""
    try:
        yield
    except BadArgument as error:
        raise Mismatch(event.place, f"{call.name}: {error}") from None


def _expected(call: SystemCall) -> str:
    return describe(call.result) + (f" {call.errno}" if call.errno else "")


def _returned(got: Done | OSError) -> str:
    if isinstance(got, Done):
        return str(got.value)
    return f"-1 {errno.errorcode.get(got.errno or 0, got.errno)} ({got.strerror})"
