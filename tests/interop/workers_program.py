"""A program of ``userstack.run``: ``python workers_program.py NAMESPACE WORKERS LINK MAIN[,MAIN...] ADDRESS...``.

It prints a line for what happens, and for each main what the workers have returned, or the error. ``test_workers.py`` runs it; it
imports as little as possible, since it is started often.
"""

import asyncio
import os
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import userstack
from userstack import Connection, Stack, StackConfig

PORT, KERNEL_PORT = 4000, 5000
KERNEL = ("10.77.0.1", "fd77::1")
OPENED = 6
"""Connections that each worker opens to each address of the kernel's."""


def number(stack: Stack) -> int:
    assert stack.worker is not None
    return stack.worker.number


def say(*words: object) -> None:
    """In one piece, which no other worker's line breaks into."""
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


async def serve(stack: Stack) -> None:
    """Every worker listens, and greets with its number."""
    async with stack.control(), await stack.listen(PORT) as listener:
        await greet(stack, listener)


async def serve_one(stack: Stack) -> None:
    """Only the last worker listens."""
    assert stack.worker is not None
    if number(stack) < stack.worker.workers - 1:
        say("ready")
        await asyncio.sleep(600)
    async with await stack.listen(PORT) as listener:
        await greet(stack, listener)


async def greet(stack: Stack, listener: userstack.Listener) -> None:
    say("ready")
    try:
        async with asyncio.TaskGroup() as group:
            async for connection in listener:
                group.create_task(echo(connection, str(number(stack)).encode()))
    finally:
        say("tidied")


async def echo(connection: Connection, greeting: bytes) -> None:
    async with connection:
        await connection.send(greeting)
        while data := await connection.recv():
            await connection.send(data)


async def open_many(stack: Stack) -> int:
    """Every worker opens connections to the kernel, and sends back what comes; returns how many packets it has passed on."""
    async with stack.control(), asyncio.TaskGroup() as group:
        for address in KERNEL:
            for _ in range(OPENED):
                group.create_task(echo(await persuade(stack, address), b"*"))
        say("ready")
    return stack.counters["UserstackPassedOn"]


async def persuade(stack: Stack, address: str) -> Connection:
    """Connect as soon as somebody listens there."""
    while True:
        try:
            return await stack.connect(address, KERNEL_PORT)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)


async def fail(stack: Stack) -> None:
    """The last worker raises; the others would stay."""
    assert stack.worker is not None
    if number(stack) == stack.worker.workers - 1:
        raise LookupError("nothing here")
    try:
        await asyncio.sleep(600)
    finally:
        say("tidied")


async def vanish(stack: Stack) -> None:
    """The first worker ends its process."""
    if number(stack) == 0:
        os._exit(0)
    await asyncio.sleep(600)


async def hold(stack: Stack) -> None:
    """Stop for nobody, and for no event loop."""
    say("ready")
    time.sleep(600)  # noqa: ASYNC251


async def lambda_result(stack: Stack) -> Callable[[], None]:
    """What pickle does not take."""
    return lambda: None


async def tell(stack: Stack) -> tuple[int, str]:
    """Who it is."""
    return number(stack), stack.device.name


MAINS: dict[str, Callable[[Stack], Coroutine[Any, Any, object]]] = {
    main.__name__: main for main in (serve, serve_one, open_many, fail, vanish, hold, lambda_result, tell)
}


def main(namespace: str, workers: int, link: Literal["tun", "veth"], names: list[str], addresses: list[str]) -> None:
    config = StackConfig(dad_transmits=0, msl=500_000_000)
    for name in names[:-1]:
        try:
            say("results", userstack.run(MAINS[name], *addresses, workers=workers, link=link, netns=namespace, config=config))
        except Exception as error:
            say("".join(traceback.format_exception(error)))
        say("--")
    say("results", userstack.run(MAINS[names[-1]], *addresses, workers=workers, link=link, netns=namespace, config=config))


if __name__ == "__main__":
    link = sys.argv[3]
    assert link in ("tun", "veth")
    main(sys.argv[1], int(sys.argv[2]), "tun" if link == "tun" else "veth", sys.argv[4].split(","), sys.argv[5:])
