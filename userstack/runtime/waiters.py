"""Who waits for what. Law: a waiter sleeps until its condition holds, not until something happened that might have made it hold."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Waiter(asyncio.Future[None]):
    """A place in the line of those who wait for a subject; it is done, and out of the line, when ``ready(whom)`` was found to hold.

    One object is all that waiting takes, for most connections of a server wait for their peer most of the time.
    """

    __slots__ = ("_waiters", "behind", "ready", "subject", "whom")

    def __init__(self, waiters: "Waiters", subject: object, ready: Callable[[Any], bool], whom: object) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._waiters = waiters
        self.subject = subject
        self.ready = ready
        self.whom = whom
        self.behind: Waiter | None = None
        """The next in the line; nearly all are alone in it."""

    def cancel(self, msg: object = None) -> bool:
        """The task that waits was cancelled: it leaves the line."""
        self._waiters.forget(self)
        return super().cancel(msg)


class Waiters:
    """Coroutines that wait for a condition on a subject (a connection, a listener)."""

    __slots__ = ("_by_subject", "failure")

    def __init__(self) -> None:
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

    def wake(self, subjects: Iterable[object]) -> list[object]:
        """Let go on whoever waits for one of ``subjects`` and finds its condition met; the subjects of those."""
        woken: list[object] = []
        for subject in subjects:
            waiter = self._by_subject.get(subject)
            while waiter is not None:
                if waiter.ready(waiter.whom):
                    self.forget(waiter)
                    waiter.set_result(None)
                    woken.append(subject)
                waiter = waiter.behind
        return woken

    def fail(self, make_error: Callable[[], OSError]) -> None:
        """Raise an error, one of its own for each, in everybody who waits or would have to."""
        self.failure = make_error
        for subject in list(self._by_subject):
            self.interrupt(subject, make_error)

    def interrupt(self, subject: object, make_error: Callable[[], OSError]) -> None:
        """Raise an error in everybody who waits for ``subject`` now."""
        for waiter in _line(self._by_subject.pop(subject, None)):
            waiter.set_exception(make_error())

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


def _line(first: Waiter | None) -> Iterator[Waiter]:
    while first is not None:
        yield first
        first = first.behind


def _holds(condition: Callable[[], bool]) -> bool:
    return condition()
