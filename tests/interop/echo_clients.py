"""Many clients of the kernel's at once, in one process: ``python echo_clients.py ADDRESS PORT COUNT SIZE``.

Every client is connected before any of them sends. The first byte that it sends says who closes first, ``C`` for the client and
``S`` for the server. Exit code 0 when each has got back what it sent, and then the end.
"""

import asyncio
import sys
from random import Random


async def main(address: str, port: int, count: int, size: int) -> None:
    opened = [await asyncio.open_connection(address, port) for _ in range(count)]
    await asyncio.gather(*(echo(number, size, *streams) for number, streams in enumerate(opened)))


async def echo(number: int, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    text = b"CS"[number % 2 :][:1] + Random(number).randbytes(size - 1)
    writer.write(text)
    if text.startswith(b"C"):
        writer.write_eof()
    answer = await reader.read(-1)
    if answer != text:
        raise SystemExit(f"client {number} got back something else: {len(answer)} bytes")
    writer.close()
    await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
