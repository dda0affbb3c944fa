"""Socket options: those that there are, and the refusal of the rest."""

import asyncio
import errno
import math
import socket
import struct

import pytest

from tests.support.stacks import connect, two_connections, two_stacks_and_wire
from tests.support.virtual_time import virtual_time
from userstack import NoSuchOption, StackConfig
from userstack.config import SECOND as NS
from userstack.tcp import linux_info

TCP, IP, SOL = socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.SOL_SOCKET


@virtual_time
async def test_tcp_info_is_the_kernels_struct() -> None:
    async with two_connections() as (client, server):
        await client.send(b"x" * 100)
        assert await server.recv() == b"x" * 100
        raw = client.getsockopt(TCP, socket.TCP_INFO, 1000)
        told = linux_info.unpack(raw)
        assert (len(raw), client.getsockopt(TCP, socket.TCP_INFO, 8)) == (linux_info.SIZE, raw[:8])
        assert client.getsockopt(TCP, socket.TCP_INFO) == struct.unpack_from("i", raw)[0]
        assert (told["tcpi_state"], told["tcpi_bytes_sent"], told["tcpi_data_segs_out"]) == (1, 100, 1)
        assert linux_info.unpack(server.getsockopt(TCP, socket.TCP_INFO, 280))["tcpi_bytes_received"] == 100


@virtual_time
@pytest.mark.parametrize(
    ("level", "option", "before", "value", "after"),
    [
        (TCP, socket.TCP_NODELAY, 0, 1, 1),
        (TCP, socket.TCP_NODELAY, 0, 7, 1),
        (TCP, socket.TCP_NODELAY, 0, struct.pack("i", 1), 1),
        (TCP, socket.TCP_USER_TIMEOUT, 0, 5000, 5000),
        (TCP, socket.TCP_USER_TIMEOUT, 0, 0, 0),
        (TCP, socket.TCP_CORK, 0, 1, 1),
        (TCP, socket.TCP_QUICKACK, 1, 0, 0),
        (TCP, socket.TCP_KEEPIDLE, 7200, 30, 30),
        (TCP, socket.TCP_KEEPINTVL, 75, 5, 5),
        (TCP, socket.TCP_KEEPCNT, 9, 4, 4),
        (TCP, socket.TCP_LINGER2, 60, 10, 10),
        (TCP, socket.TCP_LINGER2, 60, 0, 60),
        (TCP, socket.TCP_LINGER2, 60, -5, -1),
        (TCP, socket.TCP_LINGER2, 60, 500, 120),
        (SOL, socket.SO_KEEPALIVE, 0, 1, 1),
        (IP, socket.IP_TTL, 64, 3, 3),
        (IP, socket.IP_TTL, 64, -1, 64),
        (IP, socket.IP_TOS, 0, 0xB8, 0xB8),
        (IP, socket.IP_TOS, 0, 0xBB, 0xB8),  # the ECN bits are not the application's
    ],
)
async def test_what_is_set_is_read(level: int, option: int, before: int, value: int | bytes, after: int) -> None:
    async with two_connections() as (client, _):
        assert client.getsockopt(level, option) == before
        client.setsockopt(level, option, value)
        assert client.getsockopt(level, option) == after
        assert client.getsockopt(level, option, 4) == struct.pack("i", after)


@virtual_time
async def test_what_can_only_be_read() -> None:
    async with two_connections() as (client, server):
        assert client.getsockopt(TCP, socket.TCP_MAXSEG) == 1448
        assert client.getsockopt(SOL, socket.SO_TYPE) == socket.SOCK_STREAM
        assert client.getsockopt(SOL, socket.SO_SNDBUF) == 256 * 1024
        assert client.getsockopt(SOL, socket.SO_RCVBUF) == 512 * 1024
        assert client.getsockopt(SOL, socket.SO_REUSEADDR) == 0
        assert server.getsockopt(SOL, socket.SO_REUSEADDR) == 1  # inherited from its listener
        with pytest.raises(NoSuchOption) as caught:
            client.setsockopt(TCP, socket.TCP_MAXSEG, 100)
        assert caught.value.errno == errno.ENOPROTOOPT


@virtual_time
async def test_so_error_tells_what_killed_the_connection_and_then_nothing() -> None:
    async with two_connections() as (client, server):
        assert client.getsockopt(SOL, socket.SO_ERROR) == 0
        server.abort()
        await client.wait_closed()
        assert client.getsockopt(SOL, socket.SO_ERROR) == errno.ECONNRESET
        assert client.getsockopt(SOL, socket.SO_ERROR) == 0
        assert await client.recv() == b""


@pytest.mark.requirement("MUST-47")
@pytest.mark.requirement("SHLD-9")
@virtual_time
async def test_so_error_tells_of_trouble_that_the_connection_survived() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, server = await connect(first, second)
        wire.cut = True
        await client.send(b"x")
        await asyncio.sleep(10)  # R1 is three retransmissions: RFC 9293 3.8.3, SHLD-9
        wire.cut = False
        assert await server.recv() == b"x"
        assert client.getsockopt(SOL, socket.SO_ERROR) == errno.ETIMEDOUT
        assert client.getsockopt(SOL, socket.SO_ERROR) == 0


