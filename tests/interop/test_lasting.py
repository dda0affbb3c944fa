"""How long connections last with a real kernel at the other end: keep-alives, shut windows, orphans, lingering, user timeouts.

The kernel falls silent behind a route that leads nowhere; this stack does while the test holds its event loop.
"""

import asyncio
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.interop.families import FAMILIES, IPV4, Family
from tests.interop.waiting import becomes
from tests.interop.world import SHORT, World, connected, facing_kernel, kernel_receives_all, receive_all
from userstack import Connection, StackConfig, State
from userstack.config import MILLISECOND, SECOND
from userstack.host.inside import write_sysctl

IMPATIENT = StackConfig(msl=SHORT.msl, dad_transmits=0, rto_min=20 * MILLISECOND, rto_max=200 * MILLISECOND)
"""Its timers have come to their ceiling within half a second."""
pytestmark = pytest.mark.once
TCP, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET
TEXT = bytes(range(256)) * 4000


def roles(feature: str) -> pytest.MarkDecorator:
    """Both roles, each a cell of the table."""
    return pytest.mark.parametrize(
        "role",
        [
            pytest.param("opened", marks=pytest.mark.matrix(feature, "active")),
            pytest.param("accepted", marks=pytest.mark.matrix(feature, "passive")),
        ],
    )


async def silence_the_kernel(world: World) -> None:
    """Nothing that it sends to us arrives any more."""
    done = await world.run("ip", "route", "add", "blackhole", f"{world.family.ours}/{32 if world.family is IPV4 else 128}")
    assert done.code == 0, done.complaint


def keep_alive(theirs: socket.socket, *, probes: int) -> None:
    """The kernel's shortest."""
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, probes)):
        theirs.setsockopt(TCP, option, value)
    theirs.setsockopt(SOL, socket.SO_KEEPALIVE, 1)


def hold_the_loop_until_it_times_out(theirs: socket.socket) -> None:
    """Wait for the kernel's socket without giving way to the stack, which is as good as dead meanwhile."""
    theirs.settimeout(20)
    with pytest.raises(OSError, match="timed out") as caught:
        theirs.recv(1)
    assert caught.value.errno == 110
    theirs.setblocking(False)


# --- keep-alives ---


