"""Back-pressure, and who may be in a call when."""

import asyncio
import errno

import pytest

from tests.support.stacks import connect, read_all, turns, two_connections, two_stacks, two_stacks_and_wire, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import Busy, Impairment, StackConfig

MEGABYTE = bytes(1 << 20)


@virtual_time
async def test_a_sender_waits_for_a_reader_that_does_not_read() -> None:
    config = StackConfig(send_buffer=100_000, receive_buffer=50_000)
    async with two_connections(config=config) as (client, server):
        sending = asyncio.create_task(client.send(MEGABYTE))
        await asyncio.sleep(600)
        assert not sending.done()
        assert client.info().unsent + client.info().unacked <= 100_000
        assert server.info().unread <= 50_000
        reading = asyncio.create_task(read_all(server))
        await sending
        await client.close()
        assert len(await reading) == len(MEGABYTE)
        assert virtual_loop().time() < 601  # the reader tells that there is room; the sender need not find out by probes


@virtual_time
async def test_a_cancelled_send_has_sent_a_part() -> None:
    async with two_connections() as (client, server):
        sending = asyncio.create_task(client.send(MEGABYTE))
        await asyncio.sleep(1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        reading = asyncio.create_task(read_all(server))
        await client.send(b"end")
        await client.close()
        received = await reading
        assert 0 < len(received) < len(MEGABYTE)
        assert received.endswith(b"end")


@virtual_time
async def test_a_sender_that_waits_is_told_when_the_peer_resets() -> None:
    async with two_connections() as (client, server):
        sending = asyncio.create_task(client.send(MEGABYTE))
        await asyncio.sleep(1)
        server.abort()
        with pytest.raises(ConnectionResetError):
            await sending


@virtual_time
async def test_one_task_at_a_time_in_each_direction() -> None:
    async with two_connections() as (client, server):
        receiving = asyncio.create_task(client.recv())
        sending = asyncio.create_task(client.send(MEGABYTE))
        await asyncio.sleep(1)
        for call in (client.recv(), client.recv_into(bytearray(1)), client.send(b"x")):
            with pytest.raises(Busy) as caught:
                await call
            assert caught.value.errno == errno.EALREADY
        await server.send(b"for the first")
        assert await receiving == b"for the first"
        reading = asyncio.create_task(read_all(server))
        await sending
        await client.close()
        assert await reading == MEGABYTE


@virtual_time
async def test_a_cancelled_recv_loses_no_byte() -> None:
    async with two_connections() as (client, server):
        for number in range(20):
            receiving = asyncio.create_task(client.recv())
            await turns(number)
            await server.send(bytes([number]))
            await turns(number)
            receiving.cancel()
            try:
                assert await receiving == bytes([number])
            except asyncio.CancelledError:
                assert await client.recv() == bytes([number])


@virtual_time
async def test_a_device_that_is_always_full_delays_and_loses_nothing() -> None:
    async with two_stacks_and_wire(queue=4096) as (first, second, _):
        client, server = await connect(first, second)
        sending = asyncio.create_task(client.send(MEGABYTE))
        received = 0
        while received < len(MEGABYTE):
            received += len(await server.recv())
        await sending
        assert first.counters["TcpRetransSegs"] == second.counters["TcpRetransSegs"] == 0


@virtual_time
async def test_a_bad_link_delivers_the_same_bytes() -> None:
    bad = Impairment(loss=0.05, duplicate=0.05, reorder=0.1, corrupt=0.02, delay=10_000_000, seed=7)
    pattern = bytes(range(256)) * 1000
    async with two_stacks(impairment=bad) as (first, second):
        client, server = await connect(first, second)

        async def talk() -> None:
            await client.send(pattern)
            await client.close()

        talking = asyncio.create_task(talk())
        assert await read_all(server) == pattern
        await talking
        assert first.counters["TcpRetransSegs"] > 0
