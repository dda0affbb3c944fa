"""Who waits for what. Law: a waiter sleeps until its condition holds, not until something happened that might have made it hold."""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple


class _Waiter(NamedTuple):
    future: asyncio.Future[None]
    ready: Callable[[], bool]


class Waiters:
    """Futures of coroutines that wait for a condition on a subject (a connection, a listener)."""

    __slots__ = ("_by_subject", "failure")

    def __init__(self) -> None:
        self._by_subject: dict[object, tuple[_Waiter, ...]] = {}
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
            if self.failure is not None:
                raise self.failure()
            waiter = _Waiter(asyncio.get_running_loop().create_future(), ready)
            self._by_subject[subject] = (*self._by_subject.get(subject, ()), waiter)
            try:
                await waiter.future
            finally:
                self._forget(subject, waiter)

    def wake(self, subjects: Iterable[object]) -> list[object]:
        """Let go on whoever waits for one of ``subjects`` and finds its condition met; the subjects of those."""
        woken: list[object] = []
        for subject in subjects:
            for future, ready in self._by_subject.get(subject, ()):
                if not future.done() and ready():
                    future.set_result(None)
                    woken.append(subject)
        return woken

    def fail(self, make_error: Callable[[], OSError]) -> None:
        """Raise an error, one of its own for each, in everybody who waits or would have to."""
        self.failure = make_error
        for subject in self._by_subject:
            self.interrupt(subject, make_error)

    def interrupt(self, subject: object, make_error: Callable[[], OSError]) -> None:
        """Raise an error in everybody who waits for ``subject`` now."""
        for waiter in self._by_subject.get(subject, ()):
            if not waiter.future.done():
                waiter.future.set_exception(make_error())

    def _forget(self, subject: object, waiter: _Waiter) -> None:
        others = tuple(other for other in self._by_subject[subject] if other is not waiter)
        if others:
            self._by_subject[subject] = others
        else:
            del self._by_subject[subject]
