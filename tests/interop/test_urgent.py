"""Urgent data with the kernel at the other end: its mark is where ours is, whoever sends and whoever has opened."""

import asyncio
import fcntl
import select
import socket
from pathlib import Path

import pytest

from tests.interop.families import FAMILIES, Family
from tests.interop.waiting import becomes
from tests.interop.world import connected, facing_kernel, kernel_receives_all, receive_all
from userstack import StackConfig
from userstack.config import MILLISECOND

SIOCATMARK = 0x8905
INLINE = (socket.SOL_SOCKET, socket.SO_OOBINLINE)
SMALL = StackConfig(msl=500 * MILLISECOND, dad_transmits=0, receive_buffer=20_000)
LARGE = StackConfig(msl=500 * MILLISECOND, dad_transmits=0, send_buffer=1 << 20)
ROLES = pytest.mark.parametrize(
    "role",
    [
        pytest.param("opened", marks=pytest.mark.matrix("urgent data", "active")),
        pytest.param("accepted", marks=pytest.mark.matrix("urgent data", "passive")),
    ],
)


def at_mark(sock: socket.socket) -> bool:
    """``sockatmark`` of the kernel's socket."""
    return fcntl.ioctl(sock, SIOCATMARK, bytes(4)) != bytes(4)


def is_announced(sock: socket.socket) -> bool:
    """An urgent octet is on its way to the kernel's socket, which says EAGAIN and no more EINVAL."""
    try:
        sock.recv(1, socket.MSG_OOB | socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def has_urgent(sock: socket.socket) -> bool:
    """POLLPRI of the kernel's socket."""
    poller = select.poll()
    poller.register(sock, select.POLLPRI)
    return bool(poller.poll(0))


@FAMILIES
@ROLES
@pytest.mark.asyncio
async def test_ours_is_urgent_to_the_kernel(role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world, connected(world, role) as (ours, theirs):
        await ours.send(b"ordinary ")
        await ours.send(b"interrupT", urgent=True)
        await ours.send(b" more")
        await becomes(lambda: has_urgent(theirs), "the kernel has the urgent octet")
        assert theirs.recv(1, socket.MSG_OOB) == b"T"
        assert theirs.recv(100) == b"ordinary interrup"
        assert at_mark(theirs)
        await ours.shutdown()
        assert await kernel_receives_all(theirs) == b" more"
        theirs.close()
        assert await ours.recv() == b""


@FAMILIES
@ROLES
@pytest.mark.asyncio
async def test_the_kernels_is_urgent_to_us(role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world, connected(world, role) as (ours, theirs):
        waiting = asyncio.create_task(ours.wait_urgent())
        theirs.send(b"ordinary ")
        theirs.send(b"interrupT", socket.MSG_OOB)
        theirs.send(b" more")
        assert 0 < await waiting <= 18
        got = b""
        while remaining := ours.urgent_remaining:
            got += await ours.recv(remaining)
        assert got == b"ordinary interrupT"
        ours.setsockopt(*INLINE, 0)
        theirs.send(b"!", socket.MSG_OOB)
        await ours.wait_urgent()
        assert ours.recv_urgent() == b"!"
        theirs.close()
        assert await receive_all(ours) == b" more"


@ROLES
@pytest.mark.asyncio
async def test_the_kernel_announces_at_our_zero_window(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, config=SMALL) as world, connected(world, role) as (ours, theirs):
        sent = theirs.send(bytes(60_000))
        await becomes(lambda: ours.info().rcv_wnd < 1000, "our window is shut")
        theirs.send(b"!", socket.MSG_OOB)
        assert await ours.wait_urgent() > ours.info().unread
        got = 0
        while remaining := ours.urgent_remaining:
            got += len(await ours.recv(remaining))
        assert got == sent + 1
        theirs.close()
        assert await ours.recv() == b""


@ROLES
@pytest.mark.asyncio
async def test_we_announce_at_the_kernels_zero_window(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, config=LARGE) as world, connected(world, role) as (ours, theirs):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        await ours.send(bytes(500_000))
        await becomes(lambda: ours.info().snd_wnd == 0, "the kernel's window is shut")
        assert not is_announced(theirs)
        await ours.send(b"!", urgent=True)
        await becomes(lambda: is_announced(theirs), "the kernel knows of the urgent octet")
        assert ours.info().snd_wnd == 0
        theirs.setsockopt(*INLINE, 1)
        await ours.shutdown()
        assert await kernel_receives_all(theirs) == bytes(500_000) + b"!"
        theirs.close()
        assert await ours.recv() == b""
