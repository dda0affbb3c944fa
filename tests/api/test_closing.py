"""How connections and stacks end."""

import asyncio
import errno
import gc
import socket
import struct
import threading
import weakref

import pytest

from tests.support.stacks import (
    SECOND,
    connect,
    read_all,
    states,
    turns,
    two_connections,
    two_stacks,
    two_stacks_and_wire,
    virtual_loop,
)
from tests.support.virtual_time import virtual_time
from userstack import ClosedHandle, State


@virtual_time
async def test_close_returns_at_once_and_what_was_sent_arrives() -> None:
    data = bytes(200_000)
    async with two_connections() as (client, server):
        await client.send(data)
        await client.close()
        await client.close()
        assert virtual_loop().time() == 0
        assert await read_all(server) == data
        await server.close()
        assert await client.wait_state(State.TIME_WAIT) is State.TIME_WAIT


@virtual_time
async def test_a_closed_connection_is_a_bad_descriptor() -> None:
    async with two_connections() as (client, _):
        await client.close()
        for call in (client.recv, client.shutdown, lambda: client.send(b"x"), lambda: client.recv_into(bytearray(1))):
            with pytest.raises(ClosedHandle) as caught:
                await call()
            assert caught.value.errno == errno.EBADF
        for ask in (client.getsockname, client.getpeername, lambda: client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
            with pytest.raises(ClosedHandle):
                ask()
        assert client.info().state is client.state


@virtual_time
async def test_wait_closed_waits_for_the_end_of_time_wait() -> None:
    async with two_connections() as (client, server):
        await client.close()
        assert await server.recv() == b""
        await server.close()
        await server.wait_closed()
        assert virtual_loop().time() < 1
        await client.wait_closed()
        assert 60 <= virtual_loop().time() < 61


@virtual_time
async def test_closing_with_unread_data_resets() -> None:
    async with two_connections() as (client, server):
        await client.send(b"nobody will read this")
        await asyncio.sleep(1)
        await server.close()
        with pytest.raises(ConnectionResetError):
            await client.recv()


@virtual_time
async def test_data_after_both_ways_are_shut_is_answered_with_a_reset() -> None:
    async with two_connections() as (client, server):
        await server.shutdown(socket.SHUT_RDWR)
        assert await client.recv() == b""
        await client.send(b"too late")
        await client.wait_closed()
        assert virtual_loop().time() < 1


@virtual_time
async def test_what_is_closed_is_not_kept() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        client = await first.connect(SECOND, 80)
        traces: list[weakref.ref[object]] = [weakref.ref(listener), weakref.ref(client)]
        await client.close()
        await listener.close()
        del client, listener
        gc.collect()
        assert [trace() for trace in traces] == [None, None]


@virtual_time
async def test_a_connection_that_nobody_holds_is_closed_with_a_warning() -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        await client.send(b"last words")
        await turns()
        with pytest.warns(ResourceWarning, match=r"unclosed <Connection 10\.0\.0\.1:\d+ 10\.0\.0\.2:80 ESTABLISHED>"):
            del client
        assert await read_all(server) == b"last words"
        await server.close()
        await asyncio.sleep(61)
        assert first.connections() == []


@virtual_time
async def test_a_connection_may_be_dropped_in_any_thread() -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        held = [client]
        del client

        def drop() -> None:
            dropping = threading.Thread(target=held.clear)
            dropping.start()
            dropping.join()

        with pytest.warns(ResourceWarning, match="unclosed"):
            drop()
        assert await server.recv() == b""


@virtual_time
@pytest.mark.parametrize("end", ["close", "abort", "reset", "stack"])
async def test_a_connection_that_is_over_is_dropped_without_a_word(end: str) -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        if end == "close":
            await client.close()
        elif end == "abort":
            client.abort()
        elif end == "reset":
            server.abort()
            await turns()
        else:
            await first.close()
        del client
        await turns()


@virtual_time
async def test_a_second_close_of_the_stack_may_cut_the_first_short() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, _ = await connect(first, second)
        wire.cut = True
        await client.send(b"never")
        await client.close()
        patient = asyncio.create_task(first.close(drain=100))
        await asyncio.sleep(1)
        await asyncio.gather(first.close(drain=1000), first.close(drain=7))
        assert virtual_loop().time() == pytest.approx(8)
        assert client.state is State.CLOSED
        await patient
        await first.close()


@virtual_time
async def test_a_close_that_is_cancelled_has_ended_the_stack() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, _ = await connect(first, second)
        wire.cut = True
        await client.close()
        impatient = asyncio.create_task(first.close(drain=100))
        await turns()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        await first.close()
        assert client.state is State.CLOSED
        assert virtual_loop().time() == 0


@virtual_time
async def test_data_after_close_is_answered_with_a_reset() -> None:
    async with two_connections() as (client, server):
        await server.close()
        assert await client.recv() == b""
        await client.send(b"too late")
        await client.wait_closed()
        with pytest.raises(BrokenPipeError):
            await client.send(b"later still")


@virtual_time
async def test_abort_resets_and_wakes_who_waits_at_both_ends() -> None:
    async with two_connections() as (client, server):
        ours, theirs = asyncio.create_task(client.recv()), asyncio.create_task(server.recv())
        await turns()
        client.abort()
        client.abort()
        with pytest.raises(ConnectionAbortedError):
            await ours
        with pytest.raises(ConnectionResetError):
            await theirs
        with pytest.raises(ConnectionAbortedError):
            await client.recv()
        assert client.state is State.CLOSED


@virtual_time
async def test_close_wakes_who_waits() -> None:
    async with two_connections() as (client, _):
        waiting = [asyncio.create_task(client.recv()), asyncio.create_task(client.send(bytes(1 << 20)))]
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)
        await client.close()
        for task in waiting:
            with pytest.raises(ClosedHandle):
                await task
        assert virtual_loop().time() == 1


