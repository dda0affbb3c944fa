"""TCP Fast Open for asyncio programs: what is sent with the SYN, what is read of it before the handshake is over."""

import asyncio

import pytest

from tests.support.stacks import SECOND, SILENT, turns, turns_until, two_stacks
from tests.support.virtual_time import virtual_time
from userstack import StackConfig, State
from userstack.errors import InvalidArgument

SERVING = StackConfig(fast_open=3)
LONG = bytes(range(256)) * 40


@virtual_time
async def test_the_first_bytes_go_with_the_syn_once_there_is_a_cookie() -> None:
    async with two_stacks(config=SERVING) as (first, second), await second.listen(80, fast_open=4) as listener:
        for with_syn in (False, True):
            async with await first.connect(SECOND, 80, fast_open=b"question") as client, await listener.accept() as server:
                assert await server.recv() == b"question"
                assert client.info().syn_data == server.info().syn_data == with_syn
                await server.send(b"answer")
                assert await client.recv() == b"answer"
        assert second.counters["TcpExtTCPFastOpenPassive"] == 1


@virtual_time
@pytest.mark.parametrize("cookie", [False, True])
async def test_all_of_what_is_given_arrives_however_long_it_is(cookie: bool) -> None:
    async with two_stacks(config=SERVING) as (first, second), await second.listen(80, fast_open=4) as listener:
        if cookie:
            async with await first.connect(SECOND, 80, fast_open=b""), await listener.accept():
                pass
        async with (
            await first.connect(SECOND, 80, fast_open=memoryview(LONG).cast("I")) as client,
            await listener.accept() as server,
        ):
            got = b""
            while len(got) < len(LONG):
                got += await server.recv()
            assert got == LONG
            assert client.info().syn_data == cookie


@virtual_time
async def test_a_server_reads_and_answers_and_closes_before_the_handshake_is_over() -> None:
    async with two_stacks(config=SERVING) as (first, second), await second.listen(80, fast_open=4) as listener:
        async with await first.connect(SECOND, 80, fast_open=b""), await listener.accept():
            pass
        opening = asyncio.create_task(first.connect(SECOND, 80, fast_open=b"question"))
        server = await listener.accept()
        assert await server.recv() == b"question"
        await server.send(b"answer")
        await server.shutdown()
        async with server, await opening as client:
            assert await client.recv() == b"answer"
            assert await client.recv() == b""


@virtual_time
async def test_who_gives_up_opening_with_a_cookie_leaves_nothing() -> None:
    async with two_stacks(config=StackConfig(fast_open=7)) as (first, _):
        opening = asyncio.create_task(first.connect(SILENT, 80, fast_open=b"question"))
        await turns_until(lambda: [row.state for row in first.connections()] == [State.SYN_SENT])
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await turns()
        assert first.connections() == []


@virtual_time
async def test_a_stack_that_serves_none_says_so() -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(InvalidArgument, match="fast_open=3"):
            await first.listen(80, fast_open=1)
        with pytest.raises(InvalidArgument, match="from 0 up, not -1"):
            await first.listen(80, fast_open=-1)
        assert first.connections() == []
