"""The kernel in a namespace of its own, and a stack on this event loop that it reaches over a device.

async with facing_kernel("tun", tmp_path, IPV6) as world:
    listener = await world.stack.listen(80)
    client = await world.connect(80)             # a socket of the kernel's
    connection = await listener.accept()

Law: at the end of a world tshark finds nothing wrong with what the stack has sent and received in it, and nothing of it is left: no
process, task, descriptor, device, namespace, no connection of the stack's.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import userstack
from tests.interop.families import IPV4, IPV6, Family
from tests.interop.tshark import Reading, read_capture
from tests.interop.waiting import becomes
from tests.support.netns import KernelNamespace, kernel_namespace, nothing_left_behind
from userstack import Connection, Settings, Stack, StackConfig, State
from userstack.config import MILLISECOND
from userstack.host.diag import KernelSocket, tcp_sockets
from userstack.host.links import list_devices
from userstack.observe.capture import Capture
from userstack.trace import Event, Transition
from userstack.wire.codec import make_codec

PORT = 4000

SHORT = StackConfig(msl=500 * MILLISECOND, dad_transmits=0)
"""TIME-WAIT is a second, and that nobody else has the addresses is taken for granted: see ``test_ipv6.py``."""
LIMIT = 90
"""Seconds that a world may take."""

MAKERS: dict[str, Callable[..., AbstractAsyncContextManager[Stack]]] = {
    "tun": userstack.tun,
    "tap": userstack.tap,
    "veth": userstack.veth,
}


@dataclass
class World:
    """Both ends. A world of IPv4 knows nothing of IPv6, and one of IPv6 has both."""

    family: Family
    kernel: KernelNamespace
    stack: Stack
    transitions: list[Transition] = field(default_factory=list)
    """All of the stack's, in their order."""
    reading: Reading | None = None
    """What tshark has read, once the world has ended."""

    async def connect(self, port: int = PORT, *, family: Family | None = None) -> socket.socket:
        """Connect a socket of the kernel's to the stack, over the world's family or another one."""
        family = family or self.family
        client = self.socket(family)
        await asyncio.get_running_loop().sock_connect(client, (family.ours, port))
        return client

    def listen(self, *, backlog: int = 16) -> tuple[socket.socket, int]:
        """A listening socket of the kernel's, and its port."""
        server = self.socket()
        server.bind((self.family.kernel, 0))
        server.listen(backlog)
        return server, server.getsockname()[1]

    def socket(self, family: Family | None = None) -> socket.socket:
        """A socket of the kernel's, for the event loop's ``sock_...`` calls."""
        found = self.kernel.socket((family or self.family).number)
        found.setblocking(False)
        return found

    async def run(self, *arguments: str, timeout: float = 60) -> "Finished":  # noqa: ASYNC109
        """Run a program beside the kernel to its end."""
        started = time.monotonic()
        done = await asyncio.to_thread(self.kernel.run, arguments, timeout=timeout)
        return Finished(done.returncode, done.stdout, done.stderr.decode(errors="replace"), time.monotonic() - started)

    async def listens(self, port: int) -> None:
        """Wait until a program beside the kernel listens."""
        await becomes(lambda: is_listening(self.kernel, port), f"somebody listens on port {port}")

    def kernel_sockets(self) -> list[KernelSocket]:
        """The kernel's TCP connections, TIME-WAIT included."""
        return [found for found in tcp_sockets(namespace=self.kernel.name) if found.state is not State.LISTEN]

    def passed(self) -> list[str]:
        """The states that connections of the stack's went through, in their order; for worlds with one connection."""
        return [step.new for step in self.transitions if step.remote is not None]


@dataclass(frozen=True)
class Finished:
    """A program that has ended."""

    code: int
    out: bytes
    complaint: str
    seconds: float


@contextmanager
def kernel_alone() -> Iterator[KernelNamespace]:
    """A namespace; at its end nothing that was put into it is still there."""
    with nothing_left_behind(), kernel_namespace() as kernel:
        before = list_devices(namespace=kernel.name)
        yield kernel
        assert list_devices(namespace=kernel.name) == before
        assert processes_in(kernel.name) == []


@asynccontextmanager
async def facing_kernel(kind: str, folder: Path, family: Family = IPV4, **settings: Unpack[Settings]) -> AsyncIterator[World]:
    """A world over a TUN, TAP or veth device; ``world.reading`` is what tshark has read of it afterwards."""
    path = folder / "world.pcapng"
    tasks = asyncio.all_tasks()
    transitions: list[Transition] = []
    with kernel_alone() as kernel:
        with Capture(str(path), wall=time.time_ns() - time.monotonic_ns(), codec=make_codec("fast")) as capture:

            def trace(event: Event) -> None:
                capture(event)
                if isinstance(event, Transition):
                    transitions.append(event)

            given: Settings = {"config": SHORT, "trace": trace, **settings}
            async with asyncio.timeout(LIMIT), MAKERS[kind](*addresses(family), netns=kernel.name, **given) as stack:
                world = World(family, kernel, stack, transitions)
                yield world
        assert [row for row in stack.connections() if row.connection is not None and row.state is not State.CLOSED] == []
        assert stack.counters["UserstackBugs"] == 0
    assert asyncio.all_tasks() == tasks
    world.reading = await asyncio.to_thread(read_capture, path, own={IPV4.ours, IPV6.ours})
    assert world.reading.packets == capture.packets > 0
    if "impairment" not in settings:
        assert world.reading.complaints == []


def addresses(family: Family) -> list[str]:
    """The stack's in a world of ``family``."""
    return [f"{one.ours}/{one.prefix}" for one in ([IPV4] if family is IPV4 else [IPV4, IPV6])]


@asynccontextmanager
async def connected(world: World, role: str) -> AsyncIterator[tuple[Connection, socket.socket]]:
    """Our end and the kernel's of one connection, which we have ``accepted`` or ``opened``."""
    if role == "accepted":
        async with await world.stack.listen(PORT) as listener:
            theirs = await world.connect(PORT)
            ours = await listener.accept()
    else:
        server, port = world.listen()
        ours = await world.stack.connect(world.family.kernel, port)
        theirs, _ = await asyncio.get_running_loop().sock_accept(server)
        world.kernel.keep(theirs)
        server.close()
    async with ours:
        yield ours, theirs


async def receive_all(connection: Connection) -> bytes:
    """Everything up to the peer's FIN."""
    parts = []
    while part := await connection.recv():
        parts.append(part)
    return b"".join(parts)


async def kernel_receives_all(sock: socket.socket) -> bytes:
    """The same, for a socket of the kernel's."""
    parts = []
    while part := await asyncio.get_running_loop().sock_recv(sock, 1 << 18):
        parts.append(part)
    return b"".join(parts)


def is_listening(kernel: KernelNamespace, port: int) -> bool:
    """Whether a socket of the kernel's listens on ``port``."""
    return any(found.local.port == port and found.state is State.LISTEN for found in tcp_sockets(namespace=kernel.name))


def processes_in(namespace: str) -> list[str]:
    """The command lines of all processes that live in a namespace."""
    own = Path("/run/netns", namespace).stat()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            net = (process / "ns" / "net").stat()
            if (net.st_dev, net.st_ino) == (own.st_dev, own.st_ino):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended since, or is none that a test could start
            continue
    return found
