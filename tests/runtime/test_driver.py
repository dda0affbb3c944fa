"""The pump: order, batches, back-pressure of the device, the one timer, and what happens when something breaks."""

import asyncio
import errno
import gc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, cast

import pytest

from tests.support.driven import Scene, ScriptedDevice, ScriptedHost
from tests.support.stacks import turns, two_connections, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack.api import connection as api
from userstack.config import MILLISECOND, SECOND
from userstack.errors import CallerError, NetworkError
from userstack.packetio.memory import memory_pair
from userstack.runtime.clock import MonotonicClock
from userstack.runtime.driver import Driver
from userstack.tcp.connection import Connection


@contextmanager
def scene(now: Callable[[], int] | None = None) -> Iterator[Scene]:
    with ScriptedDevice([]) as device:
        made = Scene(device, now)
        yield made
        made.driver.stop()


def never() -> bool:
    return False


@pytest.mark.requirement("MUST-59")
@virtual_time
@pytest.mark.requirement("MUST-58")
async def test_a_batch_is_taken_in_before_anything_is_sent() -> None:
    with scene() as it:
        it.host.leaving.extend([b"one", b"two"])
        it.device.arrive(*(str(number).encode() for number in range(20)))
        await turns()
        assert it.log == [
            *(f"deliver {number}" for number in range(16)), "write one", "write two", "transmit done",
            *(f"deliver {number}" for number in range(16, 20)), "read nothing", "transmit done",
        ]  # fmt: skip


@virtual_time
async def test_more_are_taken_in_where_they_are_taken_as_one() -> None:
    with scene() as it:
        it.host.leaving.append(b"one")
        it.device.arrive(*(f"held {number}".encode() for number in range(140)))
        await turns()
        assert it.log == [
            *(f"deliver held {number}" for number in range(128)), "write one", "transmit done",
            *(f"deliver held {number}" for number in range(128, 140)), "read nothing", "transmit done",
        ]  # fmt: skip


@virtual_time
async def test_many_calls_in_one_turn_make_one_pass() -> None:
    with scene() as it:
        for number in range(3):
            it.host.leaving.append(str(number).encode())
            it.driver.flush()
        await turns()
        assert it.log == ["write 0", "write 1", "write 2", "transmit done"]


@virtual_time
async def test_who_waits_for_text_reads_and_answers_in_the_turn_in_which_it_comes() -> None:
    async with two_connections() as (client, server):
        answering = asyncio.create_task(answer(server))
        await turns()
        asking = asyncio.create_task(ask(client))
        assert await turns_of(asking) == 5  # it asks, the question goes out, the answer does, it is read, and that is seen here
        assert asking.result() == b"answer"
        await answering


async def turns_of(task: asyncio.Task[Any]) -> int:
    """How many turns of the loop it takes."""
    count = 0
    while not task.done():
        await asyncio.sleep(0)
        count += 1
    return count


async def ask(connection: api.Connection) -> bytes:
    await connection.send(b"question")
    return await connection.recv()


async def answer(connection: api.Connection) -> None:
    assert await connection.recv() == b"question"
    await connection.send(b"answer")


@virtual_time
async def test_a_long_burst_gives_way_to_what_arrives() -> None:
    with scene() as it:
        it.host.leaving.extend(str(number).encode() for number in range(1000))
        it.driver.flush()
        it.device.arrive(b"in")
        await turns()
        assert it.log.index("deliver in") < it.log.index("write 999")
        assert [line for line in it.log if line.startswith("write")] == [f"write {number}" for number in range(1000)]


@virtual_time
async def test_a_full_device_keeps_the_packet_and_stops_generation() -> None:
    with scene() as it:
        it.host.leaving.extend([b"one", b"two"])
        it.device.refusals = 3
        it.driver.flush()
        await asyncio.sleep(0)
        it.driver.flush()
        it.device.arrive(b"in")
        await turns()
        assert it.log.count("full") == 3
        assert [line for line in it.log if line.startswith("write")] == ["write one", "write two"]
        before_taken = it.log[: it.log.index("write one")]
        assert "deliver in" in before_taken
        assert "transmit done" not in before_taken
        quiet = len(it.log)
        await turns()
        assert len(it.log) == quiet  # nobody watches for room any more


@virtual_time
async def test_one_timer_serves_the_nearest_deadline_exactly() -> None:
    with scene() as it:
        it.host.deadline = 5 * SECOND
        it.driver.flush()
        await turns()
        it.host.deadline = 2 * SECOND + 1
        it.driver.flush()
        await turns()
        assert len(virtual_loop().armed()) == 1
        await asyncio.sleep(10)
        assert [line for line in it.log if line.startswith("advance")] == [f"advance {2 * SECOND + 1}"]