@virtual_time
async def test_a_closed_connection_can_still_be_aborted() -> None:
    async with two_connections() as (client, server):
        await client.close()
        await client.wait_state(State.FIN_WAIT_2)
        client.abort()
        assert client.state is State.CLOSED
        await server.wait_closed()
        with pytest.raises(BrokenPipeError):
            await server.send(b"x")


@virtual_time
@pytest.mark.parametrize("how", ["method", "option"])
async def test_linger_0_resets(how: str) -> None:
    async with two_connections() as (client, server):
        if how == "method":
            client.set_linger(0)
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.send(b"lost")
        await client.close()
        assert client.state is State.CLOSED
        await server.wait_closed()
        with pytest.raises(ConnectionResetError):
            await read_all(server)


@virtual_time
async def test_linger_waits_for_the_acknowledgement_of_the_fin() -> None:
    async with two_connections() as (client, server):
        client.set_linger(30)
        await client.send(bytes(1_000))
        await client.close()
        assert client.state is State.FIN_WAIT_2
        assert virtual_loop().time() < 1
        assert len(await read_all(server)) == 1_000


@virtual_time
async def test_lingering_ends_in_time_and_the_stack_goes_on() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, server = await connect(first, second)
        wire.cut = True
        client.set_linger(3)
        await client.send(b"late")
        await client.close()
        assert virtual_loop().time() == pytest.approx(3)
        assert client.state is State.FIN_WAIT_1
        wire.cut = False
        assert await read_all(server) == b"late"


@virtual_time
async def test_linger_can_be_read_and_turned_off() -> None:
    async with two_connections() as (client, _):
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 0, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 7))
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 7)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER) == 1
        client.set_linger(None)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 0, 0)
        with pytest.raises(OSError, match="-1"):
            client.set_linger(-1)
        with pytest.raises(OSError, match="struct linger"):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 1)
        with pytest.raises(OSError, match="-1"):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, -1))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, -1))


@virtual_time
async def test_leaving_the_stack_delivers_what_closed_connections_still_hold() -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        await client.send(bytes(100_000))
        await client.close()
        closing = asyncio.create_task(first.close())
        assert len(await read_all(server)) == 100_000
        await closing
        assert client.state is State.FIN_WAIT_2 or client.state is State.CLOSED


@virtual_time
async def test_two_stacks_in_memory_hear_each_others_last_word() -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        await client.send(b"unread")
        await asyncio.sleep(1)
        await server.close()  # a reset, which is not out yet
        await client.close()
    assert virtual_loop().time() == 1


@virtual_time
async def test_draining_is_bounded() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, _ = await connect(first, second)
        wire.cut = True
        await client.send(b"never")
        await client.close()
        await first.close(drain=7)
        assert virtual_loop().time() == pytest.approx(7)
        assert client.state is State.CLOSED


@virtual_time
async def test_closing_the_stack_resets_what_is_open_and_wakes_everybody() -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        listener = await first.listen(80)
        waiting = [asyncio.create_task(call) for call in (client.recv(), listener.accept(), client.wait_state(State.CLOSE_WAIT))]
        await turns()
        await first.close()
        await first.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], ConnectionAbortedError)
        assert isinstance(results[1], ClosedHandle)
        assert results[2] is State.CLOSED
        with pytest.raises(ConnectionResetError):
            await server.recv()
        assert states(first) == []


@virtual_time
async def test_an_error_in_the_block_ends_the_stack_without_a_delay() -> None:
    async def fail() -> None:
        async with two_stacks_and_wire() as (first, second, wires):
            client, _ = await connect(first, second)
            for wire in wires:
                wire.cut = True
            await client.close()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert virtual_loop().time() == 0


@virtual_time
async def test_a_simultaneous_close_leads_both_ends_to_time_wait() -> None:
    async with two_connections() as (client, server):
        await asyncio.gather(client.close(), server.close())
        assert await client.wait_state(State.TIME_WAIT) is await server.wait_state(State.TIME_WAIT) is State.TIME_WAIT


@virtual_time
async def test_a_peer_that_never_closes_does_not_keep_a_closed_connection_for_ever() -> None:
    async with two_connections() as (client, server):
        await client.close()
        await client.wait_closed()
        assert 60 <= virtual_loop().time() <= 61  # StackConfig.fin_timeout
        assert server.state is State.CLOSE_WAIT
        await server.send(b"x")
        await server.wait_closed()


@virtual_time
async def test_a_thousand_times_open_and_close_leaves_nothing() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        for _ in range(1000):
            async with await first.connect(SECOND, 80) as client, await listener.accept() as server:
                await client.send(b"ping")
                assert await server.recv() == b"ping"
        await listener.close()
        await asyncio.sleep(61)
        assert first.connections() == second.connections() == []
