"""Programs that know nothing of userstack: curl is served by it, Python's http.server serves it."""

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from tests.interop.families import FAMILIES, Family
from tests.interop.world import facing_kernel, receive_all
from userstack import Listener

PORT = 8080
BODY = Random(1).randbytes(200_000)
DEVICES = pytest.mark.parametrize("device", ["tun", "veth"])


async def serve_http(listener: Listener) -> list[bytes]:
    """Answer one request after HTTP/1.0. Returns the words of its first line."""
    async with await listener.accept() as connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += await connection.recv()
        await connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n" + BODY)
    return request.split(b"\r\n")[0].split()


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_curl_fetches_from_the_stack(device: str, family: Family, tmp_path: Path) -> None:
    async with facing_kernel(device, tmp_path, family) as world, await world.stack.listen(PORT) as listener:
        serving = asyncio.create_task(serve_http(listener))
        done = await world.run("curl", "-s", family.url(PORT, "/path"))
        assert (done.code, done.out) == (0, BODY)
        assert await serving == [b"GET", b"/path", b"HTTP/1.1"]


@FAMILIES
@DEVICES
@pytest.mark.asyncio
async def test_the_stack_fetches_from_pythons_http_server(device: str, family: Family, tmp_path: Path) -> None:
    served = tmp_path / "served"
    served.mkdir()
    (served / "file").write_bytes(BODY)
    async with facing_kernel(device, tmp_path, family) as world:
        server = world.kernel.popen(
            [sys.executable, "-m", "http.server", "--bind", family.kernel, "--directory", str(served), str(PORT)]
        )
        await world.listens(PORT)
        async with await world.stack.connect(family.kernel, PORT) as connection:
            await connection.send(b"GET /file HTTP/1.0\r\n\r\n")
            head, _, body = (await receive_all(connection)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 OK\r\n")
        assert body == BODY
        server.terminate()
        server.communicate()
