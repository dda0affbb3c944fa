"""TCP Fast Open (RFC 7413) with the kernel, both ways: a cookie is asked for, and the next SYN brings data."""

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.families import FAMILIES, IPV4, Family
from tests.interop.waiting import becomes
from tests.interop.world import PORT, SHORT, World, facing_kernel, kernel_receives_all, receive_all
from userstack.address import pack_address
from userstack.host.inside import write_sysctl
from userstack.net.siphash import siphash
from userstack.sim.fast_open_options import TCP_FASTOPEN
from userstack.sim.transfer import MSG_FASTOPEN
from userstack.tcp.state import State

TCP = 6
REQUEST, ANSWER = b"a question, " * 50, b"an answer, " * 50
SERVING = replace(SHORT, fast_open=3)
KEY = "00010203-04050607-08090a0b-0c0d0e0f"
KEY_OCTETS = b"".join(bytes.fromhex(word)[::-1] for word in KEY.split("-"))


class Syn(NamedTuple):
    """A segment with SYN in a capture."""

    source: str
    octets: int
    acknowledged: bool
    """It acknowledges more than a SYN."""
    cookie: str


def syns(path: Path) -> list[Syn]:
    """Those of a capture, in their order, as tshark reads them."""
    fields = ("ip.src", "ipv6.src", "tcp.len", "tcp.ack", "tcp.options.tfo.cookie")
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp.flags.syn == 1", "-T", "fields", "-E", "separator=|"]
    command += [word for name in fields for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = (line.split("|") for line in done.stdout.splitlines())
    return [Syn(four or six, int(octets), int(ack or 0) > 1, cookie) for four, six, octets, ack, cookie in lines]


async def exchange_as_kernel(world: World) -> int | None:
    """The kernel's end of one connection: how many octets went with its SYN; None: there was no cookie yet."""
    client = world.socket()
    taken: int | None = None
    try:
        taken = client.sendto(REQUEST, MSG_FASTOPEN, (world.family.ours, PORT))
    except BlockingIOError:
        await asyncio.get_running_loop().sock_sendall(client, REQUEST)
    assert await kernel_receives_all(client) == ANSWER
    client.close()
    return taken


async def kernel_counts(world: World, name: str) -> int:
    done = await world.run("nstat", "-asz", name)
    return int(done.out.split(name.encode())[1].split()[0])


@FAMILIES
@pytest.mark.asyncio
@pytest.mark.matrix("Fast Open", "passive")
async def test_the_kernel_asks_for_a_cookie_and_its_next_syn_brings_data(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family, config=replace(SERVING, fast_open_key=KEY_OCTETS)) as world:
        async with await world.stack.listen(PORT, fast_open=5) as listener:
            for taken in (None, len(REQUEST)):
                client = asyncio.create_task(exchange_as_kernel(world))
                async with await listener.accept() as connection:
                    data = b""
                    while len(data) < len(REQUEST):
                        data += await connection.recv()
                    assert data == REQUEST
                    await connection.send(ANSWER)
                    await connection.shutdown()
                    assert await client == taken
                    assert await connection.recv() == b""
                    assert connection.info().syn_data == (taken is not None)
        counters = world.stack.counters
        assert (counters["TcpExtTCPFastOpenCookieReqd"], counters["TcpExtTCPFastOpenPassive"]) == (1, 1)
        assert await kernel_counts(world, "TcpExtTCPFastOpenActive") == 1
        assert await kernel_counts(world, "TcpExtTCPFastOpenActiveFail") == 0
    first, granted, second, accepted = syns(tmp_path / "world.pcapng")
    assert (first.octets, second.octets) == (0, len(REQUEST))
    assert not granted.acknowledged
    assert accepted.acknowledged
    assert bytes.fromhex(second.cookie) == bytes.fromhex(granted.cookie) != b""


@FAMILIES
@pytest.mark.asyncio
@pytest.mark.matrix("Fast Open", "active")
async def test_the_kernel_gives_a_cookie_and_takes_the_data_of_our_next_syn(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        write_sysctl("net.ipv4.tcp_fastopen", "3", namespace=world.kernel.name)
        write_sysctl("net.ipv4.tcp_fastopen_key", KEY, namespace=world.kernel.name)
        server, port = world.listen()
        server.setsockopt(TCP, TCP_FASTOPEN, 5)
        loop = asyncio.get_running_loop()
        for with_syn in (False, True):
            async with await world.stack.connect(family.kernel, port, fast_open=REQUEST) as connection:
                assert connection.info().syn_data == with_syn
                theirs, _ = await loop.sock_accept(server)
                data = b""
                while len(data) < len(REQUEST):
                    data += await loop.sock_recv(theirs, 65536)
                assert data == REQUEST
                await loop.sock_sendall(theirs, ANSWER)
                theirs.close()
                assert await receive_all(connection) == ANSWER
        assert world.stack.counters["TcpExtTCPFastOpenActive"] == 1
        assert world.stack.counters["TcpExtTCPFastOpenActiveFail"] == 0
        assert await kernel_counts(world, "TcpExtTCPFastOpenPassive") == 1
        await becomes(lambda: all(found.state is State.TIME_WAIT for found in world.kernel_sockets()), "the kernel is done")
    first, granted, second, accepted = syns(tmp_path / "world.pcapng")
    assert (first.octets, second.octets) == (0, len(REQUEST))
    assert not granted.acknowledged
    assert accepted.acknowledged
    ours, theirs_ = (pack_address(address) for address in (family.ours, family.kernel))
    assert bytes.fromhex(second.cookie) == siphash(KEY_OCTETS, ours + theirs_), "the kernel makes cookies as we do"


@pytest.mark.asyncio
@pytest.mark.matrix("Fast Open", "active")
async def test_the_kernel_has_changed_its_key_and_our_data_follows_the_handshake(tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, IPV4) as world:
        write_sysctl("net.ipv4.tcp_fastopen", "3", namespace=world.kernel.name)
        server, port = world.listen()
        server.setsockopt(TCP, TCP_FASTOPEN, 5)
        loop = asyncio.get_running_loop()
        for key in ("1-2-3-4", "5-6-7-8", "5-6-7-8"):
            write_sysctl("net.ipv4.tcp_fastopen_key", key, namespace=world.kernel.name)
            async with await world.stack.connect(IPV4.kernel, port, fast_open=REQUEST) as connection:
                theirs, _ = await loop.sock_accept(server)
                data = b""
                while len(data) < len(REQUEST):
                    data += await loop.sock_recv(theirs, 65536)
                assert data == REQUEST
                theirs.close()
                assert await receive_all(connection) == b""
        counters = world.stack.counters
        assert (counters["TcpExtTCPFastOpenActive"], counters["TcpExtTCPFastOpenActiveFail"]) == (1, 1)
