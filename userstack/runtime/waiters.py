"""Who waits for what. Law: a waiter sleeps until its condition holds, not until something happened that might have made it hold."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class Waiter:
    """A place in the line of those who wait for a subject; it is done, and out of the line, when ``ready(whom)`` was found to hold.

    To a task it is one of asyncio's futures, by the attribute that ``asyncio.isfuture`` speaks of. Unlike theirs it can have the
    task go on at once: the loop's next turn would take half as long again as a segment's way through the stack. One object is all
    that waiting takes, for most connections of a server wait for their peer most of the time.
    """

    __slots__ = (
        "_asyncio_future_blocking", "_context", "_done", "_error", "_step", "_waiters", "behind", "ready", "subject", "whom",
    )  # fmt: skip

    def __init__(self, waiters: "Waiters", subject: object, ready: Callable[[Any], bool], whom: object) -> None:
        self._waiters = waiters
        self.subject = subject
        self.ready = ready
        self.whom = whom
        self.behind: Waiter | None = None
        """The next in the line; nearly all are alone in it."""
        self._asyncio_future_blocking = False
        self._step: Callable[[Waiter], object] | None = None
        """Has the task go on, in ``_context``."""
        self._context: Context | None = None
        self._done = False
        self._error: BaseException | None = None

    def go_on(self) -> None:
        """Have the task go on now, up to where it waits next. Not for callers that run in a task themselves.

        Raises:
            KeyboardInterrupt, SystemExit: by the task, which lets everything else be found in its result.
        """
        if not self._done:  # by a task that went on before
            self._done = True
            if self._step is not None and self._context is not None:
                self._context.run(self._step, self)

    def go_on_soon(self, error: BaseException | None = None) -> None:
        """Have the task go on in the loop's next turn, and raise ``error`` there."""
        if not self._done:
            self._done = True
            self._error = error
            if self._step is not None:
                self._waiters.loop.call_soon(self._step, self, context=self._context)

    # --- what a task asks of a future ---

    def __await__(self) -> Any:  # noqa: ANN401 # an iterator is all it takes, and itself is one less to keep than a generator
        return self

    def __next__(self) -> "Waiter":
        if self._done:
            raise StopIteration
        self._asyncio_future_blocking = True
        return self

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which the task has to run."""
        return self._waiters.loop

    def add_done_callback(self, step: "Callable[[Waiter], object]", *, context: Context | None = None) -> None:
        """Keep what the task goes on by; a task that waits calls this once."""
        self._step = step
        self._context = context

    def result(self) -> None:
        """Raise in the task what there is to raise."""
        error, self._error, self._step = self._error, None, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # by this frame and its traceback it would keep itself alive, as by the task above

    def cancel(self, msg: object = None) -> bool:
        """The task that waits was cancelled: it leaves the line. False: it goes on already."""
        if self._done:
            return False
        self._waiters.forget(self)
        self.go_on_soon(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))
        return True


class Waiters:
    """Coroutines that wait for a condition on a subject (a connection, a listener)."""

    __slots__ = ("_by_subject", "failure", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._by_subject: dict[object, Waiter] = {}
        """The first of each line."""
        self.failure: Callable[[], OSError] | None = None
        """Makes the error of everybody who would have to wait now; None while waiting has a point."""

    def __len__(self) -> int:
        return sum(sum(1 for _ in _line(first)) for first in self._by_subject.values())

    async def until(self, subject: object, ready: Callable[[], bool]) -> None:
        """Wait until ``ready()``; it is asked again whenever ``subject`` is woken, and by the waiter itself before it goes on.

        Raises:
            OSError: it was not ready when ``fail`` was called, or later.
        """
        while not ready():
            await self.enter(subject, _holds, ready)

    def enter(self, subject: object, ready: Callable[[T], bool], whom: T) -> Waiter:
        """What ``until`` awaits as often as it has to. Whoever has to be frugal does that itself, and saves a frame.

        ``ready`` is asked about ``whom``: a method and its object apart take no more memory, together they do.

        Raises:
            OSError: as ``until``.
        """
        if self.failure is not None:
            raise self.failure()
        waiter = Waiter(self, subject, ready, whom)
        first = self._by_subject.setdefault(subject, waiter)
        if first is not waiter:
            *_, last = _line(first)
            last.behind = waiter
        return waiter

    def let_go(self, subjects: Iterable[object]) -> list[Waiter]:
        """Those who wait for one of ``subjects`` and find their condition met; they are out of the line, and wait to go on."""
        free: list[Waiter] = []
        for subject in subjects:
            waiter = self._by_subject.get(subject)
            while waiter is not None:
                if waiter.ready(waiter.whom):
                    self.forget(waiter)
                    free.append(waiter)
                waiter = waiter.behind
        return free

    def wake(self, subjects: Iterable[object]) -> None:
        """Have them go on in the loop's next turn."""
        for waiter in self.let_go(subjects):
            waiter.go_on_soon()

    def fail(self, make_error: Callable[[], OSError]) -> None:
        """Raise an error, one of its own for each, in everybody who waits or would have to."""
        self.failure = make_error
        for subject in list(self._by_subject):
            self.interrupt(subject, make_error)

    def interrupt(self, subject: object, make_error: Callable[[], OSError]) -> None:
        """Raise an error in everybody who waits for ``subject`` now."""
        for waiter in _line(self._by_subject.pop(subject, None)):
            waiter.go_on_soon(make_error())

    def forget(self, waiter: Waiter) -> None:
        """Take out of the line whoever is in it still."""
        first = self._by_subject.get(waiter.subject)
        if first is not waiter:
            for before in _line(first):
                if before.behind is waiter:
                    before.behind = waiter.behind
        elif waiter.behind is not None:
            self._by_subject[waiter.subject] = waiter.behind
        else:
            del self._by_subject[waiter.subject]


def go_on(waiters: Iterable[Waiter]) -> None:
    """Have the tasks of ``waiters`` go on now, one after the other; those behind one that ends the program do in the next turn.

    Raises:
        KeyboardInterrupt, SystemExit: as ``Waiter.go_on``.
    """
    left = iter(waiters)
    try:
        for waiter in left:
            waiter.go_on()
    finally:
        for waiter in left:
            waiter.go_on_soon()


def _line(first: Waiter | None) -> Iterator[Waiter]:
    while first is not None:
        yield first
        first = first.behind


def _holds(condition: Callable[[], bool]) -> bool:
    return condition()
