"""SYN cookies with the kernel at the other end, who sends them and who gets them; TIME-WAIT taken over by both."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.families import IPV4, IPV6, Family
from tests.interop.waiting import becomes
from tests.interop.world import PORT, SHORT, World, facing_kernel, kernel_receives_all, receive_all
from userstack import Connection, State
from userstack.config import MILLISECOND, SECOND
from userstack.host.inside import write_sysctl

pytestmark = [pytest.mark.once, pytest.mark.asyncio]

FAMILIES = pytest.mark.parametrize("family", [IPV4, IPV6], ids=["ipv4", "ipv6"])
STAMPS = pytest.mark.parametrize("stamps", [True, False], ids=["timestamps", "plain"])
ALWAYS = replace(SHORT, syncookies=2, receive_buffer=1 << 20)
AMOUNT = 1_000_000
"""Octets: more than fits into a window that is not scaled, many times."""


def of_kernel(world: World, name: str) -> int:
    """A counter of TcpExt."""
    lines = world.kernel.run(["cat", "/proc/net/netstat"]).stdout.decode().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("TcpExt:"))
    return int(values[names.index(name)])


def set_timestamps(world: World, on: bool) -> None:
    write_sysctl("net.ipv4.tcp_timestamps", str(int(on)), namespace=world.kernel.name)


async def there_and_back(ours: Connection, theirs: socket.socket) -> None:
    """Much of both directions, and both FINs."""
    loop, sent = asyncio.get_running_loop(), bytes(range(250)) * (AMOUNT // 250)

    async def kernel_speaks() -> None:
        await loop.sock_sendall(theirs, sent)
        theirs.shutdown(socket.SHUT_WR)

    async def we_speak() -> None:
        await ours.send(sent)
        await ours.shutdown()

    async with asyncio.TaskGroup() as group:
        group.create_task(kernel_speaks())
        group.create_task(we_speak())
        got = group.create_task(receive_all(ours))
        their = group.create_task(kernel_receives_all(theirs))
    assert got.result() == sent
    assert their.result() == sent


@pytest.mark.matrix("SYN cookies", "passive")
@FAMILIES
@STAMPS
async def test_the_kernel_connects_by_our_cookies(family: Family, stamps: bool, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family, config=ALWAYS) as world, await world.stack.listen(PORT) as listener:
        set_timestamps(world, stamps)
        theirs = await world.connect()
        async with await listener.accept() as ours:
            info = ours.info()
            assert info.timestamps is info.sack_permitted is stamps
            assert (info.snd_wscale is not None) is stamps
            assert info.rcv_wscale == (5 if stamps else None)
            await there_and_back(ours, theirs)
        counters = world.stack.counters
        assert (counters["TcpExtSyncookiesSent"], counters["TcpExtSyncookiesRecv"]) == (1, 1)
        assert counters["TcpExtSyncookiesFailed"] == 0


@pytest.mark.matrix("SYN cookies", "active")
@FAMILIES
@STAMPS
async def test_we_connect_by_the_kernels_cookies(family: Family, stamps: bool, tmp_path: Path) -> None:
    config = replace(ALWAYS, timestamps=stamps)
    async with facing_kernel("tun", tmp_path, family, config=config) as world:
        write_sysctl("net.ipv4.tcp_syncookies", "2", namespace=world.kernel.name)
        server, port = world.listen()
        async with await world.stack.connect(family.kernel, port) as ours:
            theirs, _ = await asyncio.get_running_loop().sock_accept(server)
            world.kernel.keep(theirs)
            assert (ours.info().snd_wscale is not None) is stamps
            await there_and_back(ours, theirs)
        server.close()
        assert (of_kernel(world, "SyncookiesSent"), of_kernel(world, "SyncookiesRecv")) == (1, 1)


@pytest.mark.matrix("SYN cookies", "passive")
async def test_kernel_clients_get_in_though_the_syn_queue_is_full(tmp_path: Path) -> None:
    """Half-open connections of nobody fill it; tcp_syncookies is 1, the default."""
    async with facing_kernel("tun", tmp_path, config=SHORT) as world, await world.stack.listen(PORT, backlog=4) as listener:
        # Their SYN,ACKs go to an address that nobody has, and are never answered.
        done = await world.run("python3", "-c", FLOOD, IPV4.ours, str(PORT))
        assert done.code == 0, done.complaint
        await becomes(lambda: world.stack.counters["TcpExtTCPReqQFullDoCookies"] > 0, "the SYN queue is full")
        clients = [await world.connect() for _ in range(3)]
        for client in clients:
            async with await listener.accept() as ours:
                await ours.send(b"welcome")
                assert await asyncio.get_running_loop().sock_recv(client, 100) == b"welcome"
        assert world.stack.counters["TcpExtSyncookiesRecv"] == 3


FLOOD = """
import socket, struct, sys
there, port = socket.inet_aton(sys.argv[1]), int(sys.argv[2])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for number in range(50):
    source = there[:3] + bytes([200 + number % 50])
    tcp = struct.pack("!HHIIBBHHH", 1024 + number, port, number, 0, 0x50, 2, 1000, 0, 0)
    words = struct.unpack("!16H", source + there + struct.pack("!HH", 6, len(tcp)) + tcp)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    tcp = tcp[:16] + struct.pack("!H", ~total & 0xFFFF) + tcp[18:]
    raw.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 40, number, 0, 64, 6, 0) + source + there + tcp, (sys.argv[1], 0))
