"""Standard input and output on the event loop, for each kind of descriptor."""

import asyncio
import os
import select
import socket
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from userstack.cli.stdio import BLOCK, Input, Output


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


async def everything(source: Input) -> bytes:
    blocks = []
    while block := await source.read():
        blocks.append(block)
    return b"".join(blocks)


@pytest.mark.asyncio
async def test_a_pipe_is_read_in_blocks_to_its_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    source = Input(reader)
    waiting = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    assert not waiting.done()
    os.write(writer, b"abc")
    assert await waiting == b"abc"
    os.close(writer)
    assert await source.read() == b""


@pytest.mark.asyncio
async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(bytes(range(256)) * (BLOCK // 256) + b"more")
    with path.open("rb") as file:
        source = Input(file.fileno())
        assert len(await source.read()) == BLOCK
        assert await everything(source) == b"more"


@pytest.mark.asyncio
async def test_a_closed_descriptor_is_at_its_end(pipe: tuple[int, int]) -> None:
    reader, _ = pipe
    source = Input(reader)
    os.close(reader)
    assert await source.read() == b""


@pytest.mark.asyncio
async def test_finish_ends_a_read_that_would_wait_but_not_what_is_there(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    source = Input(reader)
    waiting = asyncio.create_task(source.read())
    await asyncio.sleep(0)
    source.finish()
    assert await waiting == b""
    os.write(writer, b"still here")
    assert await everything(source) == b"still here"


@pytest.mark.asyncio
async def test_a_pipe_is_written_as_fast_as_it_is_read(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Output(writer)
    data = os.urandom(300_000)
    writing = asyncio.create_task(sink.write(data))
    got = b""
    source = Input(reader)
    while len(got) < len(data):
        got += await source.read()
    await writing
    sink.close()
    assert got == data
    assert os.get_blocking(writer)  # the flag of the caller's open file was left alone


@pytest.mark.asyncio
async def test_a_socket_is_written_as_fast_as_it_is_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Output(ours.fileno())
        data = os.urandom(1_000_000)
        writing = asyncio.create_task(sink.write(data))
        got = b""
        source = Input(theirs.fileno())
        while len(got) < len(data):
            got += await source.read()
        await writing
        sink.close()
        assert got == data
        assert ours.getblocking()


@pytest.mark.asyncio
async def test_a_terminal_is_written_as_fast_as_it_is_read() -> None:
    master, terminal = os.openpty()
    tty.setraw(terminal)
    sink = Output(terminal)
    writing = asyncio.create_task(sink.write(b"x" * 3 * select.PIPE_BUF))
    source = Input(master)
    got = 0
    while got < 3 * select.PIPE_BUF:
        got += len(await source.read())
    await writing
    sink.close()
    os.close(terminal)
    os.close(master)
    assert got == 3 * select.PIPE_BUF


@pytest.mark.asyncio
async def test_a_file_is_written_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before ")
    with path.open("ab") as file:
        sink = Output(file.fileno())
        await sink.write(b"after")
        sink.close()
    assert path.read_bytes() == b"before after"


@pytest.mark.asyncio
async def test_a_reader_that_is_gone_is_an_error(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Output(writer)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        await sink.write(b"x")
    sink.close()
    sink.close()
