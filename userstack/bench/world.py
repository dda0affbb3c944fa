"""The two ends of a measurement, made afresh for every contender and repetition: no TIME-WAIT of one is another's burden.

K is the client's namespace, S that of a contender on veth. Nothing outside is touched but, for the blink in which a namespace is
made, the congestion control that it inherits.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from userstack.bench.contender import Mode
from userstack.bench.undisturbed import undisturbed
from userstack.errors import SetupError
from userstack.host.addresses import add_address, list_addresses
from userstack.host.inside import read_sysctl, write_sysctl
from userstack.host.links import create_veth, set_link, wait_until_running
from userstack.host.netns import temporary_namespace

OWN, KERNEL, PREFIX = "10.77.0.2", "10.77.0.1", 24
SPARE = [f"10.77.0.{number}" for number in range(16, 32)]
"""More addresses of the client's, for when the ports of the first are used up."""
MTU = 1500
QUEUE = 1000
"""Packets that may wait for the contender (txqueuelen)."""
DEVICE, PEER = "bench0", "kernel0"
"""The contender's device, and the kernel's end of the veth pair."""

CONGESTION = "net.ipv4.tcp_congestion_control"
CUBIC = "cubic"
"""BBR, the default of some machines, paces: its timers would be measured."""
CLIENT_SETTINGS = {
    "net.ipv4.tcp_tw_reuse": "1",
    "net.ipv4.ip_local_port_range": "1024 65535",
    "net.ipv6.conf.default.disable_ipv6": "1",
}


@dataclass(frozen=True, slots=True)
class World:
    """Where one contender is measured."""

    mode: Mode
    kernel: str
    """The namespace of the client."""
    contender: str
    """The namespace that the contender is started in."""

    @property
    def kernel_device(self) -> str:
        """The client's end of the link."""
        return DEVICE if self.mode is Mode.TUN else PEER

    def prepare_device(self) -> None:
        """Give the kernel's end of the link its addresses, and raise it; what the contender has done of it already stays."""
        device = self.kernel_device
        set_link(device, namespace=self.kernel, mtu=MTU, queue_length=QUEUE)
        set_link(device, namespace=self.kernel, up=True)
        there = {entry.address for entry in list_addresses(namespace=self.kernel)}
        for address in (KERNEL, *SPARE):
            if f"{address}/{PREFIX}" not in there:
                add_address(device, f"{address}/{PREFIX}", namespace=self.kernel)


@contextmanager
def make_world(mode: Mode) -> Iterator[World]:
    """Make the namespaces, for veth the pair too, and remove them.

    Raises:
        SetupError: a privilege is missing. Nothing is left.
    """
    with ExitStack() as held:
        with undisturbed():
            world = _make(mode, held)
        try:
            yield world
        finally:
            with undisturbed():
                held.close()


def _make(mode: Mode, held: ExitStack) -> World:
    kernel = _make_namespace(f"usbench-{os.getpid()}-k", held)
    for name, value in CLIENT_SETTINGS.items():
        with suppress(SetupError):  # a kernel without IPv6, or a /proc/sys that is read-only: `machine` tells what came of it
            write_sysctl(name, value, namespace=kernel)
    if mode is Mode.TUN:
        return World(mode, kernel, kernel)
    own = _make_namespace(f"usbench-{os.getpid()}-s", held)
    with suppress(SetupError):
        write_sysctl("net.ipv6.conf.default.disable_ipv6", "1", namespace=own)
    create_veth(DEVICE, PEER, namespace=own, peer_namespace=kernel, mtu=MTU)
    world = World(mode, kernel, own)
    set_link(DEVICE, namespace=own, up=True)
    world.prepare_device()
    for device, namespace in ((DEVICE, own), (PEER, kernel)):
        wait_until_running(device, namespace=namespace)
    return world


def _make_namespace(prefix: str, held: ExitStack) -> str:
    """One whose TCP has cubic: it inherits that, for inside it cannot be set where the module is restricted."""
    before = read_sysctl(CONGESTION)
    if before != CUBIC:
        with suppress(SetupError):
            write_sysctl(CONGESTION, CUBIC)
    try:
        return held.enter_context(temporary_namespace(prefix))
    finally:
        if before != CUBIC:
            with suppress(SetupError):
                write_sysctl(CONGESTION, before)


def congestion_control(namespace: str) -> str:
    """What the kernel's end has in the end."""
    return read_sysctl(CONGESTION, namespace=namespace)
