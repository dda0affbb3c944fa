"""The same sockets twice, for scripts that run on both: the kernel's under asyncio, and userstack's. The peer is the kernel.

Each script runs on sockets of IPv4, on sockets of IPv6, and on sockets of IPv6 whose peer has only IPv4, so that every address is
a mapped one (RFC 3493 3.7).
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import Protocol

import userstack
from tests.support.netns import KernelNamespace
from userstack.api.names import SocketName


@dataclass(frozen=True)
class Kind:
    """A kind of sockets, and what its addresses are called in its own words."""

    name: str
    kernel: str
    stack: str
    loopback: str
    silent: str
    """Routed to where nobody answers, in both worlds."""
    foreign: str
    """Somebody else's."""
    multicast: str

    def __str__(self) -> str:
        return self.name

    def socket_name(self, address: str, port: int) -> SocketName:
        """What getsockname and getpeername give for an address of the kind."""
        return (address, port, 0, 0) if ":" in address else (address, port)


IPV4 = Kind("ipv4", "10.77.0.1", "10.77.0.2", "127.0.0.1", "10.77.0.99", "192.0.2.1", "224.0.0.1")
IPV6 = Kind("ipv6", "fd77::1", "fd77::2", "::1", "fd77::99", "2001:db8::1", "ff02::1")
MAPPED = Kind("mapped", *(f"::ffff:{text}" for text in (IPV4.kernel, IPV4.stack, *astuple(IPV4)[3:])))
KINDS = (IPV4, IPV6, MAPPED)


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

    kind: Kind
    address: str
    """Where its listeners are reached, in its own words."""
    peer_address: str
    """Where its peer's listeners are reached, in its own words."""

    async def listen(
        self, port: int, *, address: str | None = None, reuse_address: bool = False, ipv6_only: bool = False
    ) -> ListeningSocket: ...
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

    def __init__(self, namespace: KernelNamespace, address: str, peer_address: str, kind: Kind = IPV4) -> None:
        self.kind = kind
        self.address = address
        self.peer_address = peer_address
        self._namespace = namespace
        self._any = "::" if ":" in address else "0.0.0.0"

    async def listen(
        self, port: int, *, address: str | None = None, reuse_address: bool = False, ipv6_only: bool = False
    ) -> KernelSocket:
        sock = self._new(address or self._any, reuse_address)
        if ":" in (address or self._any):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        sock.bind((address or self._any, port))
        sock.listen(128)
        return KernelSocket(sock, self._namespace)

    async def connect(
        self, address: str, port: int, *, local_port: int = 0, reuse_address: bool = False, patience: float | None = None
    ) -> KernelSocket:
        sock = self._new(address, reuse_address)
        if local_port:
            sock.bind((self._any, local_port))
        if patience is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(patience * 1000))
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
        return KernelSocket(sock, self._namespace)

    def _new(self, address: str, reuse_address: bool) -> socket.socket:
        sock = self._namespace.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse_address)
        return sock


class StackWorld:
    """userstack's sockets, the kernel at the other end of a TUN device."""

    def __init__(self, stack: userstack.Stack, kind: Kind) -> None:
        self.stack = stack
        self.kind = kind
        self.address = kind.stack
        self.peer_address = kind.kernel

    async def listen(
        self, port: int, *, address: str | None = None, reuse_address: bool = False, ipv6_only: bool = False
    ) -> userstack.Listener:
        return await self.stack.listen(port, address=address, reuse_address=reuse_address, ipv6_only=ipv6_only)

    async def connect(
        self, address: str, port: int, *, local_port: int = 0, reuse_address: bool = False, patience: float | None = None
    ) -> userstack.Connection:
        return await self.stack.connect(address, port, local_port=local_port, reuse_address=reuse_address, timeout=patience)


@asynccontextmanager
async def world_and_peer(which: str, kind: Kind, namespace: KernelNamespace) -> AsyncIterator[tuple[World, KernelWorld]]:
    """The implementation ``which`` (``kernel`` or ``userstack``) of a kind of sockets, and the kernel's at the other end."""
    device = namespace.tun(f"{IPV4.kernel}/24", f"{IPV6.kernel}/64")
    theirs = IPV4 if kind is MAPPED else kind
    if which == "kernel":
        peer = KernelWorld(namespace, theirs.loopback, theirs.loopback, theirs)
        yield KernelWorld(namespace, kind.loopback, kind.loopback, kind), peer
        return
    own = {IPV4: [f"{IPV4.stack}/24"], IPV6: [f"{IPV6.stack}/64"], MAPPED: [f"{IPV4.stack}/24", f"{IPV6.stack}/64"]}
    async with userstack.link(device, *own[kind]) as stack:
        yield StackWorld(stack, kind), KernelWorld(namespace, theirs.kernel, theirs.stack, theirs)
