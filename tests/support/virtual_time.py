"""An asyncio loop whose clock stands still while anything can run, and jumps to the next timer when nothing can.

A test under ``@virtual_time`` lives through a day in a millisecond, sleeps nowhere, and fails at once where a real loop would
hang: nothing can run, and no timer would ever change that. It fails as well where it leaves a task, a timer, a reader or a
descriptor behind.
"""

import asyncio
import functools
import os
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from pathlib import Path
from typing import Any, TypeVarTuple, Unpack

Ts = TypeVarTuple("Ts")
NANOSECONDS = 1_000_000_000
LIFETIME = 7 * 24 * 3600
"""Seconds; a test that is not over then waits for what will not come, however busy its timers are."""


class VirtualClock:
    """The stack's clock: the loop's time, in whole nanoseconds."""

    def __init__(self) -> None:
        self.nanoseconds = 0

    def now(self) -> int:
        return self.nanoseconds


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what would be a wait moves the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            raise RuntimeError("the test hangs: no packet is on its way, and no timer is armed")
        self._clock.nanoseconds += max(1, round(timeout * NANOSECONDS))
        if self._clock.nanoseconds > LIFETIME * NANOSECONDS:
            raise RuntimeError("the test hangs: timers fire, and nothing comes of it")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop; ``clock`` is its time, and ``armed()`` and ``watched`` say what it would still have to do."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.watched: set[int] = set()
        self._calls: list[asyncio.TimerHandle] = []
        super().__init__(_JumpingSelector(self.clock))

    def time(self) -> float:
        return self.clock.nanoseconds / NANOSECONDS

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        self._calls.append(handle)
        return handle

    def armed(self) -> list[asyncio.TimerHandle]:
        """The timers that are still to come."""
        self._calls = [handle for handle in self._calls if not handle.cancelled() and handle.when() > self.time()]
        return self._calls

    def add_reader(self, fd: Any, callback: Callable[[Unpack[Ts]], Any], *args: *Ts) -> None:
        super().add_reader(fd, callback, *args)
        self.watched.add(fd)

    def remove_reader(self, fd: Any) -> bool:
        self.watched.discard(fd)
        return super().remove_reader(fd)


def descriptors() -> set[str]:
    """The file descriptors of this process that are open."""
    return {name for name in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{name}").exists()}  # noqa: PTH208


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a ``VirtualLoop``, and hold it to leaving nothing behind."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_virtual(test(*args, **kwargs))

    return run


def run_virtual(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on a ``VirtualLoop`` and check what it left."""
    before = descriptors()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        failures: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: failures.append(context))
        runner.run(_held_to_account(main, loop))
        assert failures == []
    assert descriptors() - before == set()


async def _held_to_account(main: Coroutine[Any, Any, None], loop: VirtualLoop) -> None:
    await main
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert loop.armed() == []
    assert loop.watched == set()
