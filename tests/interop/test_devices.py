"""Every device and codec, with the kernel's offload on and off: ping, and a mebibyte each way at once."""

import asyncio
import socket
from pathlib import Path
from random import Random

import pytest

from tests.interop.families import FAMILIES, Family
from tests.interop.world import World, connected, facing_kernel, kernel_receives_all, receive_all
from userstack.host.offload import all_offload, read_offload, set_offload
from userstack.packetio.veth import VethPair

MEBIBYTE = 1 << 20
FULL = 0
"""As much as a packet of the link's MTU carries."""


async def both_ways(world: World, role: str, size: int) -> None:
    """``size`` bytes each way at once, then both ends close."""
    up, down = Random(1).randbytes(size), Random(2).randbytes(size)
    loop = asyncio.get_running_loop()
    async with connected(world, role) as (ours, theirs):

        async def kernel_sends() -> None:
            await loop.sock_sendall(theirs, down)
            theirs.shutdown(socket.SHUT_WR)

        receiving = asyncio.gather(receive_all(ours), kernel_receives_all(theirs))
        sending = asyncio.create_task(kernel_sends())
        await ours.send(up)
        await ours.shutdown()
        await sending
        to_us, to_the_kernel = await receiving
        assert to_us == down
        assert to_the_kernel == up


@FAMILIES
@pytest.mark.parametrize("size", [56, 1400, FULL])
@pytest.mark.parametrize("device", ["tun", "tap", "veth"])
@pytest.mark.asyncio
async def test_ping_is_answered(device: str, family: Family, size: int, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        octets = family.mss + 12 if size == FULL else size  # the header of an echo is 8 octets long, that of TCP 20
        done = await world.run("ping", "-c", "3", "-i", "0.01", "-W", "5", "-s", str(octets), family.ours)
        assert done.code == 0
        assert b"3 received, 0% packet loss" in done.out
    assert world.reading is not None
    assert world.reading.echo_replies[family.ours] == 3


@FAMILIES
@pytest.mark.parametrize("role", ["accepted", "opened"])
@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.asyncio
async def test_veth_with_offload_on_and_off(offload: bool, role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("veth", tmp_path, family) as world:
        device = world.stack.device
        assert isinstance(device, VethPair)
        set_offload(device.peer, all_offload(offload), namespace=world.kernel.name)
        assert read_offload(device.peer, namespace=world.kernel.name) == all_offload(offload)
        await both_ways(world, role, MEBIBYTE)
        assert world.stack.counters["TcpInCsumErrors"] == 0


@FAMILIES
@pytest.mark.parametrize("role", ["accepted", "opened"])
@pytest.mark.parametrize("device", ["tun", "tap"])
@pytest.mark.asyncio
async def test_a_mebibyte_each_way(device: str, family: Family, role: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world:
        await both_ways(world, role, MEBIBYTE)


@FAMILIES
@pytest.mark.parametrize("device", ["tun", "veth"])
@pytest.mark.asyncio
async def test_scapy_reads_and_builds_every_packet(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family, codec="scapy") as world:
        assert world.stack.host.codec.name == "scapy"
        await both_ways(world, "accepted", MEBIBYTE // 4)
