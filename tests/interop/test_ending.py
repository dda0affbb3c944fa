"""How a connection ends with a real kernel at the other end: halves first, both at once, and in every way that it resets."""

import asyncio
import signal
import socket
import struct
from pathlib import Path
from random import Random

import pytest

from tests.interop.families import FAMILIES, Family
from tests.interop.netcat import End, netcats
from tests.interop.waiting import becomes, eventually
from tests.interop.world import PORT, connected, facing_kernel, kernel_alone, kernel_receives_all, receive_all
from userstack import State

DEVICES = pytest.mark.parametrize("device", ["tun", "veth"])
ROLES = pytest.mark.parametrize("role", ["accepted", "opened"])
OPENING = {"accepted": ["SYN-RECEIVED", "ESTABLISHED"], "opened": ["SYN-SENT", "ESTABLISHED"]}
NOISE = Random(1).randbytes(300_000)
UNREAD = b"never read"
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@FAMILIES
@DEVICES
@ROLES
@pytest.mark.asyncio
async def test_data_flows_after_the_kernels_half_close(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        async with connected(world, role) as (ours, theirs):
            theirs.shutdown(socket.SHUT_WR)
            assert await ours.recv() == b""
            assert ours.state is State.CLOSE_WAIT
            assert [found.state for found in world.kernel_sockets()] == [State.FIN_WAIT_2]
            receiving = asyncio.create_task(kernel_receives_all(theirs))
            await ours.send(NOISE)
            await ours.shutdown()
            assert await receiving == NOISE
            await ours.wait_closed()
        theirs.close()
        assert [found.state for found in world.kernel_sockets()] == [State.TIME_WAIT]
        assert world.passed()[-3:] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]
        assert world.stack.connections() == []


@FAMILIES
@DEVICES
@ROLES
@pytest.mark.asyncio
async def test_data_flows_after_our_half_close(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        async with connected(world, role) as (ours, theirs):
            await ours.shutdown()
            assert await kernel_receives_all(theirs) == b""
            assert await ours.wait_state(State.FIN_WAIT_2) is State.FIN_WAIT_2
            assert [found.state for found in world.kernel_sockets()] == [State.CLOSE_WAIT]
            receiving = asyncio.create_task(receive_all(ours))
            await asyncio.get_running_loop().sock_sendall(theirs, NOISE)
            theirs.close()
            assert await receiving == NOISE
            assert ours.state is State.TIME_WAIT
            await ours.wait_closed()
        assert world.passed()[-4:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
        assert world.kernel_sockets() == []
        assert world.stack.connections() == []


@FAMILIES
@DEVICES
@ROLES
@pytest.mark.asyncio
async def test_both_close_at_once(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        async with connected(world, role) as (ours, theirs):
            theirs.shutdown(socket.SHUT_WR)  # this FIN waits in the device ...
            await ours.shutdown()  # ... while this one goes out, before anything is read
            assert await receive_all(ours) == b""
            assert await kernel_receives_all(theirs) == b""
            await ours.wait_closed()
        assert world.passed() == [*OPENING[role], "FIN-WAIT-1", "CLOSING", "TIME-WAIT", "CLOSED"]
        assert [found.state for found in world.kernel_sockets()] == [State.TIME_WAIT]
    assert world.reading is not None
    assert world.reading.resets[family.ours] == 0


@FAMILIES
@DEVICES
@ROLES
@pytest.mark.asyncio
async def test_the_kernel_resets_by_lingering_for_nothing(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world, connected(world, role) as (ours, theirs):
        receiving = asyncio.create_task(ours.recv())
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        theirs.close()
        with pytest.raises(ConnectionResetError):
            await receiving
        assert ours.state is State.CLOSED
        assert world.stack.connections() == []


@FAMILIES
@DEVICES
@ROLES
@pytest.mark.asyncio
async def test_the_kernel_resets_when_it_closes_without_having_read(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world, connected(world, role) as (ours, theirs):
        await ours.send(UNREAD)
        await becomes(lambda: ours.info().bytes_acked == len(UNREAD), "the kernel has it")
        theirs.close()
        with pytest.raises(ConnectionResetError):
            await ours.recv()
        with pytest.raises(BrokenPipeError):
            await ours.send(b"more")


@FAMILIES
@DEVICES
@ROLES
@pytest.mark.asyncio
async def test_the_kernel_resets_for_a_program_that_was_killed(device: str, family: Family, role: str, tmp_path: Path) -> None:
    """``nc`` is stopped first, so that it cannot read what the kernel then has for it when it dies."""
    async with facing_kernel(device, tmp_path, family) as world, await world.stack.listen(PORT) as listener:
        if role == "accepted":
            peer = world.kernel.popen(["nc", family.ours, str(PORT)])
            ours = await listener.accept()
        else:
            peer = world.kernel.popen(["nc", *family.netcat_options, "-l", str(PORT)])
            await world.listens(PORT)
            ours = await world.stack.connect(family.kernel, PORT)
        async with ours:
            peer.send_signal(signal.SIGSTOP)
            await becomes(lambda: _process_state(peer.pid) == "T", "nc is stopped")
            await ours.send(UNREAD)
            await becomes(lambda: ours.info().bytes_acked == len(UNREAD), "the kernel has it")
            peer.kill()
            with pytest.raises(ConnectionResetError):
                await ours.recv()
        peer.communicate()


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_we_reset_the_kernel(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world, connected(world, "accepted") as (ours, theirs):
        ours.abort()
        with pytest.raises(ConnectionResetError):
            await asyncio.get_running_loop().sock_recv(theirs, 10)
        assert world.kernel_sockets() == []
    assert world.reading is not None
    assert world.reading.resets[family.ours] == 1


@pytest.mark.parametrize("we_listen", [True, False])
def test_netcat_says_that_it_was_reset(we_listen: bool) -> None:
    with kernel_alone() as kernel, netcats(kernel, len(NOISE) * 100, "--rate", "200", we_listen=we_listen) as pair:
        eventually(lambda: _bytes_received(pair.ours) > len(NOISE), "the transfer is in full flow")
        pair.kernel.process.kill()
        assert pair.ours.finish() == (1, "userstack nc: Connection reset by peer\n")


def _bytes_received(end: End) -> int:
    return sum(row["info"]["bytes_received"] for row in end.connections("ESTABLISHED"))


def _process_state(pid: int) -> str:
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
