"""Urgent data as programs on the event loop see it: announced, in line, and out of band where they ask for it."""

import asyncio
import errno
import socket

import pytest

from tests.support.stacks import read_all, turns, two_connections
from tests.support.virtual_time import virtual_time
from userstack import Busy, ClosedHandle, Connection, StackConfig

INLINE = (socket.SOL_SOCKET, socket.SO_OOBINLINE)


async def read_urgent(connection: Connection) -> bytes:
    """All of the urgent data that is known of."""
    got = b""
    while remaining := connection.urgent_remaining:
        got += await connection.recv(remaining)
    return got


@pytest.mark.requirement("MUST-30")
@pytest.mark.requirement("MUST-32")
@pytest.mark.requirement("MUST-33")
@virtual_time
async def test_who_waits_is_told_of_urgent_data_and_how_much_there_is() -> None:
    async with two_connections() as (client, server):
        waiting = asyncio.create_task(server.wait_urgent())
        await client.send(b"ordinary ")
        await turns()
        assert not waiting.done()
        await client.send(b"interrupt", urgent=True)
        await client.send(b" more")
        assert await waiting == 18
        assert await read_urgent(server) == b"ordinary interrupt"
        assert server.urgent_remaining == 0
        assert await server.recv() == b" more"


@pytest.mark.requirement("MUST-32")
@virtual_time
async def test_every_advance_is_told_once() -> None:
    async with two_connections() as (client, server):
        await client.send(b"ab", urgent=True)
        assert await server.wait_urgent() == 2
        waiting = asyncio.create_task(server.wait_urgent())
        await turns()
        assert not waiting.done()
        await client.send(b"cd", urgent=True)
        assert await waiting == 4
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await server.wait_urgent()
        await client.send(b"ef", urgent=True)
        assert await server.wait_urgent() == 6
        assert await read_urgent(server) == b"abcdef"


@pytest.mark.requirement("MUST-31")
@pytest.mark.requirement("MUST-66")
@virtual_time
async def test_urgent_data_of_any_length_gets_through_a_window_that_was_shut() -> None:
    config = StackConfig(send_buffer=400_000, receive_buffer=20_000)
    async with two_connections(config=config) as (client, server):
        await client.send(bytes(100_000))
        await asyncio.sleep(5)
        assert server.info().rcv_wnd == 0
        sending = asyncio.create_task(client.send(bytes(300_000), urgent=True))
        assert await server.wait_urgent() == 20_000 + 65_535  # the window is still shut, and says so with each probe
        assert server.info().rcv_wnd == 0
        got = len(await server.recv(20_000))
        while remaining := server.urgent_remaining:
            got += len(await server.recv(remaining))
        await sending
        assert got == 400_000


@virtual_time
async def test_nobody_waits_for_urgent_data_that_cannot_come() -> None:
    async with two_connections() as (client, server):
        waiting = asyncio.create_task(server.wait_urgent())
        await client.send(b"ab", urgent=True)
        await client.shutdown()
        assert await waiting == 2
        assert await server.wait_urgent() == 2, "no more will come"
        assert await read_all(server) == b"ab"
        assert await server.wait_urgent() == 0
        waiting = asyncio.create_task(client.wait_urgent())
        await turns()
        with pytest.raises(Busy):
            await client.wait_urgent()
        await client.close()
        with pytest.raises(ClosedHandle):
            await waiting
        for call in (client.recv_urgent, client.sockatmark):
            with pytest.raises(ClosedHandle):
                call()


@virtual_time
async def test_urgent_data_is_in_line_and_reading_stops_at_its_last_byte() -> None:
    async with two_connections() as (client, server):
        assert server.getsockopt(*INLINE) == 1
        await client.send(b"abC", urgent=True)
        await client.send(b"de")
        assert await server.recv() == b"ab"
        assert server.sockatmark()
        with pytest.raises(OSError, match="no urgent octet") as caught:
            server.recv_urgent()
        assert caught.value.errno == errno.EINVAL
        await turns()
        assert await server.recv() == b"Cde"
        assert not server.sockatmark()


@virtual_time
async def test_out_of_band_as_the_kernels_sockets_begin() -> None:
    async with two_connections() as (client, server):
        server.setsockopt(*INLINE, 0)
        assert server.getsockopt(*INLINE) == 0
        await client.send(b"C", urgent=True)
        await server.wait_urgent()
        reading = asyncio.create_task(server.recv())
        await turns()
        assert not reading.done()
        assert server.recv_urgent() == b"C"
        with pytest.raises(OSError, match="no urgent octet"):
            server.recv_urgent()
        await client.send(b"de")
        assert await reading == b"de"
        await client.send(b"F", urgent=True)
        await client.close()
        assert await server.wait_urgent() == 1
        assert (await server.recv(), server.urgent_remaining) == (b"", 0)
        with pytest.raises(OSError, match="no urgent octet"):
            server.recv_urgent()
