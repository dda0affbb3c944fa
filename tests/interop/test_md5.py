"""Signed connections (RFC 2385) with the kernel, whose key is set on its socket: both roles, both families."""

import asyncio
import socket
from pathlib import Path

import pytest
from scapy.utils import rdpcap

from tests.interop.families import FAMILIES, IPV4, Family
from tests.interop.waiting import becomes
from tests.interop.world import PORT, World, facing_kernel, kernel_receives_all, receive_all
from tests.support.md5 import FLAG_PREFIX, TCP_MD5SIG, TCP_MD5SIG_EXT, tcp_md5sig
from userstack import Connection, StackConfig, State
from userstack.config import MILLISECOND
from userstack.packetio.impairment import Impairment
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP
from userstack.wire.tcp import ACK, MD5, MSS, NOP, SACK_PERMITTED, SYN, WINDOW_SCALE

CODEC = make_codec("fast")

KEY = b"between routers"
DATA = bytes(range(256)) * 800
ROLE = pytest.mark.parametrize(
    "role",
    [
        pytest.param("active", marks=pytest.mark.matrix("TCP-MD5", "active")),
        pytest.param("passive", marks=pytest.mark.matrix("TCP-MD5", "passive")),
    ],
)


def give_key(sock: socket.socket, peer: str, key: bytes) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, tcp_md5sig(peer, key))


async def open_signed(
    world: World,
    role: str,
    ours: bytes | None,
    theirs: bytes | None,
    *,
    timeout: float = 5,  # noqa: ASYNC109
) -> tuple[Connection, socket.socket]:
    """A connection between two ends with these keys."""
    family, loop = world.family, asyncio.get_running_loop()
    if role == "active":
        server, port = world.listen()
        if theirs is not None:
            give_key(server, family.ours, theirs)
        connection = await world.stack.connect(family.kernel, port, md5_key=ours, timeout=timeout)
        accepted, _ = await loop.sock_accept(server)
        return connection, world.kernel.keep(accepted)
    async with await world.stack.listen(PORT, md5={} if ours is None else {family.kernel: ours}) as listener:
        client = world.socket()
        if theirs is not None:
            give_key(client, family.ours, theirs)
        try:
            async with asyncio.timeout(timeout):
                await loop.sock_connect(client, (family.ours, PORT))
                return await listener.accept(), client
        except TimeoutError:
            client.close()
            raise


async def kernel_counts(world: World) -> dict[str, int]:
    """What of the kernel's TcpExt counters has to do with signatures."""
    lines = (await world.run("cat", "/proc/net/netstat")).out.decode().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("TcpExt:"))
    return {name: int(value) for name, value in zip(names, values, strict=True) if name.startswith("TCPMD5")}


