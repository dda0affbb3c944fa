"""With a kernel that routes in between: path MTUs that it tells, source routes through it, and what it knows no way to."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.families import FAMILIES, IPV4, Family
from tests.interop.routed import Peer, behind_router, ip
from tests.interop.world import PORT, SHORT, facing_kernel, kernel_receives_all, receive_all
from userstack import StackConfig, State
from userstack.host.inside import write_sysctl

pytestmark = pytest.mark.once

SMALL = 1300
"""Octets that the link takes which is on the way and at neither end."""
PAYLOAD = bytes(range(251)) * 400
IP_MTU, IPV6_MTU, IP_MINTTL = 14, 24, 21


def listens(peer: Peer, family: Family) -> tuple[socket.socket, int]:
    """A listening socket of the peer's, and its port."""
    server = peer.kernel.socket(family.number)
    server.bind((peer.address, 0))
    server.listen(4)
    server.setblocking(False)
    return server, server.getsockname()[1]


async def accepted(peer: Peer, server: socket.socket) -> socket.socket:
    theirs, _ = await asyncio.get_running_loop().sock_accept(server)
    return peer.kernel.keep(theirs)


@FAMILIES
@pytest.mark.matrix("path MTU discovery", "active")
@pytest.mark.asyncio
async def test_we_follow_what_a_router_tells_of_the_path(family: Family, tmp_path: Path) -> None:
    """RFC 1191, RFC 8201: with the peer's own link, and so its MSS, larger than the path."""
    async with facing_kernel("tun", tmp_path, family) as world:
        with behind_router(world) as peer:
            ip(world.kernel, "link", "set", peer.veth, "mtu", str(SMALL))
            server, port = listens(peer, family)
            ours = await world.stack.connect(peer.address, port)
            theirs = await accepted(peer, server)
            assert ours.info().path_mtu == 1500
            reading = asyncio.create_task(kernel_receives_all(theirs))
            await ours.send(PAYLOAD)
            await ours.shutdown()
            assert await reading == PAYLOAD
            theirs.close()
            assert ours.info().path_mtu == SMALL
            assert ours.info().cwnd >= 10 * ours.info().snd_mss, "a path that is narrow is not congested"
            await ours.close()
            again = await world.stack.connect(peer.address, port)
            assert again.info().path_mtu == SMALL, "the path is known"
            (await accepted(peer, server)).close()
            assert await again.recv() == b""
            await again.close()
            await again.wait_closed()
            assert world.stack.counters["TcpExtOutOfWindowIcmps"] == 0
            server.close()


@FAMILIES
@pytest.mark.matrix("path MTU discovery", "passive")
@pytest.mark.asyncio
async def test_the_kernel_follows_what_a_router_tells_of_the_path_to_us(family: Family, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, family) as world:
        with behind_router(world) as peer:
            ip(world.kernel, "link", "set", peer.tun, "mtu", str(SMALL))
            async with await world.stack.listen(PORT) as listener:
                theirs = peer.kernel.socket(family.number)
                theirs.setblocking(False)
                await asyncio.get_running_loop().sock_connect(theirs, (family.ours, PORT))
                async with await listener.accept() as ours:
                    reading = asyncio.create_task(receive_all(ours))
                    await asyncio.get_running_loop().sock_sendall(theirs, PAYLOAD)
                    theirs.shutdown(socket.SHUT_WR)
                    assert await reading == PAYLOAD
                    level, option = (socket.IPPROTO_IP, IP_MTU) if family is IPV4 else (socket.IPPROTO_IPV6, IPV6_MTU)
                    assert theirs.getsockopt(level, option) == SMALL
                    await ours.send(PAYLOAD)
                    await ours.shutdown()
                    assert await kernel_receives_all(theirs) == PAYLOAD
                theirs.close()


# --- source routes ---

BY_ROUTES = replace(SHORT, accept_source_route=True)


def take_source_routes(*kernels: str) -> None:
    """Kernels drop what names its route unless told otherwise."""
    for name in kernels:
        for scope in ("all", "default"):
            write_sysctl(f"net.ipv4.conf.{scope}.accept_source_route", "1", namespace=name)