@roles("keep-alive")
@pytest.mark.asyncio
async def test_the_kernels_keep_alives_are_answered(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world, connected(world, role) as (ours, theirs):
        before = ours.info().segs_in
        keep_alive(theirs, probes=1)
        await becomes(lambda: ours.info().segs_in >= before + 2, "two keep-alives have come")
        assert [found.state for found in world.kernel_sockets()] == [State.ESTABLISHED]
        await ours.send(b"still here")
        assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b"still here"


@roles("keep-alive")
@pytest.mark.parametrize("garbage", [False, True], ids=["empty", "octet"])
@pytest.mark.asyncio
async def test_the_kernel_answers_our_keep_alives(role: str, garbage: bool, tmp_path: Path) -> None:
    config = StackConfig(
        msl=SHORT.msl,
        dad_transmits=0,
        keepalive=True,
        keepalive_time=50 * MILLISECOND,
        keepalive_intvl=600 * MILLISECOND,
        keepalive_probes=3,
        keepalive_garbage=garbage,
    )
    async with facing_kernel("tun", tmp_path, config=config) as world, connected(world, role) as (ours, theirs):
        # The kernel answers one segment without data in half a second that is not acceptable, and no more.
        write_sysctl("net.ipv4.tcp_invalid_ratelimit", "0", namespace=world.kernel.name)
        await becomes(lambda: world.stack.counters["TcpExtTCPKeepAlive"] >= 5, "five keep-alives have gone out")
        assert ours.state is State.ESTABLISHED
        ours.setsockopt(SOL, socket.SO_KEEPALIVE, 0)
        await ours.send(b"still here")
        assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b"still here"


@FAMILIES
@roles("keep-alive")
@pytest.mark.asyncio
async def test_a_kernel_that_has_gone_is_noticed(family: Family, role: str, tmp_path: Path) -> None:
    config = StackConfig(
        msl=SHORT.msl,
        dad_transmits=0,
        keepalive_time=50 * MILLISECOND,
        keepalive_intvl=50 * MILLISECOND,
        keepalive_probes=3,
    )
    async with facing_kernel("tun", tmp_path, family, config=config) as world, connected(world, role) as (ours, _):
        await silence_the_kernel(world)
        ours.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
        with pytest.raises(TimeoutError):
            await ours.recv()
        assert world.stack.counters["TcpExtTCPKeepAlive"] == 3
        assert ours.state is State.CLOSED


@roles("keep-alive")
@pytest.mark.asyncio
async def test_the_kernel_notices_that_we_have_gone(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world, connected(world, role) as (ours, theirs):
        keep_alive(theirs, probes=1)
        hold_the_loop_until_it_times_out(theirs)
        with pytest.raises(ConnectionResetError):
            await ours.recv()


# --- windows that are shut ---


async def fill_the_kernel(ours: Connection) -> asyncio.Task[None]:
    """Send until the kernel, which does not read, has shut its window."""
    sending = asyncio.create_task(ours.send(TEXT))
    await becomes(lambda: ours.info().snd_wnd == 0 and not ours.info().unacked, "the kernel's window is shut")
    return sending


@roles("zero window")
@pytest.mark.asyncio
async def test_the_kernel_is_probed_until_it_reads(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, config=IMPATIENT) as world, connected(world, role) as (ours, theirs):
        sending = await fill_the_kernel(ours)
        await becomes(lambda: world.stack.counters["TcpExtTCPWinProbe"] >= 4, "it was probed")
        receiving = asyncio.create_task(kernel_receives_all(theirs))
        await sending
        await ours.shutdown()
        assert await receiving == TEXT
        theirs.close()


@roles("zero window")
@pytest.mark.asyncio
async def test_the_kernel_probes_us_until_we_read(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world, connected(world, role) as (ours, theirs):
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(theirs, TEXT))
        await becomes(lambda: ours.info().rcv_wnd >> (ours.info().rcv_wscale or 0) == 0, "our window is shut")
        shut = ours.info().segs_in
        await becomes(lambda: ours.info().segs_in >= shut + 2, "we were probed")
        receiving = asyncio.create_task(receive_all(ours))
        await sending
        theirs.close()
        assert await receiving == TEXT


@FAMILIES
@roles("zero window")
@pytest.mark.asyncio
async def test_an_orphan_of_ours_does_not_outlive_a_kernel_that_holds_its_window_shut(
    family: Family, role: str, tmp_path: Path
) -> None:
    async with facing_kernel("tun", tmp_path, family, config=IMPATIENT) as world, connected(world, role) as (ours, theirs):
        sending = await fill_the_kernel(ours)
        sending.cancel()
        await ours.close()
        assert ours.info().orphan
        await ours.wait_closed()
        assert world.stack.counters["TcpExtTCPAbortOnTimeout"] == 1
        assert world.stack.connections() == []
        with pytest.raises(ConnectionResetError):  # its window update finds nobody
            await kernel_receives_all(theirs)


@roles("zero window")
@pytest.mark.asyncio
async def test_an_orphan_of_the_kernels_does_not_outlive_our_shut_window(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world:
        write_sysctl("net.ipv4.tcp_rto_max_ms", "1000", namespace=world.kernel.name)
        async with connected(world, role) as (ours, theirs):
            theirs.setsockopt(SOL, socket.SO_SNDBUF, 1 << 20)
            sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(theirs, TEXT))
            await becomes(lambda: ours.info().rcv_wnd >> (ours.info().rcv_wscale or 0) == 0, "our window is shut")
            await sending
            theirs.close()
            assert [found.state for found in world.kernel_sockets()] == [State.FIN_WAIT_1]
            await becomes(lambda: world.kernel_sockets() == [], "the kernel has given up")
            ours.abort()


# --- SO_LINGER ---


@roles("linger")
@pytest.mark.parametrize("linger", [None, 5], ids=["off", "five seconds"])
@pytest.mark.asyncio
async def test_close_delivers_and_with_a_time_waits_for_the_kernel(linger: int | None, role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world, connected(world, role) as (ours, theirs):
        receiving = asyncio.create_task(kernel_receives_all(theirs))
        ours.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", linger is not None, linger or 0))
        await ours.send(TEXT)
        await ours.close()
        assert (ours.state is State.FIN_WAIT_2) == (linger is not None)
        assert await receiving == TEXT
        theirs.close()


@FAMILIES
@roles("linger")
@pytest.mark.asyncio
async def test_close_with_no_time_resets_the_kernel(family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world, connected(world, role) as (ours, theirs):
        ours.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await ours.close()
        assert ours.state is State.CLOSED
        with pytest.raises(ConnectionResetError):
            await asyncio.get_running_loop().sock_recv(theirs, 10)


@roles("linger")
@pytest.mark.asyncio
async def test_close_waits_no_longer_than_it_was_told(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, config=IMPATIENT) as world, connected(world, role) as (ours, theirs):
        sending = await fill_the_kernel(ours)
        sending.cancel()
        ours.set_linger(0.2)
        started = time.monotonic()
        await ours.close()
        assert 0.15 < time.monotonic() - started < 5
        assert ours.state is not State.FIN_WAIT_2
        theirs.close()


@roles("linger")
@pytest.mark.asyncio
async def test_the_kernels_close_waits_for_us(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world, connected(world, role) as (ours, theirs):
        theirs.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 20))
        await asyncio.get_running_loop().sock_sendall(theirs, b"last words")
        started = time.monotonic()
        await asyncio.to_thread(theirs.close)
        assert time.monotonic() - started < 5
        assert await receive_all(ours) == b"last words"


# --- TCP_USER_TIMEOUT ---


@FAMILIES
@roles("user timeout")
@pytest.mark.asyncio
async def test_we_give_a_silent_kernel_up_in_time(family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world, connected(world, role) as (ours, _):
        await silence_the_kernel(world)
        ours.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 300)
        started = time.monotonic()
        await ours.send(b"lost")
        with pytest.raises(TimeoutError):
            await ours.recv()
        assert 0.29 < time.monotonic() - started < 5


@roles("user timeout")
@pytest.mark.asyncio
async def test_the_kernel_gives_us_up_in_time(role: str, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path) as world, connected(world, role) as (ours, theirs):
        theirs.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 300)
        theirs.send(b"lost")
        hold_the_loop_until_it_times_out(theirs)
        assert await ours.recv() == b"lost"  # it waited in the device; the kernel knows nothing of the connection any more
        await ours.send(b"late")
        with pytest.raises(ConnectionResetError):
            await ours.recv()


@roles("user timeout")
@pytest.mark.asyncio
async def test_the_kernel_ignores_the_user_timeout_option(role: str, tmp_path: Path) -> None:
    config = StackConfig(msl=SHORT.msl, dad_transmits=0, uto=True, uto_advertise=300 * SECOND)
    async with facing_kernel("tun", tmp_path, config=config) as world, connected(world, role) as (ours, theirs):
        receiving = asyncio.create_task(kernel_receives_all(theirs))
        ours.set_user_timeout_option(advertise=400)
        await ours.send(TEXT)
        await ours.shutdown()
        assert await receiving == TEXT
        theirs.close()
