"""Stacks for tests: two in one process, on a virtual clock, at the two ends of a wire."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Unpack

import userstack
from tests.support.virtual_time import VirtualLoop
from userstack import Connection, Settings, Stack, State
from userstack.packetio.device import Device
from userstack.packetio.memory import memory_pair
from userstack.packetio.wrapped import WrappedDevice

FIRST = "10.0.0.1"
SECOND = "10.0.0.2"
SILENT = "10.0.0.99"
"""An address of the same network that nobody has."""


def virtual_loop() -> VirtualLoop:
    """The running loop of a test under ``@virtual_time``."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


@asynccontextmanager
async def two_stacks(*, level: int = 3, mtu: int = 1500, **settings: Unpack[Settings]) -> AsyncIterator[tuple[Stack, Stack]]:
    """``FIRST`` and ``SECOND``, seeded, on the running loop's virtual clock."""
    given: Settings = {"clock": virtual_loop().clock, "seed": 1, **settings}
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24", level=level, mtu=mtu, **given) as stacks:
        yield stacks


@asynccontextmanager
async def two_connections(
    *, level: int = 3, mtu: int = 1500, **settings: Unpack[Settings]
) -> AsyncIterator[tuple[Connection, Connection]]:
    """The two ends of one connection: who connected, and who accepted."""
    async with two_stacks(level=level, mtu=mtu, **settings) as (first, second):
        yield await connect(first, second)


class Wire(WrappedDevice):
    """One end of a wire that can be cut: while ``cut``, what goes in at this end is lost."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.cut = False
        self.sent = 0

    def write(self, packet: bytes) -> bool:
        self.sent += 1
        return self.cut or self.inner.write(packet)


@asynccontextmanager
async def two_stacks_and_wire(
    *, queue: int = 1 << 20, **settings: Unpack[Settings]
) -> AsyncIterator[tuple[Stack, Stack, tuple[Wire, Wire]]]:
    """As ``two_stacks``, on a wire that can be cut for each direction, and whose queue takes ``queue`` bytes."""
    given: Settings = {"clock": virtual_loop().clock, "seed": 1, **settings}
    one_end, other_end = memory_pair(queue=queue)
    with closing(Wire(one_end)) as one, closing(Wire(other_end)) as other:
        async with userstack.link(one, f"{FIRST}/24", **given) as first, userstack.link(other, f"{SECOND}/24", **given) as second:
            yield first, second, (one, other)


async def connect(first: Stack, second: Stack, port: int = 80) -> tuple[Connection, Connection]:
    """Connect ``first`` to a listener of ``second``, which is closed again."""
    async with await second.listen(port, reuse_address=True) as listener:
        return await first.connect(SECOND, port), await listener.accept()


async def read_all(connection: Connection) -> bytes:
    """Everything up to the peer's FIN."""
    parts = []
    while part := await connection.recv():
        parts.append(part)
    return b"".join(parts)


async def turns(count: int = 20) -> None:
    """Let everything that can happen without time passing happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def turns_until(condition: Callable[[], bool]) -> None:
    """One turn of the loop after another until ``condition`` holds: to act in the very turn in which it became true."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


def states(stack: Stack) -> list[State]:
    """The state of every connection that the stack still knows, listeners left out."""
    return [row.state for row in stack.connections() if row.state is not State.LISTEN]