@pytest.mark.matrix("source route", "active")
@pytest.mark.requirement("MUST-51")
@pytest.mark.requirement("MUST-52")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.asyncio
async def test_the_kernel_gets_what_we_send_by_a_route_and_sends_back_by_it(strict: bool, tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, IPV4, config=BY_ROUTES) as world:
        with behind_router(world) as peer:
            take_source_routes(world.kernel.name, peer.kernel.name)
            server, port = listens(peer, IPV4)
            ours = await world.stack.connect(peer.address, port, source_route=[IPV4.kernel], strict_route=strict)
            theirs = await accepted(peer, server)
            # What the kernel has made of it: back through the router's address on its own side.
            back = theirs.getsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, 40)
            assert back == bytes((137 if strict else 131, 7, 4)) + socket.inet_aton(peer.router) + b"\0"
            await asyncio.get_running_loop().sock_sendall(theirs, PAYLOAD)
            theirs.shutdown(socket.SHUT_WR)
            assert await receive_all(ours) == PAYLOAD
            assert ours.source_route == (IPV4.kernel,), "what came back by a route of its own has changed nothing"
            assert ours.info().snd_mss == 1460 - 8 - 12
            reading = asyncio.create_task(kernel_receives_all(theirs))
            await ours.send(PAYLOAD)
            await ours.close()
            assert await reading == PAYLOAD
            theirs.close()
            server.close()
            assert world.stack.counters["IpInSourceRouteDrops"] == 0


@pytest.mark.matrix("source route", "passive")
@pytest.mark.requirement("MUST-53")
@pytest.mark.asyncio
async def test_we_send_back_by_the_route_that_the_kernel_has_come(tmp_path: Path) -> None:
    async with facing_kernel("tun", tmp_path, IPV4, config=BY_ROUTES) as world:
        with behind_router(world) as peer:
            take_source_routes(world.kernel.name, peer.kernel.name)
            async with await world.stack.listen(PORT) as listener:
                theirs = peer.kernel.socket()
                theirs.setblocking(False)
                route = bytes((131, 7, 4)) + socket.inet_aton(peer.router) + b"\0"
                theirs.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, route)
                await asyncio.get_running_loop().sock_connect(theirs, (IPV4.ours, PORT))
                async with await listener.accept() as ours:
                    assert ours.source_route == (IPV4.kernel,)
                    reading = asyncio.create_task(receive_all(ours))
                    await asyncio.get_running_loop().sock_sendall(theirs, PAYLOAD)
                    theirs.shutdown(socket.SHUT_WR)
                    assert await reading == PAYLOAD
                    await ours.send(PAYLOAD)
                    await ours.shutdown()
                    assert await kernel_receives_all(theirs) == PAYLOAD
                theirs.close()


# --- errors, distance ---


@FAMILIES
@pytest.mark.requirement("MUST-56")
@pytest.mark.asyncio
async def test_a_router_that_knows_no_way(family: Family, tmp_path: Path) -> None:
    """Its "unreachable" is a soft error; in the profile of Linux it ends the opening."""
    nowhere, unreachable = ("10.99.0.1", "10.99.0.0/16") if family is IPV4 else ("fd99::1", "fd99::/64")
    profile = replace(StackConfig.linux(), msl=SHORT.msl, dad_transmits=0)
    for config, error in ((SHORT, TimeoutError), (profile, OSError)):
        async with facing_kernel("tun", tmp_path, family, config=config) as world:
            forwarding = "net.ipv4.ip_forward" if family is IPV4 else "net.ipv6.conf.all.forwarding"
            write_sysctl(forwarding, "1", namespace=world.kernel.name)
            ip(world.kernel, "-4" if family is IPV4 else "-6", "route", "add", "unreachable", unreachable)
            with pytest.raises(error) as caught:
                await world.stack.connect(nowhere, PORT, timeout=0.5)
            if config is profile:
                assert not isinstance(caught.value, TimeoutError)


@FAMILIES
@pytest.mark.requirement("MUST-49")
@pytest.mark.asyncio
async def test_the_kernel_takes_us_for_a_neighbour_as_long_as_our_ttl_is_255(family: Family, tmp_path: Path) -> None:
    """RFC 5082, both ways: IP_MINTTL of 255 at either end."""
    config = replace(SHORT, default_ttl=255, min_ttl=255)
    async with facing_kernel("tun", tmp_path, family, config=config) as world:
        server, port = world.listen()
        distance = (socket.IPPROTO_IP, socket.IP_TTL) if family is IPV4 else (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        least = (socket.IPPROTO_IP, IP_MINTTL) if family is IPV4 else (socket.IPPROTO_IPV6, 73)
        server.setsockopt(*least, 255)
        with pytest.raises(TimeoutError):
            await world.stack.connect(family.kernel, port, timeout=0.3)  # the kernel's SYN,ACK has a TTL of 64
        assert world.stack.counters["TcpExtTCPMinTTLDrop"] > 0
        server.setsockopt(*distance, 255)
        async with await world.stack.connect(family.kernel, port) as ours:
            theirs, _ = await asyncio.get_running_loop().sock_accept(server)
            world.kernel.keep(theirs).setsockopt(*distance, 255)
            await ours.send(b"near")
            await ours.shutdown()
            assert await kernel_receives_all(theirs) == b"near"
            theirs.close()
            await ours.wait_state(State.TIME_WAIT)
        server.close()
