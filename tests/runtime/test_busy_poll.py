"""Packets in close succession keep the loop awake for a while, single ones do not; everything else has its turn meanwhile."""

import asyncio

import pytest

from userstack.config import SECOND
from userstack.runtime import busy_poll
from userstack.runtime.busy_poll import BUSY_POLL, CLOSE, BusyPoll


class StoppedClock:
    """Time goes on where a test says so."""

    time = 100 * SECOND

    @classmethod
    def now(cls) -> int:
        return cls.time


@pytest.fixture(autouse=True)
def _stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_poll, "MonotonicClock", StoppedClock)


async def sleeps() -> bool:
    """Whether the loop sleeps where nothing happens for a millisecond."""
    selector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]
    select, timeouts = selector.select, []

    def noted(timeout: float | None = None) -> object:
        timeouts.append(timeout)
        return select(timeout)

    selector.select = noted
    try:
        await asyncio.sleep(0.001)
    finally:
        selector.select = select
    return any(timeouts)


@pytest.mark.asyncio
async def test_a_single_packet_lets_the_loop_sleep() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    assert await sleeps()
    StoppedClock.time += CLOSE
    poll.extend()
    assert await sleeps()


@pytest.mark.asyncio
async def test_packets_in_close_succession_keep_it_awake_for_a_while() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    StoppedClock.time += CLOSE - 1
    poll.extend()
    assert not await sleeps()
    StoppedClock.time += BUSY_POLL - 1
    assert not await sleeps()
    poll.extend()
    StoppedClock.time += BUSY_POLL - 1
    assert not await sleeps()
    StoppedClock.time += 1
    assert await sleeps()


@pytest.mark.asyncio
async def test_it_ends_when_it_is_told_to() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    poll.extend()
    poll.stop()
    poll.stop()
    assert await sleeps()


@pytest.mark.asyncio
async def test_whatever_else_is_ready_has_its_turn() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    poll.extend()
    turns: list[int] = []
    for turn in range(5):
        asyncio.get_running_loop().call_soon(turns.append, turn)
        await asyncio.sleep(0)
    assert turns == [*range(5)]
    poll.stop()