@virtual_time
async def test_a_deadline_that_moved_away_is_met_where_it_went() -> None:
    with scene() as it:
        it.host.deadline = 1 * SECOND
        it.driver.flush()
        await turns()
        it.host.deadline = 3 * SECOND
        it.driver.flush()
        await turns()
        assert [handle.when() for handle in virtual_loop().armed()] == [1]  # left where it stands: moving it is dearer than a visit
        await asyncio.sleep(10)
        assert it.log[-3:] == [f"advance {3 * SECOND}", "read nothing", "transmit done"]


@virtual_time
async def test_a_loop_that_calls_early_is_asked_again() -> None:
    # The stack's clock is behind the loop's: every timer comes too early for it, and the deadline must not be missed.
    with scene(lambda: virtual_loop().clock.nanoseconds * 9 // 10) as it:
        it.host.deadline = 1 * SECOND
        it.driver.flush()
        await asyncio.sleep(10)
        assert it.log.count(f"advance {1 * SECOND}") == 1
        assert len(it.log) < 60  # and it did not spin


@virtual_time
async def test_a_device_with_deadlines_is_read_then() -> None:
    with scene() as it:
        it.device.arriving.append(b"delayed")  # without the descriptor showing it
        it.device.deadline = 20 * MILLISECOND
        it.driver.flush()
        await asyncio.sleep(0.019)
        assert "deliver delayed" not in it.log
        it.device.deadline = None
        await asyncio.sleep(0.002)
        assert "deliver delayed" in it.log


@virtual_time
async def test_who_waits_sleeps_until_the_condition_holds() -> None:
    with scene() as it:
        asked: list[int] = []
        open_from = 3

        def ready() -> bool:
            asked.append(len(asked))
            return len(asked) > open_from

        waiting = asyncio.create_task(it.driver.until(it.subject, ready))
        await turns()
        it.driver.touch(cast("Connection", object()))
        await turns()
        assert len(asked) == 1
        for _ in range(2):
            it.driver.touch(cast("Connection", it.subject))
            await turns()
        assert not waiting.done()
        before = len(asked)
        it.driver.wake(it.subject)
        assert len(asked) == before + 1  # asked where it is woken, not by a task that is woken in vain
        await waiting


@virtual_time
async def test_a_cancelled_wait_leaves_no_trace() -> None:
    with scene() as it:
        waiting = asyncio.create_task(it.driver.until(it.subject, never))
        await turns()
        assert it.driver.waiting == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert it.driver.waiting == 0


@virtual_time
@pytest.mark.parametrize("leaves", [0, 1, 2])
async def test_who_leaves_a_line_leaves_the_others_in_it(leaves: int) -> None:
    with scene() as it:
        open_now: list[bool] = []
        waiting = [asyncio.create_task(it.driver.until(it.subject, lambda: bool(open_now))) for _ in range(3)]
        await turns()
        waiting[leaves].cancel()
        await turns()
        assert it.driver.waiting == 2
        last = asyncio.create_task(it.driver.until(it.subject, lambda: bool(open_now)))
        await turns()
        open_now.append(True)
        it.driver.wake(it.subject)
        assert it.driver.waiting == 0
        await turns()
        assert [task.cancelled() for task in waiting] == [number == leaves for number in range(3)]
        await last


@virtual_time
async def test_a_condition_that_holds_no_more_when_the_waiter_goes_on_is_waited_for_again() -> None:
    with scene() as it:
        holds = [True]
        waiting = asyncio.create_task(it.driver.until(it.subject, lambda: bool(holds)))
        holds.clear()
        await turns()
        holds.append(True)
        it.driver.wake(it.subject)
        holds.clear()
        await turns()
        assert it.driver.waiting == 1
        holds.append(True)
        it.driver.wake(it.subject)
        await waiting


@virtual_time
@pytest.mark.parametrize("where", ["read", "write", "write later"])
async def test_a_device_that_is_gone_is_told_to_everybody_once(where: str) -> None:
    with scene() as it:
        waiting = [asyncio.create_task(it.driver.until(it.subject, never)) for _ in range(2)]
        it.host.deadline = 5 * SECOND
        it.host.leaving.append(b"packet")
        if where == "write later":
            it.device.refusals = 1
            it.driver.flush()
            await asyncio.sleep(0)
        gone = OSError(errno.ENODEV, "No such device")
        if where == "read":
            it.device.fail(gone)
        else:
            it.device.failure = gone
            it.driver.flush()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        for result in results:
            assert isinstance(result, NetworkError)
            assert result.errno == errno.ENODEV
            assert "the device scripted is gone: No such device" in str(result)
        assert results[0] is not results[1]
        with pytest.raises(NetworkError):
            await it.driver.until(it.subject, never)
        await it.driver.until(it.subject, lambda: True)  # what is there already can still be had
        with pytest.raises(NetworkError):
            it.driver.check()
        assert not it.driver.running
        it.driver.flush()
        assert virtual_loop().armed() == []


@virtual_time
async def test_stop_does_not_wait_for_a_full_device() -> None:
    with scene() as it:
        it.host.leaving.append(b"never")
        it.device.refusals = 1_000_000
        it.driver.flush()
        await asyncio.sleep(0)
        it.driver.stop()
        assert "write never" not in it.log


@virtual_time
@pytest.mark.parametrize("call", ["deliver", "poll_transmit", "advance"])
async def test_a_bug_of_ours_is_told_and_counted_and_the_rest_goes_on(call: str) -> None:
    told: list[dict[str, Any]] = []
    virtual_loop().set_exception_handler(lambda _, context: told.append(context))
    with scene() as it:
        bug = ZeroDivisionError("ours")
        it.host.bugs[call] = bug
        it.host.deadline = 1 * SECOND
        it.device.arrive(b"first", b"second")
        await asyncio.sleep(2)
        it.host.leaving.append(b"out")
        it.driver.flush()
        await turns()
        assert [context["exception"] for context in told] == [bug]
        assert told[0]["message"].startswith("userstack: a bug while ")
        assert it.host.counters["UserstackBugs"] == 1
        assert "deliver second" in it.log
        assert "write out" in it.log


@virtual_time
async def test_a_packet_that_cannot_be_built_does_not_hold_up_the_next() -> None:
    told: list[dict[str, Any]] = []
    virtual_loop().set_exception_handler(lambda _, context: told.append(context))
    with scene() as it:
        it.host.bugs["poll_transmit"] = ZeroDivisionError("ours")
        it.host.leaving.append(b"next")
        it.driver.flush()
        await turns()
        assert it.log == ["write next", "transmit done"]
    assert len(told) == 1


@virtual_time
async def test_a_bug_that_stays_keeps_neither_the_loop_nor_stop() -> None:
    told: list[dict[str, Any]] = []
    virtual_loop().set_exception_handler(lambda _, context: told.append(context))
    with scene() as it:
        it.host.lasting = ZeroDivisionError("ours")
        it.driver.flush()
        await turns()
        before = len(told)
        assert before > 0
        await turns()
        assert len(told) == before
        it.driver.stop()
        assert not it.driver.running


@virtual_time
async def test_a_device_has_one_driver_until_its_end() -> None:
    with scene() as it:
        with pytest.raises(CallerError, match="scripted serves a stack already") as caught:
            Scene(it.device)
        assert caught.value.errno == errno.EBUSY
        it.device.arrive(b"still read")
        await turns()
        assert "deliver still read" in it.log
        it.driver.stop()
        again = Scene(it.device)
        it.driver.stop()
        it.device.arrive(b"by the other")
        await turns()
        assert "deliver by the other" in it.log
        again.driver.stop()


def test_a_device_is_free_again_when_the_loop_of_its_driver_is_closed() -> None:
    log: list[str] = []

    async def drive() -> None:
        Driver(ScriptedHost(log), device, MonotonicClock())  # and nobody stops it

    gc.disable()  # nothing of it need have been freed
    try:
        with ScriptedDevice(log) as device:
            asyncio.run(drive())
            asyncio.run(drive())
    finally:
        gc.enable()


@virtual_time
async def test_what_a_device_raises_leaves_nobody_asleep() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with BrokenDevice([]) as device:
        it = Scene(device)
        it.host.leaving.append(b"out")
        waiting = asyncio.create_task(it.driver.until(it.subject, lambda: bool(it.host.log)))
        await turns()
        it.host.changed.add(it.subject)
        device.arrive(b"in")
        await turns()
        assert waiting.done()
        assert [str(context["exception"]) for context in told] == ["broken"]
        it.driver.stop()


class BrokenDevice(ScriptedDevice):
    def write(self, packet: bytes) -> bool:
        raise ValueError("broken")


@virtual_time
async def test_a_descriptor_whose_device_was_closed_is_anybodys_again() -> None:
    log: list[str] = []
    clock = virtual_loop().clock
    one, other = memory_pair()
    stale = Driver(ScriptedHost([]), one, clock)
    number = one.fileno()
    one.close()
    fresh, far = memory_pair()
    with closing(other), closing(fresh), closing(far):
        assert fresh.fileno() == number
        driver = Driver(ScriptedHost(log), fresh, clock)
        with pytest.raises(NetworkError, match="closed while a stack ran on it"):
            stale.check()
        stale.stop()
        far.write(b"in")
        await turns()
        assert "deliver in" in log
        driver.stop()


@virtual_time
async def test_stop_sends_what_is_owed_and_leaves_nothing() -> None:
    with scene() as it:
        it.host.deadline = 5 * SECOND
        waiting = asyncio.create_task(it.driver.until(it.subject, never))
        await turns()
        it.driver.flush()
        it.host.leaving.extend(str(number).encode() for number in range(1000))
        it.driver.stop()
        it.driver.stop()
        assert "write 999" in it.log
        with pytest.raises(ConnectionAbortedError):
            await waiting
        assert virtual_loop().armed() == []
        assert virtual_loop().watched == set()
        quiet = len(it.log)
        it.device.arrive(b"ignored")
        await asyncio.sleep(10)
        assert len(it.log) == quiet
