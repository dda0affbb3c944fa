"""What IPv6 alone has: neighbours and who may have an address, links in names, both families on one socket, a narrow path."""

import asyncio
import errno
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

import userstack
from tests.interop.families import IPV4, IPV6
from tests.interop.waiting import becomes
from tests.interop.world import PORT, World, facing_kernel, kernel_receives_all, receive_all
from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace, nothing_left_behind
from userstack import Stack, StackConfig
from userstack.config import MILLISECOND
from userstack.host.addresses import add_address, list_addresses
from userstack.host.inside import write_sysctl
from userstack.host.links import create_veth, read_link, remove_link, set_link, wait_until_running
from userstack.packetio.veth import VethPair

FRAMES = pytest.mark.parametrize("device", ["tap", "veth"])
MAYBE = StackConfig(msl=500 * MILLISECOND, dad_transmits=1)
"""Others on the link are asked about our addresses first, as by default."""
NOISE = Random(1).randbytes(300_000)
OURS, THEIRS = f"{DEVICE_PREFIX}o", f"{DEVICE_PREFIX}t"


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[KernelNamespace, KernelNamespace]]:
    """A veth pair between two kernels: ``OURS`` in the first, ``THEIRS``, with fd77::1, in the second."""
    with nothing_left_behind(), kernel_namespace() as machine, kernel_namespace() as other:
        create_veth(OURS, THEIRS, namespace=machine.name, peer_namespace=other.name)
        for device, place in ((OURS, machine), (THEIRS, other)):
            set_link(device, namespace=place.name, up=True)
        for device, place in ((OURS, machine), (THEIRS, other)):
            wait_until_running(device, namespace=place.name)
        add_address(THEIRS, f"{IPV6.kernel}/64", namespace=other.name)
        yield machine, other


async def greet(stack: Stack, kernel: KernelNamespace, address: str = IPV6.ours) -> None:
    """The kernel connects to us; each says a word."""
    async with await stack.listen(PORT) as listener:
        client = kernel.socket(socket.AF_INET6)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (address, PORT))
        async with await listener.accept() as connection:
            await connection.send(b"welcome")
            assert await asyncio.get_running_loop().sock_recv(client, 100) == b"welcome"
        client.close()


# --- who may have an address (RFC 4862 5.4) ---


@FRAMES
@pytest.mark.asyncio
async def test_a_stack_asks_first_and_then_speaks(device: str, tmp_path: Path) -> None:
    before = asyncio.get_running_loop().time()
    async with facing_kernel(device, tmp_path, IPV6, config=MAYBE) as world:
        assert asyncio.get_running_loop().time() - before > 1  # RetransTimer
        await greet(world.stack, world.kernel)
    assert world.reading is not None
    assert world.reading.sent["::"] >= 2  # the question about fd77::2, and that about our link-local address


@pytest.mark.asyncio
async def test_an_address_that_the_kernel_has_is_refused_and_the_device_given_back() -> None:
    async with cable() as (machine, other):
        add_address(THEIRS, f"{IPV6.ours}/64", namespace=other.name)
        add_address(OURS, "fd77::5/64", namespace=machine.name)
        with pytest.raises(
            userstack.CallerError, match=f"another node on the link of {OURS} has fd77::2: choose another"
        ) as caught:
            await userstack.interface(OURS, f"{IPV6.ours}/64", netns=machine.name).__aenter__()
        assert caught.value.errno == errno.EADDRINUSE
        assert "fd77::5/64" in [entry.address for entry in list_addresses(namespace=machine.name)]


@pytest.mark.asyncio
async def test_the_kernel_finds_that_we_have_the_address_that_it_wants() -> None:
    async with cable() as (machine, other), userstack.interface(OURS, f"{IPV6.ours}/64", netns=machine.name):
        assert other.run(["ip", "address", "add", f"{IPV6.ours}/64", "dev", THEIRS]).returncode == 0

        def refused() -> bool:
            return b"dadfailed" in other.run(["ip", "address", "show", "dev", THEIRS]).stdout

        await becomes(refused, "the kernel finds the duplicate")


# --- neighbours (RFC 4861) ---


@FRAMES
@pytest.mark.asyncio
async def test_the_kernel_knows_us_and_asks_whether_we_are_still_there(device: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, IPV6) as world:
        name = world.stack.device.peer if isinstance(world.stack.device, VethPair) else world.stack.device.name
        write_sysctl(f"net/ipv6/neigh/{name}/delay_first_probe_time", "1", namespace=world.kernel.name)
        assert (await world.run("ping", "-c", "1", "-W", "5", IPV6.ours)).code == 0
        mac = world.stack.device.mac
        assert mac is not None

        def known(state: str) -> bool:
            told = world.kernel.run(["ip", "-6", "neighbour", "show", IPV6.ours]).stdout.decode()
            return mac.hex(":") in told and state in told

        assert known("REACHABLE")
        world.kernel.run(["ip", "-6", "neighbour", "change", IPV6.ours, "lladdr", mac.hex(":"), "dev", name, "nud", "stale"])
        assert known("STALE")
        asked = world.stack.counters["Icmp6InNeighborSolicits"]
        assert (await world.run("ping", "-c", "1", "-W", "5", IPV6.ours)).code == 0
        await becomes(lambda: known("REACHABLE"), "the kernel has asked, and was answered")
        assert world.stack.counters["Icmp6InNeighborSolicits"] > asked


@pytest.mark.asyncio
async def test_nobody_is_there(tmp_path: Path) -> None:
    """RFC 4861 7.2.2: three questions, a second apart."""
    async with facing_kernel("veth", tmp_path, IPV6) as world:
        with pytest.raises(OSError, match="No route to host") as caught:
            await world.stack.connect("fd77::99", PORT)
        assert caught.value.errno == errno.EHOSTUNREACH


