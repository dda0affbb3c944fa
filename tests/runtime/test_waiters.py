"""Who waits goes on at once where the driver says so, in the next turn of the loop otherwise, and hears of its cancellation."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable
from contextlib import closing
from contextvars import ContextVar

import pytest

from userstack.runtime.waiters import Waiters, go_on

WHOM = ContextVar("WHOM", default="nobody")


class Line:
    """Tasks that wait for one subject, whose condition holds as soon as ``open`` is set, and what they did."""

    def __init__(self) -> None:
        self.waiters = Waiters(asyncio.get_running_loop())
        self.open = False
        self.log: list[str] = []

    async def wait(self, name: str, then: Callable[[], None] = lambda: None) -> None:
        WHOM.set(name)
        try:
            await self.waiters.enter(self, Line.is_open, self)
        except BaseException as error:
            self.log.append(f"{WHOM.get()}: {error!r}")
            raise
        self.log.append(WHOM.get())
        then()

    def is_open(self) -> bool:
        return self.open

    def let_go(self) -> None:
        """From a callback of the loop, as the driver does."""
        self.open = True
        go_on(self.waiters.let_go([self]))
        self.log.append("let go")


def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def called_back(callback: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_soon(callback)
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_who_waits_goes_on_at_once_in_its_context() -> None:
    line = Line()
    tasks = [asyncio.create_task(line.wait(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    assert len(line.waiters) == 2
    await called_back(line.let_go)
    assert line.log == ["a", "b", "let go"]
    assert all(task.done() for task in tasks)
    assert len(line.waiters) == 0
    assert WHOM.get() == "nobody"


@pytest.mark.asyncio
async def test_who_is_woken_by_a_call_goes_on_in_the_next_turn() -> None:
    line = Line()
    task = asyncio.create_task(line.wait("a"))
    await asyncio.sleep(0)
    line.waiters.wake([line])
    assert len(line.waiters) == 1  # its condition does not hold
    line.open = True
    line.waiters.wake([line])
    assert line.log == []
    await task
    assert line.log == ["a"]


@pytest.mark.asyncio
async def test_who_is_cancelled_leaves_the_line_and_hears_why() -> None:
    line = Line()
    first, second = (asyncio.create_task(line.wait(name)) for name in ("a", "b"))
    await asyncio.sleep(0)
    first.cancel("enough")
    first.cancel("again")
    assert len(line.waiters) == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    await called_back(line.let_go)
    assert line.log == ["a: CancelledError('enough')", "b", "let go"]
    assert second.done()
    third = asyncio.create_task(line.wait("c"))
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)
    assert line.log[-1] == "c: CancelledError()"


@pytest.mark.asyncio
async def test_who_is_cancelled_by_another_that_goes_on_hears_of_that_and_of_nothing_else() -> None:
    line = Line()
    second: asyncio.Task[None]
    first = asyncio.create_task(line.wait("a", lambda: cancel(second)))
    second = asyncio.create_task(line.wait("b"))
    await asyncio.sleep(0)
    await called_back(line.let_go)
    await asyncio.gather(first, second, return_exceptions=True)
    assert line.log == ["a", "let go", "b: CancelledError()"]
    assert second.cancelled()


@pytest.mark.asyncio
async def test_who_has_been_cancelled_is_not_let_go_by_what_comes_before_it_hears_of_it() -> None:
    line = Line()
    task = asyncio.create_task(line.wait("a"))
    await asyncio.sleep(0)
    task.cancel()
    line.let_go()
    await asyncio.gather(task, return_exceptions=True)
    assert line.log == ["let go", "a: CancelledError()"]


@pytest.mark.asyncio
async def test_what_was_raised_keeps_nothing_alive() -> None:
    line = Line()
    task = asyncio.create_task(line.wait("a"))
    await asyncio.sleep(0)
    task.cancel()
    gc.disable()
    try:
        await asyncio.wait([task])
        trace = weakref.ref(line)
        del line, task
        assert trace() is None
    finally:
        gc.enable()


@pytest.mark.asyncio
async def test_an_error_is_raised_in_everybody_who_waits_and_in_who_would_have_to() -> None:
    line = Line()
    tasks = [asyncio.create_task(line.wait(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    line.waiters.interrupt(line, lambda: OSError("once"))
    await asyncio.gather(*tasks, return_exceptions=True)
    line.waiters.fail(lambda: OSError("for ever"))
    assert len(line.waiters) == 0
    with pytest.raises(OSError, match="for ever"):
        await line.wait("c")
    assert line.log == ["a: OSError('once')", "b: OSError('once')", "c: OSError('for ever')"]


def test_what_ends_the_program_passes_and_leaves_the_others_for_the_next_turn() -> None:
    async def make() -> tuple[Line, asyncio.Task[None], asyncio.Task[None]]:
        line = Line()
        ends, other = asyncio.create_task(line.wait("a", sys.exit)), asyncio.create_task(line.wait("b"))
        await asyncio.sleep(0)
        return line, ends, other

    with closing(asyncio.new_event_loop()) as loop:
        line, ends, other = loop.run_until_complete(make())
        loop.call_soon(line.let_go)
        with pytest.raises(SystemExit):
            loop.run_forever()
        assert line.log == ["a"]
        assert isinstance(ends.exception(), SystemExit)
        loop.run_until_complete(other)
        assert line.log == ["a", "b"]
