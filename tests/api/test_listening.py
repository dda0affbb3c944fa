"""Listeners: backlog, accepting, closing, and turning active."""

import asyncio
import errno

import pytest

from tests.support.stacks import FIRST, SECOND, connect, states, turns, two_stacks, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import ClosedHandle, Connection, State


@virtual_time
async def test_several_tasks_may_wait_for_connections() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        accepting = [asyncio.create_task(listener.accept()) for _ in range(3)]
        clients = [await first.connect(SECOND, 80) for _ in range(3)]
        accepted = await asyncio.gather(*accepting)
        assert sorted(one.getpeername() for one in accepted) == sorted(one.getsockname() for one in clients)


@virtual_time
async def test_who_waits_longest_accepts_first_and_a_connection_wakes_nobody_else() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        accepting = [asyncio.create_task(listener.accept()) for _ in range(4)]
        await turns()
        accepting.pop(0).cancel()
        clients = []
        for number in range(3):
            clients.append(await first.connect(SECOND, 80))
            await turns()
            assert [task.done() for task in accepting] == [True] * (number + 1) + [False] * (2 - number)
        accepted = [await task for task in accepting]
        assert [one.getpeername() for one in accepted] == [one.getsockname() for one in clients]


@virtual_time
async def test_connections_are_accepted_in_the_order_in_which_they_were_established() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        clients = [await first.connect(SECOND, 80) for _ in range(3)]
        accepted = [await listener.accept() for _ in clients]
        assert [one.getpeername() for one in accepted] == [one.getsockname() for one in clients]


@virtual_time
async def test_beyond_the_backlog_a_client_waits_until_somebody_is_accepted() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80, backlog=1)
        clients = [await first.connect(SECOND, 80) for _ in range(2)]
        with pytest.raises(TimeoutError):
            await first.connect(SECOND, 80, timeout=5)
        assert second.counters["TcpExtListenDrops"] > 0
        late = asyncio.create_task(first.connect(SECOND, 80))
        await asyncio.sleep(5)
        assert not late.done()
        accepted = await listener.accept()
        clients.append(await late)
        assert [one.state for one in (*clients, accepted)] == [State.ESTABLISHED] * 4


@virtual_time
async def test_closing_a_listener_ends_the_loop_and_refuses_who_waits_in_accept() -> None:
    async with two_stacks() as (_, second):
        listener = await second.listen(80)

        async def loop() -> list[Connection]:
            return [connection async for connection in listener]

        looping, waiting = asyncio.create_task(loop()), asyncio.create_task(listener.accept())
        await turns()
        await listener.close()
        await listener.close()
        assert await looping == []
        for call in (lambda: waiting, listener.accept):
            with pytest.raises(ClosedHandle) as caught:
                await call()
            assert caught.value.errno == errno.EBADF
        with pytest.raises(ClosedHandle):
            listener.getsockname()
        assert "closed" in repr(listener)


@virtual_time
async def test_closing_a_listener_resets_who_was_not_accepted_and_keeps_who_was() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        clients = [await first.connect(SECOND, 80) for _ in range(2)]
        accepted = await listener.accept()
        await turns()
        await listener.close()
        with pytest.raises(ConnectionResetError):
            await clients[1].recv()
        assert virtual_loop().time() == 0
        await accepted.send(b"still here")
        assert await clients[0].recv() == b"still here"
        with pytest.raises(ConnectionRefusedError):
            await first.connect(SECOND, 80)


@virtual_time
async def test_a_cancelled_accept_takes_nobody_with_it() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        waiting = asyncio.create_task(listener.accept())
        await turns()
        client = await first.connect(SECOND, 80)
        waiting.cancel()  # in the same turn in which the connection became acceptable
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with await listener.accept() as accepted:
            assert accepted.getpeername() == client.getsockname()


@virtual_time
async def test_who_comes_and_goes_before_it_is_accepted_is_an_end_of_stream() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        async with await first.connect(SECOND, 80) as client:
            await client.send(b"hello and goodbye")
        accepted = await listener.accept()
        assert await accepted.recv() == b"hello and goodbye"
        assert await accepted.recv() == b""


@virtual_time
async def test_a_taken_port_is_refused_with_the_kernels_errno() -> None:
    async with two_stacks() as (_, second):
        await second.listen(80)
        for reuse in (False, True):
            with pytest.raises(OSError, match="in use") as caught:
                await second.listen(80, reuse_address=reuse)
            assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match="is not an address") as caught:
            await second.listen(81, address=FIRST)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        await (await second.listen(81, address=SECOND)).close()
        await (await second.listen(81, address=SECOND)).close()


@virtual_time
async def test_a_port_in_time_wait_is_refused_unless_reuse_is_asked_for() -> None:
    async with two_stacks() as (first, second):
        client, server = await connect(first, second)
        await server.close()
        assert await client.recv() == b""
        await client.close()
        await client.wait_closed()
        assert states(second) == [State.TIME_WAIT]
        with pytest.raises(OSError, match="in use") as caught:
            await second.listen(80)
        assert caught.value.errno == errno.EADDRINUSE
        await (await second.listen(80, reuse_address=True)).close()
        await asyncio.sleep(61)
        await (await second.listen(80)).close()


@virtual_time
async def test_port_0_takes_a_free_one() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(0)
        address, port, *_ = listener.getsockname()
        assert address == "0.0.0.0"
        assert 32768 <= port <= 60999
        await (await first.connect(SECOND, port)).close()


@virtual_time
@pytest.mark.parametrize(("port", "backlog", "address"), [(65536, 1, None), (-1, 1, None), (80, -1, None), (80, 1, "elsewhere")])
async def test_what_cannot_be_listened_on_is_told_in_one_line(port: int, backlog: int, address: str | None) -> None:
    async with two_stacks() as (_, second):
        with pytest.raises(OSError, match=r"65536|-1|elsewhere") as caught:
            await second.listen(port, backlog=backlog, address=address)
        assert caught.value.errno == errno.EINVAL
        assert "\n" not in str(caught.value)


@virtual_time
async def test_two_listeners_that_turn_active_open_simultaneously() -> None:
    # RFC 9293 3.10.1 and figure 7: LISTEN to SYN-SENT at both ends; the SYNs cross.
    async with two_stacks() as (first, second):
        one, other = await first.listen(5000), await second.listen(6000)
        ends = await asyncio.gather(one.connect(SECOND, 6000), other.connect(FIRST, 5000))
        assert [end.state for end in ends] == [State.ESTABLISHED] * 2
        await ends[0].send(b"crossed")
        assert await ends[1].recv() == b"crossed"
        with pytest.raises(ClosedHandle):
            await one.accept()


@virtual_time
async def test_a_listener_that_turns_active_in_vain_leaves_nothing() -> None:
    async with two_stacks() as (first, _):
        listener = await first.listen(5000)
        with pytest.raises(OSError, match="no address of one host"):
            await listener.connect("224.0.0.1", 6000)
        assert listener.getsockname() == ("0.0.0.0", 5000)  # it was not taken for an attempt
        with pytest.raises(ConnectionRefusedError):
            await listener.connect(SECOND, 6000)
        await turns()
        assert first.connections() == []
        await (await first.listen(5000)).close()
