"""Data, names and states of connections between two stacks in one process."""

import asyncio
import errno
import socket

import pytest

import userstack
from tests.support.stacks import FIRST, SECOND, connect, read_all, two_connections, two_stacks, two_stacks_and_wire, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import SHUT_RD, SHUT_RDWR, SHUT_WR, State

PATTERN = bytes(range(251)) * 4000


@virtual_time
async def test_data_goes_both_ways_at_once_and_arrives_whole() -> None:
    async with two_connections() as (client, server):

        async def talk(connection: userstack.Connection, data: bytes) -> bytes:
            async with asyncio.TaskGroup() as group:
                received = group.create_task(read_all(connection))
                await connection.send(data)
                await connection.shutdown()
            return received.result()

        to_client, to_server = PATTERN, PATTERN[::-1]
        at_client, at_server = await asyncio.gather(talk(client, to_server), talk(server, to_client))
        assert at_client == to_client
        assert at_server == to_server


@virtual_time
@pytest.mark.parametrize("codec", ["fast", "scapy"])
async def test_frames_and_both_codecs_carry_data(codec: str) -> None:
    async with two_connections(level=2, codec=codec) as (client, server):
        await client.send(b"over Ethernet")
        assert await server.recv() == b"over Ethernet"


@virtual_time
async def test_a_hundred_connections_at_once_each_get_their_own_bytes() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(7, backlog=128)

        async def serve(connection: userstack.Connection) -> None:
            async with connection:
                await connection.send(await read_all(connection))

        async def accept_all(group: asyncio.TaskGroup) -> None:
            async for connection in listener:
                group.create_task(serve(connection))

        async def ask(number: int) -> None:
            async with await first.connect(SECOND, 7) as connection:
                question = number.to_bytes(2, "big") * 4096
                await connection.send(question)
                await connection.shutdown()
                assert await read_all(connection) == question

        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(accept_all(group))
            await asyncio.gather(*(ask(number) for number in range(100)))
            await listener.close()
            await accepting
        await asyncio.sleep(61)  # 2 MSL and a little
        assert first.connections() == []
        assert second.connections() == []


@virtual_time
async def test_recv_takes_no_more_than_it_was_asked_for() -> None:
    async with two_connections() as (client, server):
        await client.send(b"abcdef")
        assert await server.recv(2) == b"ab"
        assert await server.recv(0) == b""
        assert await server.recv(100) == b"cdef"


@virtual_time
async def test_recv_into_fills_what_is_there_and_tells_how_much() -> None:
    async with two_connections() as (client, server):
        await client.send(b"abcdef")
        buffer = bytearray(4)
        assert await server.recv_into(buffer) == 4
        assert buffer == b"abcd"
        assert await server.recv_into(memoryview(buffer)[1:]) == 2
        assert buffer == b"aefd"
        await client.shutdown()
        assert await server.recv_into(buffer) == 0


@virtual_time
async def test_send_takes_any_buffer_and_nothing_at_all() -> None:
    async with two_connections() as (client, server):
        await client.send(bytearray(b"a"))
        await client.send(memoryview(b"bc"))
        await client.send(b"")
        await client.shutdown()
        assert await read_all(server) == b"abc"


@virtual_time
async def test_half_close_leaves_the_other_way_open() -> None:
    async with two_connections() as (client, server):
        await client.send(b"question")
        await client.shutdown(SHUT_WR)
        assert await read_all(server) == b"question"
        assert await client.wait_state(State.FIN_WAIT_2) is State.FIN_WAIT_2
        assert server.state is State.CLOSE_WAIT
        with pytest.raises(BrokenPipeError):
            await client.send(b"more")
        await server.send(b"answer")
        await server.shutdown(SHUT_WR)
        await server.shutdown(SHUT_WR)  # a second time says nothing new
        assert await read_all(client) == b"answer"
        assert client.state is State.TIME_WAIT
        assert await client.recv() == b""


@virtual_time
async def test_shut_reading_gives_what_is_there_and_then_the_end() -> None:
    async with two_connections() as (client, server):
        await client.send(b"early")
        waiting = asyncio.create_task(read_all(server))
        await asyncio.sleep(0.1)
        await server.shutdown(SHUT_RD)
        assert await waiting == b"early"
        await server.send(b"still writing")
        assert await client.recv() == b"still writing"


@virtual_time
async def test_shutting_both_ways_sends_the_fin() -> None:
    async with two_connections() as (client, server):
        await client.shutdown(SHUT_RDWR)
        assert await client.recv() == b""
        assert await server.recv() == b""


@virtual_time
async def test_names_are_the_kernels_tuples() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80, address=SECOND)
        client = await first.connect(SECOND, 80, local_port=5555, local_address=FIRST)
        server = await listener.accept()
        assert listener.getsockname() == (SECOND, 80)
        assert client.getsockname() == server.getpeername() == (FIRST, 5555)
        assert server.getsockname() == client.getpeername() == (SECOND, 80)
        assert str(client.info().remote) == f"{SECOND}:80"
        assert "ESTABLISHED" in repr(client)
        assert SECOND in repr(listener)


@virtual_time
async def test_a_connection_that_is_over_has_no_peer_and_cannot_be_shut_down() -> None:
    async with two_connections() as (client, server):
        server.abort()
        with pytest.raises(ConnectionResetError):
            await client.recv()
        assert await client.recv() == b""
        with pytest.raises(BrokenPipeError):
            await client.send(b"x")
        with pytest.raises(OSError, match="connected") as caught:
            client.getpeername()
        assert caught.value.errno == errno.ENOTCONN
        with pytest.raises(OSError, match="connected") as caught:
            await client.shutdown()
        assert caught.value.errno == errno.ENOTCONN


@virtual_time
async def test_a_reset_is_told_once_to_a_sender_and_then_the_pipe_is_broken() -> None:
    async with two_connections() as (client, server):
        server.abort()
        await client.wait_closed()
        with pytest.raises(ConnectionResetError):
            await client.send(b"x")
        with pytest.raises(BrokenPipeError):
            await client.send(b"x")
        assert await client.recv() == b""


@virtual_time
async def test_a_peer_that_falls_silent_is_a_timeout_told_once() -> None:
    async with two_stacks_and_wire() as (first, second, (_, wire)):
        client, _ = await connect(first, second)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)
        wire.cut = True
        await client.send(b"is anybody there")
        with pytest.raises(TimeoutError) as caught:
            await client.recv()
        assert caught.value.errno == errno.ETIMEDOUT
        assert 5 <= virtual_loop().time() < 6
        assert await client.recv() == b""
