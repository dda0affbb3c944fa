"""Two hundred clients of the kernel's at once against one listener."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop import echo_clients
from tests.interop.families import FAMILIES, Family
from tests.interop.waiting import becomes
from tests.interop.world import PORT, SHORT, World, facing_kernel
from userstack import Connection, Listener, State
from userstack.config import SECOND
from userstack.net.table import ConnectionRow

CLIENTS = 200
SIZE = 65536
CONFIG = replace(SHORT, msl=1 * SECOND)
"""So many at once keep the kernel waiting: a FIN that it sends again must still find our TIME-WAIT, or is answered with a RST."""


@FAMILIES
@pytest.mark.parametrize("device", ["tun", "veth"])
@pytest.mark.asyncio
async def test_two_hundred_clients_at_once(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family, config=CONFIG) as world:
        async with await world.stack.listen(PORT, backlog=CLIENTS) as listener:
            serving = asyncio.create_task(serve(listener))
            done = await world.run(sys.executable, echo_clients.__file__, family.ours, str(PORT), str(CLIENTS), str(SIZE))
            assert (done.code, done.complaint) == (0, "")
            assert await serving == CLIENTS * SIZE
        await becomes(lambda: all(row.state is State.TIME_WAIT for row in left(world)), "no connection but those in TIME-WAIT")
        assert len([step for step in world.transitions if step.new == "TIME-WAIT"]) == CLIENTS // 2
        assert all(row.connection is None for row in left(world)), "a TIME-WAIT record holds on to its TCB"
        limit = world.stack.now() + 2 * CONFIG.msl
        assert all(row.expires is not None and row.expires <= limit for row in left(world))
        await becomes(lambda: not left(world), "no TIME-WAIT after 2 MSL")
        assert world.stack.counters["TcpPassiveOpens"] == CLIENTS
        repeated = await sent_again(world)
    assert world.reading is not None
    # A kernel that has waited too long for us sends its FIN again, and that one may find no connection any more: RST.
    assert world.reading.resets[family.ours] <= repeated
    assert world.reading.packets > CLIENTS * 10


async def serve(listener: Listener) -> int:
    """Accept all clients before any of them is answered; then echo to all at once. Returns the number of bytes."""
    connections = [await listener.accept() for _ in range(CLIENTS)]
    return sum(await asyncio.gather(*(echo(connection) for connection in connections)))


async def echo(connection: Connection) -> int:
    received, we_close_first = 0, False
    async with connection:
        while received < SIZE or not we_close_first:
            data = await connection.recv()
            if not data:
                break
            we_close_first = we_close_first if received else data.startswith(b"S")
            received += len(data)
            await connection.send(data)
    return received


async def sent_again(world: World) -> int:
    """Segments that the kernel has sent more than once."""
    told = (await world.run("cat", "/proc/net/snmp")).out.decode().splitlines()
    names, numbers = (line.split() for line in told if line.startswith("Tcp:"))
    return int(numbers[names.index("RetransSegs")])


def left(world: World) -> list[ConnectionRow]:
    """What the stack still knows of connections."""
    return [row for row in world.stack.connections() if row.state is not State.LISTEN]