@virtual_time
@pytest.mark.parametrize(("level", "option"), [(SOL, socket.SO_DEBUG), (TCP, 9999), (99, 1)])
async def test_an_option_that_does_not_exist_is_refused(level: int, option: int) -> None:
    async with two_connections() as (client, _):
        with pytest.raises(NoSuchOption) as caught:
            client.setsockopt(level, option, 1)
        assert caught.value.errno == errno.ENOPROTOOPT
        with pytest.raises(NoSuchOption):
            client.getsockopt(level, option)


@virtual_time
@pytest.mark.parametrize(
    ("level", "option", "value"),
    [
        (IP, socket.IP_TTL, 0),
        (IP, socket.IP_TTL, 256),
        (IP, socket.IP_TOS, 256),
        (TCP, socket.TCP_USER_TIMEOUT, -1),
        (TCP, socket.TCP_USER_TIMEOUT, 2**31),
        (TCP, socket.TCP_NODELAY, b"1"),
    ],
)
async def test_a_value_that_cannot_be_is_refused(level: int, option: int, value: int | bytes) -> None:
    async with two_connections() as (client, _):
        with pytest.raises(OSError, match="not ") as caught:
            client.setsockopt(level, option, value)
        assert caught.value.errno == errno.EINVAL


@virtual_time
async def test_what_is_wrong_with_an_option_is_named() -> None:
    async with two_connections() as (client, _):
        for name, most in (("TCP_KEEPIDLE", 32767), ("TCP_KEEPINTVL", 32767), ("TCP_KEEPCNT", 127)):
            with pytest.raises(OSError, match=f"{name} is 1 to {most}, not 0"):
                client.setsockopt(TCP, getattr(socket, name), 0)
        for value in (None, 1.0, "1"):
            with pytest.raises(TypeError, match=f"an option's value is an int or bytes, not {type(value).__name__}"):
                client.setsockopt(TCP, socket.TCP_NODELAY, value)  # type: ignore[arg-type]
        for length in (-1, 1025):  # as the kernel's sockets in Python
            with pytest.raises(OSError, match=f"a value has room for 0 to 1024 bytes, not for {length}"):
                client.getsockopt(TCP, socket.TCP_INFO, length)


@virtual_time
async def test_keep_alives_go_out_and_are_answered() -> None:
    async with two_connections() as (client, server):
        client.setsockopt(TCP, socket.TCP_KEEPIDLE, 5)
        client.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
        before = server.info().segs_in
        await asyncio.sleep(17)
        assert server.info().segs_in == before + 3


@virtual_time
async def test_what_more_is_to_come_for_waits_and_goes_with_it() -> None:
    async with two_connections() as (client, server):
        await client.send(b"head", more=True)
        await asyncio.sleep(0.1)
        assert server.info().bytes_received == 0
        await client.send(b"body")
        assert await server.recv() == b"headbody"


@virtual_time
async def test_how_long_something_may_stay_unacknowledged() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, server = await connect(first, second)
        wire.cut = True
        client.set_user_timeout(math.inf)
        assert client.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 2**31 - 1
        await client.send(b"x")
        await asyncio.sleep(86_400)
        wire.cut = False
        assert await server.recv() == b"x"
        wire.cut = True
        client.set_user_timeout(4.5)
        assert client.getsockopt(TCP, socket.TCP_USER_TIMEOUT) == 4500
        await client.send(b"y")
        with pytest.raises(TimeoutError):
            await client.recv()
        with pytest.raises(OSError, match="above 0"):
            server.set_user_timeout(0)


@virtual_time
async def test_the_user_timeout_option_from_end_to_end() -> None:
    """RFC 5482: both ends take the longer of what they have told each other; who has not enabled it ignores it."""
    async with two_connections(config=StackConfig(uto=True, uto_advertise=200 * NS)) as (client, server):
        client.set_user_timeout_option(advertise=500)
        await client.send(b"x")
        assert await server.recv() == b"x"
        assert (server.info().user_timeout, server.info().peer_user_timeout) == (500 * NS, 500 * NS)
        assert client.info().peer_user_timeout == 200 * NS
        with pytest.raises(OSError, match="above 0"):
            client.set_user_timeout_option(advertise=-1)
    async with two_connections() as (client, server):
        client.set_user_timeout_option(advertise=500)
        await client.send(b"x")
        assert await server.recv() == b"x"
        assert (server.info().user_timeout, server.info().peer_user_timeout) == (None, None)


@virtual_time
async def test_a_connection_that_was_closed_is_listed_as_an_orphan() -> None:
    async with two_stacks_and_wire() as (first, second, (wire, _)):
        client, _server = await connect(first, second)
        wire.cut = True
        await client.close()
        (row,) = first.connections()
        assert row.connection is not None
        assert row.connection.info().orphan
        wire.cut = False
