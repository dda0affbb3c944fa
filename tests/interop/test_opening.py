"""How a connection begins, seen from the kernel: refused, made to wait, met halfway; and sequence numbers that wrap at once."""

import asyncio
import itertools
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.interop.families import FAMILIES, Family
from tests.interop.waiting import becomes
from tests.interop.world import PORT, World, facing_kernel, kernel_receives_all, receive_all
from userstack import Connection
from userstack.address import Endpoint

DEVICES = pytest.mark.parametrize("device", ["tun", "veth"])


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_a_closed_port_refuses_at_once(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        done = await world.run("nc", "-z", "-v", family.ours, str(PORT))
        assert done.code == 1
        assert "refused" in done.complaint
        assert world.stack.counters["TcpOutRsts"] == 1
    assert world.reading is not None
    assert len(world.reading.syns[family.kernel]) == 1, "at once is: before the SYN has to be sent again"


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_an_open_port_is_found_open(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world, await world.stack.listen(PORT) as listener:
        done = await world.run("nc", "-z", "-v", family.ours, str(PORT))
        assert done.code == 0
        assert "succeeded" in done.complaint
        async with await listener.accept() as connection:
            assert await connection.recv() == b""


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_the_kernels_closed_port_refuses_us(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        with pytest.raises(ConnectionRefusedError):
            await world.stack.connect(family.kernel, PORT, timeout=1)
        assert world.stack.connections() == []


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_a_full_backlog_neither_accepts_nor_resets(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world, await world.stack.listen(PORT, backlog=0) as listener:
        first = await world.connect()  # as in Linux, a backlog of 0 holds one
        done = await world.run("nc", "-v", "-w", "1", family.ours, str(PORT))
        assert done.code == 1
        assert "timed out" in done.complaint
        assert done.seconds >= 1
        turned_away = world.stack.counters["TcpExtListenOverflows"]
        second = asyncio.create_task(world.connect())
        await becomes(lambda: world.stack.counters["TcpExtListenOverflows"] > turned_away, "another SYN finds the backlog full")
        assert not second.done()
        async with await listener.accept() as connection:
            assert connection.getpeername() == first.getsockname()
            # Nothing tells the kernel that there is room now: its SYN, sent again after a second, finds it.
            waited = await second
            async with await listener.accept() as other:
                assert other.getpeername() == waited.getsockname()
                await other.send(b"welcome")
                await other.shutdown()
                assert await kernel_receives_all(waited) == b"welcome"
        first.close()
        waited.close()
    assert world.reading is not None
    assert world.reading.resets[family.ours] == 0
    *_, lost, repeated = world.reading.syns[family.kernel]
    assert lost == repeated


@FAMILIES
@pytest.mark.asyncio
async def test_both_open_at_once(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        theirs = world.socket()
        theirs.bind((family.kernel, PORT))
        with pytest.raises(BlockingIOError):
            theirs.connect((family.ours, PORT + 1))
        # Its SYN waits in the device; ours goes out before anything is read.
        async with await world.stack.connect(family.kernel, PORT, local_port=PORT + 1) as ours:
            assert world.passed() == ["SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
            await ours.send(b"met")
            assert await asyncio.get_running_loop().sock_recv(theirs, 10) == b"met"
            theirs.close()
            assert await ours.recv() == b""


def just_below_the_wrap() -> Callable[[Endpoint, Endpoint, int], int]:
    """Initial sequence numbers so that SYN, data or FIN has 0, each in one of 20 connections."""
    numbers = itertools.count(2**32 - 18)
    return lambda local, remote, now: next(numbers) % 2**32


@FAMILIES
@DEVICES
@pytest.mark.parametrize("role", ["accepted", "opened"])
@pytest.mark.asyncio
async def test_twenty_connections_around_the_wrap(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with (
        facing_kernel(device, tmp_path, family, isn=just_below_the_wrap()) as world,
        await world.stack.listen(PORT) as listener,
    ):
        server, port = world.listen()
        for number in range(20):
            if role == "accepted":
                theirs = await world.connect()
                ours = await listener.accept()
            else:
                ours = await world.stack.connect(family.kernel, port)
                theirs, _ = await asyncio.get_running_loop().sock_accept(server)
            await _exchange(world, ours, theirs, ours_first=number % 2 == 0)
        server.close()
    assert world.reading is not None
    assert sorted(set(world.reading.syns[family.ours])) == [0, 1, *range(2**32 - 18, 2**32)]


async def _exchange(world: World, ours: Connection, theirs: socket.socket, *, ours_first: bool) -> None:
    """Ten bytes each way; then one end closes, and the other when it has seen that."""
    await ours.send(b"0123456789")
    await asyncio.get_running_loop().sock_sendall(theirs, b"abcdefghij")
    if ours_first:
        await ours.shutdown()
        assert await kernel_receives_all(theirs) == b"0123456789"
        theirs.close()
        assert await receive_all(ours) == b"abcdefghij"
    else:
        theirs.shutdown(socket.SHUT_WR)
        assert await receive_all(ours) == b"abcdefghij"
        await ours.close()
        assert await kernel_receives_all(theirs) == b"0123456789"
        theirs.close()
    await ours.close()
