"""Packets in close succession keep the loop awake for a while, single ones do not; everything else has its turn meanwhile."""

import asyncio
import time

import pytest

from tests.runtime.test_waiters import in_loop
from userstack.config import SECOND
from userstack.runtime import busy_poll
from userstack.runtime.busy_poll import BusyPoll

LONG = 0.05
"""Seconds: what is close, and how long it is waited then, are these here, so that a busy machine changes nothing."""


@pytest.fixture(autouse=True)
def _long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_poll, "BUSY_POLL", int(LONG * SECOND))
    monkeypatch.setattr(busy_poll, "CLOSE", int(4 * LONG * SECOND))


async def turns_in(seconds: float) -> int:
    """How many turns the loop takes in that time without being asked for any."""
    loop, count = asyncio.get_running_loop(), 0
    selector = loop._selector  # type: ignore[attr-defined]
    select = selector.select

    def counted(timeout: float | None = None) -> object:
        nonlocal count
        count += 1
        return select(timeout)

    selector.select = counted
    try:
        await asyncio.sleep(seconds)
    finally:
        selector.select = select
    return count


@in_loop
async def test_a_single_packet_lets_the_loop_sleep() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    assert await turns_in(LONG / 2) < 10


@in_loop
async def test_packets_in_close_succession_keep_it_awake_for_a_while() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    poll.extend()
    assert await turns_in(LONG / 2) > 100
    await asyncio.sleep(LONG)
    assert await turns_in(LONG) < 10
    await asyncio.sleep(4 * LONG)
    poll.extend()  # a single one again
    assert await turns_in(LONG) < 10


@in_loop
async def test_it_ends_when_it_is_told_to() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    poll.extend()
    poll.stop()
    poll.stop()
    assert await turns_in(LONG / 2) < 10


@in_loop
async def test_whatever_else_is_ready_has_its_turn() -> None:
    poll = BusyPoll(asyncio.get_running_loop())
    poll.extend()
    poll.extend()
    began = time.monotonic()
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert time.monotonic() - began < LONG
