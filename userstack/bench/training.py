"""What the compiled build is trained with: the compiler lays the data path out for the ways that are gone here (hatch_build.py).

python -m userstack.bench.training

Two stacks in one process need no privilege, and both ends of a connection are ours: it is opened, closed, sent on and received on.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import userstack
from userstack.bench.programs.place import CHARGEN, DISCARD, ECHO
from userstack.bench.programs.stack import CHARACTERS, SERVICES, serve_port
from userstack.packetio.memory import MemoryDevice, make_wire
from userstack.wire.offload import Offloaded, Outbound

ADDRESSES = (("10.0.0.1/24", "10.0.0.2/24"), ("fd3d::1/64", "fd3d::2/64"))
CONNECTIONS, AT_ONCE, ROUND_TRIPS, BULK = 200, 64, 1000, 16 << 20


class OffloadingDevice(MemoryDevice):
    """Takes super-segments as they are, and vouches for the checksums that are left out, as a TUN device between two hosts does."""

    offload = True

    def read(self) -> tuple[bytes, bool] | None:
        """The next packet; None when there is none."""
        arrived = super().read()
        return None if arrived is None else (arrived[0], True)

    def _put(self, packet: Outbound) -> None:
        self._socket.send(b"".join((packet.head, *packet.text)) if isinstance(packet, Offloaded) else packet)


@asynccontextmanager
async def make_client(addresses: tuple[str, str], kind: type[MemoryDevice]) -> AsyncIterator[userstack.Stack]:
    """A stack whose peer serves."""
    one, other = (kind("training", end, level=3, mtu=1500, mac=None) for end in make_wire())
    with closing(one), closing(other):
        async with userstack.link(one, addresses[0]) as client, userstack.link(other, addresses[1]) as server:
            services = [asyncio.create_task(serve_port(await server.listen(port), SERVICES[port])) for port in SERVICES]
            try:
                yield client
            finally:
                for service in services:
                    service.cancel()
                await asyncio.gather(*services, return_exceptions=True)


async def ask(client: userstack.Stack, address: str, times: int) -> None:
    """One connection, a byte there and back so many times."""
    async with await client.connect(address, ECHO) as connection:
        for _ in range(times):
            await connection.send(b"x")
            assert await connection.recv() == b"x"


async def send(client: userstack.Stack, address: str) -> None:
    """As much as ``BULK`` there."""
    async with await client.connect(address, DISCARD) as connection:
        for _ in range(0, BULK, len(CHARACTERS)):
            await connection.send(CHARACTERS)
        await connection.shutdown()
        assert await connection.recv() == b""


async def receive(client: userstack.Stack, address: str) -> None:
    """As much as ``BULK`` from there."""
    async with await client.connect(address, CHARGEN) as connection:
        left = BULK
        while left > 0:
            data = await connection.recv()
            assert data
            left -= len(data)


async def train(addresses: tuple[str, str], kind: type[MemoryDevice]) -> None:
    """All of it between two addresses."""
    address = addresses[1].partition("/")[0]
    async with make_client(addresses, kind) as client:
        for _ in range(CONNECTIONS):
            await ask(client, address, 1)
        for _ in range(CONNECTIONS // AT_ONCE):
            await asyncio.gather(*(ask(client, address, 1) for _ in range(AT_ONCE)))
        await ask(client, address, ROUND_TRIPS)
        await send(client, address)
        await receive(client, address)


async def main() -> None:
    """Over both IP versions, with what a device can do and without."""
    for kind in (OffloadingDevice, MemoryDevice):
        for addresses in ADDRESSES:
            await train(addresses, kind)


if __name__ == "__main__":
    asyncio.run(main())