# --- links ---


@pytest.mark.parametrize("device", ["tun", "tap", "veth"])
@pytest.mark.asyncio
async def test_connections_between_link_local_addresses(device: str, tmp_path: Path) -> None:
    """On frames the stack has made itself one (RFC 4291 2.8); a TUN has none but those that it is given."""
    given = ["fe80::2/64"] if device == "tun" else [f"{IPV6.ours}/64"]
    ways = {"tun": userstack.tun, "tap": userstack.tap, "veth": userstack.veth}
    config = StackConfig(msl=500 * MILLISECOND, dad_transmits=0)
    with nothing_left_behind(), kernel_namespace() as kernel:
        async with ways[device](*given, netns=kernel.name, config=config) as stack:
            name = stack.device.peer if isinstance(stack.device, VethPair) else stack.device.name
            [ours] = [str(one).partition("/")[0] for one in stack.host.interfaces if str(one).startswith("fe80:")]
            if device != "tun":
                add_address(name, "fe80::1/64", namespace=kernel.name)
            scope = read_link(name, namespace=kernel.name).index
            loop = asyncio.get_running_loop()
            async with await stack.listen(PORT) as listener:
                client = kernel.socket(socket.AF_INET6)
                client.setblocking(False)
                client.bind(("fe80::1", 0, 0, scope))
                await loop.sock_connect(client, (ours, PORT, 0, scope))
                async with await listener.accept() as connection:
                    assert connection.getpeername() == ("fe80::1", client.getsockname()[1], 0, 1)
                client.close()
            server = kernel.socket(socket.AF_INET6)
            server.bind(("fe80::1", 0, 0, scope))
            server.listen()
            server.setblocking(False)
            async with await stack.connect(f"fe80::1%{stack.device.name}", server.getsockname()[1]) as connection:
                accepted, peer = await loop.sock_accept(server)
                assert peer[:2] == connection.getsockname()[:2]
                accepted.close()


# --- both families on one socket (RFC 3493 3.7) ---


@pytest.mark.parametrize("device", ["tun", "veth"])
@pytest.mark.asyncio
async def test_one_listener_serves_clients_of_both_families(device: str, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, IPV6) as world, await world.stack.listen(PORT) as listener:
        for family, mapped in ((IPV6, ""), (IPV4, "::ffff:")):
            client = await world.connect(family=family)
            async with await listener.accept() as connection:
                assert connection.getpeername() == (f"{mapped}{family.kernel}", client.getsockname()[1], 0, 0)
                assert connection.getsockname() == (f"{mapped}{family.ours}", PORT, 0, 0)
                receiving = asyncio.create_task(kernel_receives_all(client))
                await connection.send(NOISE)
                await connection.shutdown()
                assert await receiving == NOISE
            client.close()


@pytest.mark.asyncio
async def test_a_socket_of_both_families_of_the_kernels_is_reached_over_either(tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, IPV6) as world:
        server = world.socket(IPV6)
        server.bind(("::", PORT))
        server.listen()
        for address in (IPV6.kernel, IPV4.kernel, f"::ffff:{IPV4.kernel}"):
            async with await world.stack.connect(address, PORT) as connection:
                accepted, name = await asyncio.get_running_loop().sock_accept(server)
                assert name[1] == connection.getsockname()[1]
                assert connection.getpeername()[0] == address
                accepted.close()
                assert await connection.recv() == b""


# --- a narrow path (RFC 8201) ---


@pytest.mark.asyncio
async def test_a_packet_that_is_too_big_for_the_path_is_sent_again_smaller(tmp_path: Path) -> None:
    """Beyond the kernel at the other end is a link that carries 1300 octets; its "packet too big" says so."""
    async with narrow_path(tmp_path) as (world, far):
        server = far.socket(socket.AF_INET6)
        server.bind(("fd78::2", PORT))
        server.listen()
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        async with await world.stack.connect("fd78::2", PORT) as connection:
            accepted, _ = await loop.sock_accept(server)
            accepted.setblocking(False)
            full = connection.info().snd_mss
            receiving = asyncio.create_task(kernel_receives_all(accepted))
            await connection.send(NOISE)
            await connection.shutdown()
            assert await receiving == NOISE
            assert connection.info().snd_mss == full - 200
            accepted.close()
            assert await receive_all(connection) == b""


@asynccontextmanager
async def narrow_path(folder: Path) -> AsyncIterator[tuple[World, KernelNamespace]]:
    async with facing_kernel("tun", folder, IPV6) as world:
        with kernel_namespace() as far:
            for place, what in itertools.product((world.kernel, far), ("all", "default")):
                write_sysctl(f"net/ipv6/conf/{what}/accept_dad", "0", namespace=place.name)  # else the first second is lost
            create_veth(OURS, THEIRS, namespace=world.kernel.name, peer_namespace=far.name)
            for device, place in ((OURS, world.kernel), (THEIRS, far)):
                set_link(device, namespace=place.name, up=True)
            wait_until_running(THEIRS, namespace=far.name)
            set_link(OURS, namespace=world.kernel.name, mtu=1300)
            add_address(OURS, "fd78::1/64", namespace=world.kernel.name)
            add_address(THEIRS, "fd78::2/64", namespace=far.name)
            assert far.run(["ip", "-6", "route", "add", "fd77::/64", "via", "fd78::1"]).returncode == 0
            write_sysctl("net.ipv6.conf.all.forwarding", "1", namespace=world.kernel.name)
            yield world, far
            remove_link(OURS, namespace=world.kernel.name)  # with its namespace it would go only when the kernel finds the time
