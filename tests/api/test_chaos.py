"""Cancellations at any moment, in any call, on a bad link: nothing hangs, nothing is left, and no byte is wrong."""

import asyncio
from contextlib import suppress
from random import Random

import pytest

from tests.support.stacks import SECOND, two_stacks
from tests.support.virtual_time import virtual_time
from userstack import Connection, Impairment, Listener, Stack, StackConfig

PATTERN = bytes(range(256)) * 64


async def serve(connection: Connection, random: Random) -> None:
    async with connection:
        if random.random() < 0.1:
            connection.abort()
        received = 0
        with suppress(OSError):
            while data := await connection.recv(random.randrange(1, 5000)):
                assert data == PATTERN[received : received + len(data)]
                received += len(data)
                await connection.send(data)


async def accept_all(listener: Listener, group: asyncio.TaskGroup, random: Random) -> None:
    async for connection in listener:
        group.create_task(serve(connection, random))


async def visit(stack: Stack, random: Random) -> None:
    with suppress(OSError):
        async with await stack.connect(SECOND, 80) as connection, asyncio.TaskGroup() as group:
            group.create_task(say(connection))
            await hear(connection, random)


async def hear(connection: Connection, random: Random) -> None:
    received = 0
    with suppress(OSError):
        while data := await connection.recv(random.randrange(1, 5000)):
            assert data == PATTERN[received : received + len(data)]
            received += len(data)


async def say(connection: Connection) -> None:
    with suppress(OSError):
        await connection.send(PATTERN)
        await connection.shutdown()


@virtual_time
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_cancelled_whenever_nothing_is_left(seed: int) -> None:
    random = Random(seed)
    bad = Impairment(loss=0.03, duplicate=0.02, reorder=0.05, delay=5_000_000, jitter=2_000_000, seed=seed)
    # Without SYN cookies: a late copy of the ACK that brings one makes a connection whose peer has gone, and nothing ends it.
    config = StackConfig(msl=1_000_000_000, fin_timeout=5_000_000_000, r2=20_000_000_000, syncookies=0)
    async with two_stacks(impairment=bad, config=config) as (first, second):
        listener = await second.listen(80, backlog=3)
        async with asyncio.TaskGroup() as group:
            group.create_task(accept_all(listener, group, random))
            visits = []
            for _ in range(40):
                visits.append(asyncio.create_task(visit(first, random)))
                await asyncio.sleep(random.choice((0, 0, 0.001, 0.01, 0.1)))
                if random.random() < 0.5:
                    random.choice(visits).cancel()
            results = await asyncio.gather(*visits, return_exceptions=True)
            await listener.close()
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
        assert None in results
        await asyncio.sleep(60)
        assert first.connections() == []
        assert second.connections() == []
