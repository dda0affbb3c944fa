"""A kernel that routes between the stack and another kernel, its peer.

stack -- TUN -- router (a kernel) -- veth -- peer (a kernel)

async with facing_kernel("tun", folder, family, ...) as world, behind_router(world) as peer:
    ...
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from tests.interop.families import IPV4, Family
from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace
from userstack.host.inside import write_sysctl
from userstack.host.links import list_devices, unique_device_name


@dataclass(frozen=True)
class Peer:
    """The kernel behind the router."""

    kernel: KernelNamespace
    address: str
    router: str
    """The router's address on the peer's side."""
    tun: str
    """The router's device towards the stack."""
    veth: str
    """The router's device towards the peer."""


class Facing(Protocol):
    """A kernel that a stack faces, as in a ``World``."""

    family: Family
    kernel: KernelNamespace


@dataclass
class Router:
    """Such a kernel, whose stack is in another process."""

    family: Family
    kernel: KernelNamespace


@contextmanager
def behind_router(world: Facing) -> Iterator[Peer]:
    """Make the world's kernel a router, with a peer behind it for the length of the block."""
    ipv4 = world.family is IPV4
    router, address, prefix = ("10.88.0.1", "10.88.0.2", 24) if ipv4 else ("fd88::1", "fd88::2", 64)
    tun = next(name for name in list_devices(namespace=world.kernel.name) if name != "lo")
    forwarding = "net.ipv4.ip_forward" if ipv4 else "net.ipv6.conf.all.forwarding"
    write_sysctl(forwarding, "1", namespace=world.kernel.name)
    near, far = unique_device_name(DEVICE_PREFIX), unique_device_name(DEVICE_PREFIX)
    with kernel_namespace() as peer:
        nodad = () if ipv4 else ("nodad",)
        for kernel in (world.kernel, peer):
            write_sysctl(
                "net.ipv6.conf.default.accept_dad", "0", namespace=kernel.name
            )  # nor for link-local addresses: it takes 2 s
        ip(world.kernel, "link", "add", near, "type", "veth", "peer", "name", far, "netns", peer.name)
        try:
            ip(world.kernel, "address", "add", f"{router}/{prefix}", "dev", near, *nodad)
            ip(world.kernel, "link", "set", near, "up")
            ip(peer, "address", "add", f"{address}/{prefix}", "dev", far, *nodad)
            ip(peer, "link", "set", far, "up")
            ip(peer, "route", "add", "default", "via", router)
            yield Peer(peer, address, router, tun, near)
        finally:
            with suppress(AssertionError):  # the peer's namespace may have taken its end, and with it ours
                ip(world.kernel, "link", "delete", near)
            write_sysctl(forwarding, "0", namespace=world.kernel.name)


def ip(kernel: KernelNamespace, *arguments: str) -> None:
    """Run iproute2 beside a kernel."""
    done = kernel.run(["ip", *arguments])
    assert done.returncode == 0, (arguments, done.stderr)
