"""Active opens: how they fail, and that they leave nothing behind then."""

import asyncio
import errno
from typing import Any

import pytest

from tests.support.stacks import FIRST, SECOND, SILENT, connect, states, turns, turns_until, two_stacks, virtual_loop
from tests.support.virtual_time import virtual_time
from userstack import ClosedHandle, State


@virtual_time
async def test_a_port_that_nobody_listens_on_refuses() -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(ConnectionRefusedError) as caught:
            await first.connect(SECOND, 80)
        assert caught.value.errno == errno.ECONNREFUSED
        await turns()
        assert first.connections() == []


@virtual_time
async def test_a_silent_address_is_a_timeout_after_what_was_asked_for() -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(TimeoutError, match=r"10\.0\.0\.99:80 did not answer within 5 s") as caught:
            await first.connect(SILENT, 80, timeout=5)
        assert caught.value.errno == errno.ETIMEDOUT
        assert virtual_loop().time() == pytest.approx(5)
        await turns()
        assert first.connections() == []


@virtual_time
async def test_a_silent_address_is_a_timeout_after_the_stacks_own_patience() -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(TimeoutError) as caught:
            await first.connect(SILENT, 80)
        assert caught.value.errno == errno.ETIMEDOUT
        assert virtual_loop().time() >= 180  # MUST-23
        assert first.connections() == []


@virtual_time
async def test_a_cancelled_open_leaves_nothing() -> None:
    async with two_stacks() as (first, second):
        opening = asyncio.create_task(first.connect(SILENT, 80, local_port=5555))
        await turns()
        assert states(first) == [State.SYN_SENT]
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await turns()
        assert first.connections() == []
        await second.listen(80)
        async with await first.connect(SECOND, 80, local_port=5555) as client:
            assert client.getsockname() == (FIRST, 5555)


@virtual_time
async def test_an_open_that_is_cancelled_just_when_it_succeeds_leaves_nothing() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        opening = asyncio.create_task(first.connect(SECOND, 80))
        await turns_until(lambda: State.SYN_RECEIVED in states(second))
        opening.cancel()  # the SYN,ACK is read before the task hears of it
        with pytest.raises(asyncio.CancelledError):
            await opening
        await turns()
        assert first.connections() == []
        with pytest.raises(ConnectionResetError):
            await (await listener.accept()).recv()


@virtual_time
async def test_an_open_ends_with_its_stack() -> None:
    async with two_stacks() as (first, _):
        opening = asyncio.create_task(first.connect(SILENT, 80))
        await turns()
        await first.close()
        with pytest.raises(ConnectionAbortedError):
            await opening
        for call in (first.connect(SECOND, 80), first.listen(80)):
            with pytest.raises(ClosedHandle):
                await call


@virtual_time
async def test_the_local_end_can_be_chosen_and_must_be_free() -> None:
    async with two_stacks() as (first, second):
        ends = await connect(first, second)
        await second.listen(81)
        client = await first.connect(SECOND, 81, local_address=FIRST, local_port=5555)
        assert client.getsockname() == (FIRST, 5555)
        with pytest.raises(OSError, match="in use") as caught:
            await first.connect(SECOND, 80, local_port=5555)
        assert caught.value.errno == errno.EADDRINUSE
        with pytest.raises(OSError, match="not an address") as caught:
            await first.connect(SECOND, 81, local_address=SECOND)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        assert [end.state for end in ends] == [State.ESTABLISHED] * 2


@virtual_time
async def test_a_failed_open_gives_its_port_back() -> None:
    async with two_stacks() as (first, second):
        with pytest.raises(OSError, match="no address of one host") as caught:
            await first.connect("224.0.0.1", 80, local_port=5555)
        assert caught.value.errno == errno.ENETUNREACH
        await (await first.listen(5555)).close()
        with pytest.raises(ConnectionRefusedError):
            await first.connect(SECOND, 80, local_port=5555)
        await turns()
        await (await first.listen(5555)).close()
        assert second.connections() == []


@virtual_time
async def test_a_port_is_given_back_whatever_went_wrong() -> None:
    def choose(*_: object) -> int:
        raise ValueError("no number")

    async with two_stacks(isn=choose) as (first, _):
        with pytest.raises(ValueError, match="no number"):
            await first.connect(SECOND, 80, local_port=5555)
        await (await first.listen(5555)).close()


@virtual_time
@pytest.mark.parametrize("address", [167772162, b"\x0a\x00\x00\x02", None])
async def test_an_address_that_is_no_text_is_a_type_error(address: Any) -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(TypeError, match="an IP address is a str"):
            await first.connect(address, 80)


@virtual_time
async def test_a_local_port_in_time_wait_is_refused_unless_reuse_is_asked_for() -> None:
    async with two_stacks() as (first, second):
        listener = await second.listen(80)
        client = await first.connect(SECOND, 80, local_port=5555)
        await client.close()
        await (await listener.accept()).close()
        await client.wait_state(State.TIME_WAIT)
        with pytest.raises(OSError, match="in use") as caught:
            await first.connect(SECOND, 80, local_port=5555)
        assert caught.value.errno == errno.EADDRINUSE
        again = await first.connect(SECOND, 80, local_port=5555, reuse_address=True)
        assert again.state is State.ESTABLISHED


@virtual_time
@pytest.mark.parametrize(
    ("address", "port", "patience"), [("nowhere", 80, None), (SECOND, 70000, None), (SECOND, 80, -1.0), (SECOND, 80, float("nan"))]
)
async def test_what_cannot_be_connected_to_is_told_in_one_line(address: str, port: int, patience: float | None) -> None:
    async with two_stacks() as (first, _):
        with pytest.raises(OSError, match=r"nowhere|70000|-1|nan") as caught:
            await first.connect(address, port, timeout=patience)
        assert caught.value.errno == errno.EINVAL
        assert "\n" not in str(caught.value)