@FAMILIES
@ROLE
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.asyncio
async def test_a_signed_connection_from_its_open_to_its_end(role: str, first: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        ours, theirs = await open_signed(world, role, KEY, KEY)
        async with ours:
            info = ours.info()
            assert info.snd_mss == family.mss - 20
            assert not info.timestamps
            assert info.sack_permitted
            sending = asyncio.create_task(ours.send(DATA))
            await asyncio.get_running_loop().sock_sendall(theirs, DATA)
            if first == "ours":
                await sending
                await ours.shutdown()
                assert await kernel_receives_all(theirs) == DATA
                theirs.close()
                assert await receive_all(ours) == DATA
                assert ours.state is State.TIME_WAIT
            else:
                theirs.shutdown(socket.SHUT_WR)
                assert await receive_all(ours) == DATA
                await sending
                await ours.close()
                assert await kernel_receives_all(theirs) == DATA
                theirs.close()
            await ours.wait_closed()
        assert set((await kernel_counts(world)).values()) == {0}
        assert [name for name in world.stack.counters.snapshot() if "MD5" in name] == []


UNEQUAL = [
    (KEY, b"another", "TcpExtTCPMD5Failure", "TCPMD5Failure"),
    (KEY, None, "TcpExtTCPMD5NotFound", "TCPMD5Unexpected"),
    (None, KEY, "TcpExtTCPMD5Unexpected", "TCPMD5NotFound"),
]
"""Our key and the kernel's, and the counter of whoever of the two gets the other's SYN."""


@pytest.mark.once
@FAMILIES
@ROLE
@pytest.mark.asyncio
async def test_ends_that_do_not_have_the_same_key_never_meet(role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        for ours, theirs, counter_here, counter_there in UNEQUAL:
            with pytest.raises(TimeoutError):
                await open_signed(world, role, ours, theirs, timeout=0.3)
            # Whoever gets the SYN drops it, and then nothing comes back.
            counted = world.stack.counters[counter_here] if role == "passive" else (await kernel_counts(world))[counter_there]
            assert counted > 0
        assert world.stack.counters["TcpOutRsts"] == 0


@pytest.mark.once
@FAMILIES
@ROLE
@pytest.mark.asyncio
async def test_a_key_that_changes_silences_both_until_the_other_end_follows(role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        ours, theirs = await open_signed(world, role, KEY, KEY)
        async with ours:
            ours.set_md5_key(b"new")
            await ours.send(b"heard late")
            await asyncio.get_running_loop().sock_sendall(theirs, b"so was this")
            await becomes(lambda: world.stack.counters["TcpExtTCPMD5Failure"] > 0, "our end drops what the old key signs")
            assert (await kernel_counts(world))["TCPMD5Failure"] > 0
            give_key(theirs, family.ours, b"new")
            assert await asyncio.get_running_loop().sock_recv(theirs, 100) == b"heard late"
            assert await ours.recv() == b"so was this"
            ours.set_linger(0)
        theirs.close()


@FAMILIES
@ROLE
@pytest.mark.asyncio
async def test_resets_are_signed_and_taken_in_both_directions(role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        ours, theirs = await open_signed(world, role, KEY, KEY)
        ours.abort()
        with pytest.raises(ConnectionResetError):
            await asyncio.get_running_loop().sock_recv(theirs, 1)
        theirs.close()
        ours, theirs = await open_signed(world, role, KEY, KEY)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        with pytest.raises(ConnectionResetError):
            await ours.recv()
        await ours.close()
        assert set((await kernel_counts(world)).values()) == {0}


@FAMILIES
@pytest.mark.matrix("TCP-MD5", "passive")
@pytest.mark.asyncio
async def test_prefixes_of_peers_at_both_ends(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        whole = f"{family.kernel}/{family.prefix}"
        async with await world.stack.listen(PORT, md5={whole: b"network", "0.0.0.0/0": b"all", "::/0": b"all"}) as listener:
            client = world.socket()
            anyone = tcp_md5sig(family.ours, b"network", prefix=8, flags=FLAG_PREFIX)
            client.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, anyone)
            await asyncio.get_running_loop().sock_connect(client, (family.ours, PORT))
            async with await listener.accept() as ours:
                await ours.send(b"prefixed")
                assert await asyncio.get_running_loop().sock_recv(client, 10) == b"prefixed"
                client.close()
                assert await ours.recv() == b""


@pytest.mark.once
@ROLE
@pytest.mark.asyncio
async def test_over_a_bad_link_holes_are_told_beside_the_signature(role: str, tmp_path: Path) -> None:
    impairment = Impairment(loss=0.05, reorder=0.05, seed=7)
    config = StackConfig(msl=500 * MILLISECOND, rto_min=50 * MILLISECOND)
    async with facing_kernel("tun", tmp_path, IPV4, impairment=impairment, config=config) as world:
        ours, theirs = await open_signed(world, role, KEY, KEY)
        async with ours:
            sending = asyncio.create_task(ours.send(DATA))
            kernel_sends = asyncio.create_task(asyncio.get_running_loop().sock_sendall(theirs, DATA))
            got = b""
            while len(got) < len(DATA):
                got += await ours.recv()
            assert got == DATA
            await kernel_sends
            await sending
            await ours.shutdown()
            assert await kernel_receives_all(theirs) == DATA
            assert ours.info().total_retrans > 0
            theirs.close()
        assert set((await kernel_counts(world)).values()) == {0}


@FAMILIES
@pytest.mark.matrix("TCP-MD5", "active")
@pytest.mark.asyncio
async def test_the_kernel_refuses_by_the_key_of_who_listens_on_our_port_number(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        server = world.socket()
        give_key(server, family.ours, KEY)
        server.bind((family.kernel, PORT))
        server.listen()
        with pytest.raises(TimeoutError):
            await world.stack.connect(family.kernel, PORT + 1, local_port=PORT + 2, md5_key=KEY, timeout=0.3)
        with pytest.raises(ConnectionRefusedError):
            await world.stack.connect(family.kernel, PORT + 1, local_port=PORT, md5_key=KEY, timeout=5)
        server.close()


@FAMILIES
@pytest.mark.matrix("TCP-MD5", "passive")
@pytest.mark.asyncio
async def test_so_do_we(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world, await world.stack.listen(PORT) as listener:
        client = world.socket()
        give_key(client, family.ours, KEY)
        client.bind((family.kernel, PORT))
        connecting = asyncio.create_task(asyncio.get_running_loop().sock_connect(client, (family.ours, PORT + 1)))
        await becomes(lambda: world.stack.counters["TcpExtTCPMD5Unexpected"] > 0, "our end drops the SYN")
        assert not connecting.done()
        listener.set_md5_key(family.kernel, KEY)
        with pytest.raises(ConnectionRefusedError):  # of the SYN that is sent again after a second
            await connecting
        assert world.stack.counters["TcpOutRsts"] == 1
        client.close()


@FAMILIES
@ROLE
@pytest.mark.asyncio
async def test_the_syns_of_both_ends_have_the_same_options_in_the_same_places(role: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as first:
        ours, theirs = await open_signed(first, role, KEY, KEY)
        theirs.close()
        await ours.close()
        await ours.wait_closed()
    kinds = {}
    for packet in rdpcap(str(tmp_path / "world.pcapng")):
        outer = CODEC.decode_ip(bytes(packet))
        if outer.protocol != TCP:
            continue  # the kernel's router solicitations and group reports
        segment = CODEC.decode_tcp(outer)
        if segment.flags & SYN:
            kinds[segment.flags] = [option.kind for option in segment.options]
        assert [option.kind for option in segment.options[:3]] == [NOP, NOP, MD5]
    assert kinds[SYN] == kinds[SYN | ACK] == [NOP, NOP, MD5, MSS, NOP, NOP, SACK_PERMITTED, NOP, WINDOW_SCALE]
