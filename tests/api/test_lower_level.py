"""What a program asks of IP through a connection, and what it hears of soft errors (RFC 9293 3.9.1.8, 3.9.2)."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.support.stacks import connect, two_connections, two_stacks, two_stacks_and_wire
from tests.support.virtual_time import virtual_time
from userstack import Connection, NoSuchOption, Reason, Report, StackConfig
from userstack.config import SECOND
from userstack.errors import HostUnreachable, InvalidArgument
from userstack.tcp.report import Reports

IP, SOL = socket.IPPROTO_IP, socket.SOL_SOCKET
IP_MTU, IP_MTU_DISCOVER, IP_MINTTL = 14, 10, 21
FIRST, SECOND_ADDRESS = "10.0.0.1", "10.0.0.2"


@virtual_time
@pytest.mark.parametrize(
    ("option", "before", "value", "bad"), [(IP_MTU_DISCOVER, 1, 2, 6), (IP_MTU_DISCOVER, 1, 0, -1), (IP_MINTTL, 0, 255, 256)]
)
async def test_options_of_ip(option: int, before: int, value: int, bad: int) -> None:
    async with two_connections() as (client, _):
        assert client.getsockopt(IP, option) == before
        client.setsockopt(IP, option, value)
        assert client.getsockopt(IP, option) == value
        with pytest.raises(OSError, match="not ") as caught:
            client.setsockopt(IP, option, bad)
        assert caught.value.errno == errno.EINVAL
        assert client.getsockopt(IP, option) == value


@virtual_time
async def test_the_paths_mtu_can_only_be_read() -> None:
    async with two_connections(mtu=1400) as (client, _):
        assert client.getsockopt(IP, IP_MTU) == 1400
        assert len(client.getsockopt(IP, IP_MTU, 4)) == 4
        with pytest.raises(NoSuchOption):
            client.setsockopt(IP, IP_MTU, 1000)


# --- reports ---


async def of_wire(connection: Connection, count: int) -> list[Report]:
    found: list[Report] = []
    async for report in connection.reports():
        found.append(report)
        if len(found) == count:
            break
    return found


async def first_of(reports: AsyncIterator[Report]) -> Report:
    return await anext(reports)


@virtual_time
@pytest.mark.requirement("MUST-47")
@pytest.mark.requirement("SHLD-9")
async def test_excessive_retransmissions_are_reported_while_the_connection_lives() -> None:
    async with two_stacks_and_wire(config=StackConfig(r1=2)) as (first, second, (wire, _)):
        client, server = await connect(first, second)
        waiting = asyncio.create_task(of_wire(client, 1))
        await asyncio.sleep(0)
        wire.cut = True
        await client.send(b"lost")
        (report,) = await waiting
        assert report.reason is Reason.RETRANSMISSIONS
        assert report.error.errno == errno.ETIMEDOUT
        wire.cut = False
        assert await server.recv() == b"lost"


@virtual_time
@pytest.mark.requirement("MUST-47")
@pytest.mark.requirement("SHLD-25")
async def test_a_soft_icmp_error_is_reported_and_so_error_tells_it() -> None:
    async with two_connections() as (client, _):
        reports = client.reports()
        core = client._core  # the error of a router that is not there
        core.on_icmp_error(HostUnreachable(), hard=False, seq=core.tcb.snd_una & 0xFFFFFFFF, now=5)
        report = await anext(reports)
        assert (report.time, report.reason, report.error.errno) == (5, Reason.ICMP, errno.EHOSTUNREACH)
        assert client.getsockopt(SOL, socket.SO_ERROR) == errno.EHOSTUNREACH


@virtual_time
async def test_reports_end_with_the_connection() -> None:
    async with two_connections() as (client, server):
        waiting = asyncio.create_task(of_wire(client, 1))
        await asyncio.sleep(0)
        server.abort()
        assert await waiting == []


@virtual_time
@pytest.mark.requirement("SHLD-20")
async def test_who_listens_no_more_is_told_no_more() -> None:
    async with two_connections() as (client, _):
        kept: Reports = client._core.reports
        before = kept.wanted
        reports = client.reports()
        assert (before, kept.wanted) == (False, True)
        waiting = asyncio.create_task(first_of(reports))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert client._core.reports.wanted is False


# --- source routes ---


@virtual_time
@pytest.mark.parametrize(
    ("route", "strict", "error"),
    [
        (["10.1.1.1"] * 10, False, InvalidArgument),
        (["fd3d::1"], False, InvalidArgument),
        (["nowhere"], False, InvalidArgument),
        ([], True, InvalidArgument),
        ("10.1.1.1", False, TypeError),
        (["224.0.0.1"], False, OSError),
    ],
)
async def test_what_is_no_source_route_is_refused(route: list[str], strict: bool, error: type[Exception]) -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(error):
            await first.connect(SECOND_ADDRESS, 80, source_route=route, strict_route=strict)
        assert first.connections() == []


@virtual_time
@pytest.mark.requirement("MUST-51")
async def test_a_connection_tells_its_route() -> None:
    """Nobody forwards on a wire for two: the SYN is seen and not answered."""
    async with two_stacks() as (first, second):
        async with await second.listen(80):
            with pytest.raises(TimeoutError):
                await first.connect(SECOND_ADDRESS, 80, source_route=["10.0.0.7", "10.0.0.8"], timeout=0.1)
            assert second.counters["IpInAddrErrors"] > 0
        client, _ = await connect(first, second)
        assert client.source_route == ()


@virtual_time
async def test_a_path_that_is_tried_again_shows_in_ip_mtu() -> None:
    config = replace(StackConfig(), path_mtu_expires=5 * SECOND)
    async with two_stacks_and_wire(config=config) as (first, second, (wire, _)):
        client, _ = await connect(first, second)
        core = client._core
        wire.cut = True
        await client.send(b"x" * 1000)
        await asyncio.sleep(0.001)
        core.on_packet_too_big(1000, seq=core.tcb.snd_una & 0xFFFFFFFF, now=0)
        assert client.getsockopt(IP, IP_MTU) == 1000
        await asyncio.sleep(6)
        assert client.getsockopt(IP, IP_MTU) == 1500