"""


# --- TIME-WAIT ---


@pytest.mark.matrix("TIME-WAIT reuse", "active")
@FAMILIES
async def test_our_syn_reopens_what_the_kernel_has_in_time_wait(family: Family, tmp_path: Path) -> None:
    """RFC 6191: one ephemeral port, so that each connection is between the same sockets; our clock goes on."""
    config = replace(SHORT, ephemeral_ports=(40_000, 40_000))
    async with facing_kernel("tun", tmp_path, family, config=config) as world:
        server, port = world.listen()
        for number in range(3):
            async with await world.stack.connect(family.kernel, port, timeout=2) as ours:
                theirs, _ = await asyncio.get_running_loop().sock_accept(server)
                theirs.close()
                assert await ours.recv() == b""
            await becomes(lambda: not world.stack.connections(), "our end is gone")
            assert State.TIME_WAIT in {found.state for found in world.kernel_sockets()}, number
        server.close()


@pytest.mark.matrix("TIME-WAIT reuse", "active")
@FAMILIES
async def test_we_take_our_own_pair_of_sockets_out_of_time_wait(family: Family, tmp_path: Path) -> None:
    """tcp_tw_reuse=1: the kernel, which has forgotten the old connection, takes the new one."""
    config = replace(SHORT, msl=30 * SECOND, tw_reuse=1, tw_reuse_delay=50 * MILLISECOND, ephemeral_ports=(40_000, 40_000))
    async with facing_kernel("tun", tmp_path, family, config=config) as world:
        server, port = world.listen()
        for number in range(3):
            async with await world.stack.connect(family.kernel, port, timeout=2) as ours:
                theirs, _ = await asyncio.get_running_loop().sock_accept(server)
                await ours.send(b"x" * number)
                await ours.close()
                await kernel_receives_all(theirs)
                theirs.close()
            await becomes(lambda: {row.state for row in world.stack.connections()} == {State.TIME_WAIT}, "we are in TIME-WAIT")
            await asyncio.sleep(0.06)
        server.close()
        assert world.stack.counters["TcpExtTWRecycled"] == 2


@pytest.mark.matrix("TIME-WAIT reuse", "passive")
@FAMILIES
async def test_the_kernel_reopens_what_we_have_in_time_wait(family: Family, tmp_path: Path) -> None:
    config = replace(SHORT, msl=30 * SECOND)
    async with facing_kernel("tun", tmp_path, family, config=config) as world, await world.stack.listen(PORT) as listener:
        write_sysctl("net.ipv4.ip_local_port_range", "40000 40000", namespace=world.kernel.name)
        for number in range(3):
            theirs = await world.connect()
            async with await listener.accept() as ours:
                await ours.close()
            assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b"", number
            theirs.close()
            states = [State.LISTEN, State.TIME_WAIT]
            await becomes(lambda: [row.state for row in world.stack.connections()] == states, "we are in TIME-WAIT")  # noqa: B023
