"""Who waits for what. Law: a waiter sleeps until its condition holds, not until something happened that might have made it hold."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class Waiter(asyncio.Future[None]):
    """A place in the line of those who wait for a subject; it is done, and out of the line, when ``ready(whom)`` was found to hold.

    One object is all that waiting takes, for most connections of a server wait for their peer most of the time.
    """

    __slots__ = ("_waiters", "ready", "subject", "whom")

    def __init__(self, waiters: "Waiters", subject: object, ready: Callable[[Any], bool], whom: object) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._waiters = waiters
        self.subject = subject
        self.ready = ready
        self.whom = whom

    def cancel(self, msg: object = None) -> bool:
        """The task that waits was cancelled: it leaves the line."""
        self._waiters.forget(self)
        return super().cancel(msg)


class Waiters:
    """Coroutines that wait for a condition on a subject (a connection, a listener)."""

    __slots__ = ("_by_subject", "failure")

    def __init__(self) -> None:
        self._by_subject: dict[object, tuple[Waiter, ...]] = {}
        """A tuple, because nearly all of them have one: that of a receive."""
        self.failure: Callable[[], OSError] | None = None
        """Makes the error of everybody who would have to wait now; None while waiting has a point."""

    def __len__(self) -> int:
        return sum(len(waiters) for waiters in self._by_subject.values())

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
        self._by_subject[subject] = (*self._by_subject.get(subject, ()), waiter)
        return waiter

    def wake(self, subjects: Iterable[object]) -> list[object]:
        """Let go on whoever waits for one of ``subjects`` and finds its condition met; the subjects of those."""
        woken: list[object] = []
        for subject in subjects:
            for waiter in self._by_subject.get(subject, ()):
                if waiter.ready(waiter.whom):
                    self.forget(waiter)
                    waiter.set_result(None)
                    woken.append(subject)
        return woken

    def fail(self, make_error: Callable[[], OSError]) -> None:
        """Raise an error, one of its own for each, in everybody who waits or would have to."""
        self.failure = make_error
        for subject in list(self._by_subject):
            self.interrupt(subject, make_error)

    def interrupt(self, subject: object, make_error: Callable[[], OSError]) -> None:
        """Raise an error in everybody who waits for ``subject`` now."""
        for waiter in self._by_subject.pop(subject, ()):
            waiter.set_exception(make_error())

    def forget(self, waiter: Waiter) -> None:
        """Take out of the line whoever is in it still."""
        others = tuple(other for other in self._by_subject.get(waiter.subject, ()) if other is not waiter)
        if others:
            self._by_subject[waiter.subject] = others
        else:
            self._by_subject.pop(waiter.subject, None)


def _holds(condition: Callable[[], bool]) -> bool:
    return condition()
