"""A network namespace with the kernel's own TCP in it, for tests against the real peer, and proof that nothing of it stays behind.

with nothing_left_behind(), kernel_namespace() as kernel:
    device = kernel.tun("10.77.0.1/24")
    client = kernel.popen(["nc", "10.77.0.2", "80"])
"""

import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar

from userstack.host.addresses import list_addresses
from userstack.host.inside import open_socket, popen, set_congestion_control
from userstack.host.links import list_devices, unique_device_name
from userstack.host.netns import list_namespaces, temporary_namespace
from userstack.packetio.tun import TapDevice, TunDevice
from userstack.packetio.veth import VethPair

DEVICE_PREFIX = f"t{os.getpid() % 0x1000000:x}"
"""Devices of this process: other workers of the test run make theirs at the same time."""
DEFAULT_ADDRESS = "10.77.0.1/24"
"""Of the kernel's end of a device."""
NAMESPACE_PREFIX = f"ustest-{os.getpid()}"


class Closeable(Protocol):
    """Whatever has a ``close``."""

    def close(self) -> None:
        """Give it back."""


Resource = TypeVar("Resource", bound=Closeable)


@dataclass(frozen=True)
class Inventory:
    """What this process has of the machine."""

    devices: list[str]
    namespaces: list[str]
    addresses: list[str]
    descriptors: dict[int, str]


class KernelNamespace:
    """A namespace where the kernel is the peer. Devices made here are closed, and processes killed, when it ends."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self.name = name
        self.cubic = set_congestion_control("cubic", namespace=name)
        """Whether the kernel's default congestion control could be set; sockets of ``socket`` have cubic in any case."""
        self._stack = stack

    def tun(
        self, kernel_address: str | None = DEFAULT_ADDRESS, *others: str, mtu: int = 1500, queue_length: int = 1000
    ) -> TunDevice:
        """A TUN device whose kernel end has ``kernel_address`` and ``others``."""
        name = unique_device_name(DEVICE_PREFIX)
        device = TunDevice(
            name, namespace=self.name, kernel_addresses=_given(kernel_address, others), mtu=mtu, queue_length=queue_length
        )
        return self._stack.enter_context(device)

    def tap(self, kernel_address: str | None = DEFAULT_ADDRESS, *others: str, mtu: int = 1500) -> TapDevice:
        """A TAP device whose kernel end has ``kernel_address`` and ``others``."""
        name = unique_device_name(DEVICE_PREFIX)
        return self._stack.enter_context(
            TapDevice(name, namespace=self.name, kernel_addresses=_given(kernel_address, others), mtu=mtu)
        )

    def veth(self, kernel_address: str | None = DEFAULT_ADDRESS, *others: str, mtu: int = 1500) -> VethPair:
        """A veth pair: our end in the test's own namespace, the kernel's end (``device.peer``) here with these addresses."""
        ours, theirs = unique_device_name(DEVICE_PREFIX), unique_device_name(DEVICE_PREFIX)
        device = VethPair(ours, theirs, peer_namespace=self.name, peer_addresses=_given(kernel_address, others), mtu=mtu)
        return self._stack.enter_context(device)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A socket of the kernel in this namespace; TCP with cubic, since a machine's default may pace (BBR)."""
        sock = open_socket(self.name, family, kind, protocol)
        if kind & 0xF == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        return self._stack.enter_context(sock)

    def keep(self, resource: Resource) -> Resource:
        """Have something closed when the namespace ends."""
        return self._stack.enter_context(closing(resource))

    def popen(
        self,
        arguments: Sequence[str],
        *,
        stdin: int | IO[bytes] | None = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        stderr: int | IO[bytes] | None = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """A process in this namespace; what is left of it at the end is killed."""
        process = popen(self.name, arguments, stdin=stdin, stdout=stdout, stderr=stderr)
        self._stack.callback(_end, process)
        return process

    def run(self, arguments: Sequence[str], *, timeout: float = 20) -> subprocess.CompletedProcess[bytes]:
        """Run a command in this namespace to its end."""
        process = self.popen(arguments)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@contextmanager
def kernel_namespace() -> Iterator[KernelNamespace]:
    """A fresh namespace with loopback up; all that was made through it is gone at the end."""
    with temporary_namespace(NAMESPACE_PREFIX) as name, ExitStack() as stack:
        yield KernelNamespace(name, stack)


def inventory() -> Inventory:
    """Devices, addresses and namespaces that belong to this process, and its descriptors."""
    return Inventory(
        devices=[name for name in list_devices() if name.startswith(DEVICE_PREFIX)],
        namespaces=[name for name in list_namespaces() if name.startswith(NAMESPACE_PREFIX)],
        addresses=[entry.address for entry in list_addresses() if entry.device.startswith(DEVICE_PREFIX)],
        descriptors=_descriptors(),
    )


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """Fail when the block leaves a device, an address, a namespace or a descriptor that was not there before."""
    before = inventory()
    yield
    after = inventory()
    assert after == before, f"left behind: {before} became {after}"


def _descriptors() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the descriptor with which the directory is read
            found[int(entry.name)] = str(entry.readlink())
    return found


def _given(address: str | None, others: tuple[str, ...]) -> list[str]:
    return [*([] if address is None else [address]), *others]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
