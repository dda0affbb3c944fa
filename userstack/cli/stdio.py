"""Standard input and output on an event loop, whatever they are: pipes, terminals, sockets, files.

Law: nobody else's descriptor is made non-blocking, because that flag belongs to whoever shares the open file, the shell among them.
So poll(2) is asked before each read, which then cannot block; and a pipe or terminal is opened a second time to be written to.
"""

import asyncio
import os
import select
import socket
import stat
from collections.abc import Callable
from contextlib import suppress

BLOCK = 256 * 1024
"""Bytes read at once."""


class Input:
    """Blocks of bytes from ``descriptor``, which stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._impatient = False
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The next block; ``b""`` at the end, which a descriptor that is not open has reached already."""
        while not self._poll.poll(0):
            if self._impatient:
                return b""
            await self._readable()
        with suppress(OSError):
            return os.read(self._descriptor, BLOCK)
        return b""

    def resume(self) -> None:
        """A new reader begins: ``read`` waits again."""
        self._impatient = False

    def finish(self) -> None:
        """Until ``resume``, where ``read`` would have to wait, it is the end."""
        self._impatient = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        loop.add_reader(self._descriptor, _settle, self._waiter)
        try:
            await self._waiter
        finally:
            loop.remove_reader(self._descriptor)
            self._waiter = None


class Output:
    """Writes bytes to ``descriptor``, which stays the caller's; ``close`` gives back what this made of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._write: Callable[[memoryview], int] = self._write_when_ready
        self._socket: socket.socket | None = None
        self._own: int | None = None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            self._write = self._write_plainly
        elif stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(descriptor))
            self._write = self._write_to_socket
        else:
            with suppress(OSError):  # where it may not be opened again, it is written piece by piece
                self._own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                self._descriptor = self._own
                self._write = self._write_plainly

    async def write(self, data: bytes) -> None:
        """Write all of ``data``.

        Raises:
            OSError: the other end is gone, the disk is full.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._write(rest) :]
            except BlockingIOError:
                await self._writable()

    def close(self) -> None:
        """Give back what was opened; may be called twice."""
        if self._socket is not None:
            self._socket.close()
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _write_plainly(self, data: memoryview) -> int:
        return os.write(self._descriptor, data)

    def _write_to_socket(self, data: memoryview) -> int:
        assert self._socket is not None
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def _write_when_ready(self, data: memoryview) -> int:
        """A pipe that poll(2) calls writable takes PIPE_BUF bytes without blocking."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(self._descriptor, data[: select.PIPE_BUF])

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        loop.add_writer(self._descriptor, _settle, waiter)
        try:
            await waiter
        finally:
            loop.remove_writer(self._descriptor)


def _settle(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
