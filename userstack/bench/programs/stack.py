"""userstack as a contender: its public API as a program would use it, one task for each connection.

python -m userstack.bench.programs.stack [--loop asyncio|uvloop] [--no-offload] [--workers N]
                                         DEVICE MODE ADDRESS/PREFIX KERNEL_ADDRESS MTU
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import userstack
from userstack.bench.contender import Mode
from userstack.bench.programs.place import CHARGEN, DISCARD, ECHO, Place, say

BACKLOG = 4096
"""Whoever expects thousands of clients asks for room for them, as with the kernel's sockets."""
CHARACTERS = bytes(range(32, 127)) * 2760
"""256 KiB, as much as the send buffer holds by default."""


async def echo(connection: userstack.Connection) -> None:
    """Send back what comes (RFC 862)."""
    async with connection:
        while data := await connection.recv():
            await connection.send(data)


async def discard(connection: userstack.Connection) -> None:
    """Read to the end (RFC 863)."""
    async with connection:
        while await connection.recv():
            pass


async def chargen(connection: userstack.Connection) -> None:
    """Send until the peer has had enough (RFC 864)."""
    async with connection:
        while True:
            await connection.send(CHARACTERS)


Service = Callable[[userstack.Connection], Coroutine[Any, Any, None]]
SERVICES: dict[int, Service] = {ECHO: echo, DISCARD: discard, CHARGEN: chargen}


async def serve_port(listener: userstack.Listener, service: Service) -> None:
    """Serve every connection that comes, each in a task of its own; thousands of them share the name and the callback."""
    tasks: set[asyncio.Task[None]] = set()
    name = service.__name__

    def ended(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        with suppress(ConnectionError, asyncio.CancelledError):  # a client that resets its connection has had enough
            task.result()

    async with listener:
        async for connection in listener:
            task = asyncio.create_task(service(connection), name=name)
            tasks.add(task)
            task.add_done_callback(ended)


def open_stack(place: Place, *, offload: bool) -> AbstractAsyncContextManager[userstack.Stack]:
    """The stack on the device that the harness wants."""
    if place.mode is Mode.VETH:
        return userstack.interface(place.device, str(place.address), gateway=str(place.kernel), offload=offload)
    return userstack.tun(str(place.address), name=place.device, peer=str(place.kernel), mtu=place.mtu, offload=offload)


async def serve(place: Place, *, offload: bool) -> None:
    """Serve all three ports until SIGTERM cancels it."""
    main = asyncio.current_task()
    assert main is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, main.cancel)
    async with open_stack(place, offload=offload) as stack:
        if place.mode is Mode.TUN:
            say("device")
        await serve_all(stack)


async def serve_all(stack: userstack.Stack) -> None:
    """Serve all three ports. One worker speaks for all: a port that another does not listen on yet is served by those that do."""
    listeners = {port: await stack.listen(port, backlog=BACKLOG) for port in SERVICES}
    if stack.worker is None or stack.worker.number == 0:
        say("ready")
    await asyncio.gather(*(serve_port(listeners[port], service) for port, service in SERVICES.items()))


async def serve_in_worker(stack: userstack.Stack) -> None:
    """The same in each of several workers."""
    if stack.worker is not None and stack.worker.number == 0:
        say("device")
    await serve_all(stack)


def main(words: list[str]) -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--no-offload", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    given, rest = parser.parse_known_args(words)
    place = Place.parse(rest)
    if given.workers > 1:
        userstack.run(
            serve_in_worker,
            str(place.address),
            workers=given.workers,
            name=place.device,
            peer=str(place.kernel),
            mtu=place.mtu,
            offload=not given.no_offload,
        )
        return
    work = serve(place, offload=not given.no_offload)
    with suppress(asyncio.CancelledError):
        if given.loop == "uvloop":
            import uvloop

            uvloop.run(work)
        else:
            asyncio.run(work)


if __name__ == "__main__":
    main(sys.argv[1:])
