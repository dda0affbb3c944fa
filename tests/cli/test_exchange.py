"""What netcat does with a connection, on two stacks in memory: half-closes, waiting, back-pressure, ends."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

import userstack
from userstack.api.connection import Connection
from userstack.cli.exchange import Exchange
from userstack.cli.stdio import Input, Output
from userstack.cli.waiting import until
from userstack.config import MILLISECOND, StackConfig
from userstack.tcp.state import State


class Pipes:
    """Standard input and output of the netcat under test, with the test's ends of them."""

    def __init__(self) -> None:
        self.source, self.type_here = os.pipe()
        self.read_here, self.sink = os.pipe()
        os.set_blocking(self.read_here, False)

    def output(self) -> bytes:
        """What was written so far, up to 1 MiB."""
        with suppress(BlockingIOError):
            return os.read(self.read_here, 1 << 20)
        return b""

    def close(self) -> None:
        for descriptor in (self.source, self.type_here, self.read_here, self.sink):
            with suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    pipes = Pipes()
    yield pipes
    pipes.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Connection, Connection]]:
    """Our connection and the peer's."""
    config = StackConfig(msl=50 * MILLISECOND)
    async with userstack.memory("10.0.0.1/24", "10.0.0.2/24", config=config) as (ours, theirs):
        listener = await theirs.listen(80)
        connection = await ours.connect("10.0.0.2", 80)
        async with await listener.accept() as peer:
            yield connection, peer


@asynccontextmanager
async def exchanging(
    connection: Connection, pipes: Pipes, *, half_close: bool = False, linger: bool = True, idle: float | None = None
) -> AsyncIterator["asyncio.Task[None]"]:
    sink = Output(pipes.sink)
    exchange = Exchange(connection, Input(pipes.source), sink, half_close=half_close, linger=linger, idle=idle)
    task = asyncio.create_task(exchange.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        sink.close()


@pytest.mark.asyncio
async def test_bytes_go_both_ways(pipes: Pipes) -> None:
    async with connected() as (connection, peer), exchanging(connection, pipes) as task:
        os.write(pipes.type_here, b"out")
        assert await peer.recv() == b"out"
        await peer.send(b"in")
        os.close(pipes.type_here)
        await peer.close()
        await task
        assert pipes.output() == b"in"
        assert connection.state in {State.CLOSED, State.TIME_WAIT}


@pytest.mark.asyncio
async def test_the_end_of_input_is_a_fin_only_when_asked_for(pipes: Pipes) -> None:
    os.close(pipes.type_here)
    async with connected() as (connection, peer), exchanging(connection, pipes, half_close=True):
        assert await peer.recv() == b""
    async with connected() as (connection, peer), exchanging(connection, pipes, half_close=False):
        await peer.send(b"still there?")
        await until(lambda: pipes.output() == b"still there?")
        assert connection.state is State.ESTABLISHED


@pytest.mark.asyncio
async def test_with_linger_the_input_is_sent_to_its_end_though_the_peer_has_closed(pipes: Pipes) -> None:
    async with connected() as (connection, peer), exchanging(connection, pipes, linger=True) as task:
        await peer.shutdown()
        await connection.wait_state(State.CLOSE_WAIT)
        assert not task.done()
        os.write(pipes.type_here, b"late")
        assert await peer.recv() == b"late"
        os.close(pipes.type_here)
        assert await peer.recv() == b""
        await task


@pytest.mark.asyncio
async def test_without_linger_only_what_is_there_is_still_sent(pipes: Pipes) -> None:
    os.write(pipes.type_here, b"there already")
    async with connected() as (connection, peer), exchanging(connection, pipes, linger=False) as task:
        await peer.shutdown()
        assert await peer.recv() == b"there already"
        assert await peer.recv() == b""
        await task


@pytest.mark.asyncio
async def test_an_idle_connection_ends_without_an_error(pipes: Pipes) -> None:
    async with connected() as (connection, peer), exchanging(connection, pipes, idle=0.05) as task:
        assert await peer.recv() == b""
        await task


@pytest.mark.asyncio
async def test_a_reset_is_an_error_whatever_the_input_does(pipes: Pipes) -> None:
    async with connected() as (connection, peer), exchanging(connection, pipes) as task:
        peer.abort()
        with pytest.raises(ConnectionResetError):
            await task


@pytest.mark.asyncio
async def test_a_sink_that_breaks_resets_the_connection(pipes: Pipes) -> None:
    os.close(pipes.read_here)
    async with connected() as (connection, peer), exchanging(connection, pipes) as task:
        await peer.send(b"nobody reads this")
        with pytest.raises(BrokenPipeError):
            await task
        with pytest.raises(ConnectionResetError):
            await peer.recv()


@pytest.mark.asyncio
async def test_what_nobody_reads_is_not_buffered_without_bound(pipes: Pipes) -> None:
    sent = 0

    async def flood(peer: Connection) -> None:
        nonlocal sent
        while True:
            await peer.send(bytes(65536))
            sent += 65536

    async with connected() as (connection, peer), exchanging(connection, pipes):
        flooding = asyncio.create_task(flood(peer))
        await until(lambda: peer.info().snd_wnd == 0)
        assert sent < 2 * 1024 * 1024
        assert pipes.output()
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
