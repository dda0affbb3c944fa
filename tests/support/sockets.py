"""The same sockets twice, for scripts that run on both: the kernel's under asyncio, and userstack's. The peer is the kernel."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import userstack
from tests.support.netns import KernelNamespace
from userstack.api.names import SocketName

KERNEL_ADDRESS = "10.77.0.1"
STACK_ADDRESS = "10.77.0.2"
SILENT_ADDRESS = "10.77.0.99"
"""Routed to where nobody answers, in both worlds."""


class StreamSocket(Protocol):
    """What both have: a connection."""

    async def recv(self, limit: int) -> bytes: ...
    async def send(self, data: bytes) -> None: ...
    async def shutdown(self, how: int) -> None: ...
    async def close(self) -> None: ...
    def getsockname(self) -> SocketName: ...
    def getpeername(self) -> SocketName: ...
    def setsockopt(self, level: int, option: int, value: int | bytes) -> None: ...
    def getsockopt(self, level: int, option: int) -> int: ...


class ListeningSocket(Protocol):
    """What both have: a listener."""

    async def accept(self) -> StreamSocket: ...
    async def close(self) -> None: ...
    def getsockname(self) -> SocketName: ...


class World(Protocol):
    """One implementation of sockets."""

    address: str
    """Where its listeners are reached."""
    peer_address: str
    """Where its peer's listeners are reached."""

    async def listen(self, port: int, *, address: str | None = None, reuse_address: bool = False) -> ListeningSocket: ...
    async def connect(
        self, address: str, port: int, *, local_port: int = 0, reuse_address: bool = False, patience: float | None = None
    ) -> StreamSocket: ...


class KernelSocket:
    """A socket of the kernel, awaited with asyncio's ``sock_`` methods."""

    def __init__(self, sock: socket.socket, namespace: KernelNamespace) -> None:
        self.socket = sock
        self._namespace = namespace
        self._loop = asyncio.get_running_loop()

    async def recv(self, limit: int) -> bytes:
        return await self._loop.sock_recv(self.socket, limit)

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def shutdown(self, how: int) -> None:
        self.socket.shutdown(how)

    async def close(self) -> None:
        await asyncio.to_thread(self.socket.close)  # a lingering close blocks

    async def abort(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    async def accept(self) -> "KernelSocket":
        accepted, _ = await self._loop.sock_accept(self.socket)
        accepted.setblocking(False)
        return KernelSocket(self._namespace.keep(accepted), self._namespace)

    def getsockname(self) -> SocketName:
        name: SocketName = self.socket.getsockname()
        return name

    def getpeername(self) -> SocketName:
        name: SocketName = self.socket.getpeername()
        return name

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self.socket.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        return self.socket.getsockopt(level, option)


class KernelWorld:
    """The kernel's sockets in a namespace."""

    def __init__(self, namespace: KernelNamespace, address: str, peer_address: str) -> None:
        self.address = address
        self.peer_address = peer_address
        self._namespace = namespace

    async def listen(self, port: int, *, address: str | None = None, reuse_address: bool = False) -> KernelSocket:
        sock = self._new(reuse_address)
        sock.bind((address or "0.0.0.0", port))
        sock.listen(128)
        return KernelSocket(sock, self._namespace)

    async def connect(
        self, address: str, port: int, *, local_port: int = 0, reuse_address: bool = False, patience: float | None = None
    ) -> KernelSocket:
        sock = self._new(reuse_address)
        if local_port:
            sock.bind(("0.0.0.0", local_port))
        if patience is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(patience * 1000))
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
        return KernelSocket(sock, self._namespace)

    def _new(self, reuse_address: bool) -> socket.socket:
        sock = self._namespace.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse_address)
        return sock


class StackWorld:
    """userstack's sockets, the kernel at the other end of a TUN device."""

    address = STACK_ADDRESS
    peer_address = KERNEL_ADDRESS

    def __init__(self, stack: userstack.Stack) -> None:
        self.stack = stack

    async def listen(self, port: int, *, address: str | None = None, reuse_address: bool = False) -> userstack.Listener:
        return await self.stack.listen(port, address=address, reuse_address=reuse_address)

    async def connect(
        self, address: str, port: int, *, local_port: int = 0, reuse_address: bool = False, patience: float | None = None
    ) -> userstack.Connection:
        return await self.stack.connect(address, port, local_port=local_port, reuse_address=reuse_address, timeout=patience)


@asynccontextmanager
async def world_and_peer(kind: str, namespace: KernelNamespace) -> AsyncIterator[tuple[World, KernelWorld]]:
    """The implementation ``kind`` (``kernel`` or ``userstack``), and the kernel's sockets at the other end."""
    device = namespace.tun(f"{KERNEL_ADDRESS}/24")
    if kind == "kernel":
        yield KernelWorld(namespace, "127.0.0.1", "127.0.0.1"), KernelWorld(namespace, "127.0.0.1", "127.0.0.1")
        return
    async with userstack.link(device, f"{STACK_ADDRESS}/24") as stack:
        yield StackWorld(stack), KernelWorld(namespace, KERNEL_ADDRESS, STACK_ADDRESS)
