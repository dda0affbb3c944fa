"""A user-space proxy as a contender: what gives a rootless container its network.

A proxy ends the TCP of a namespace that has a TAP device and no other way out, and goes on to the destination with the kernel's
sockets, in the namespace that it was started in itself. So the client stays where the harness has it, with the TAP device, and what
serves it is on the proxy's other side: ``services.c`` in a namespace of its own. That is where this differs from other contenders:
a figure is of the proxy's TCP and of a second connection, the kernel's over its loopback, and a handshake is over when the second
one's is; the memory of that second connection's sockets is the kernel's and does not show.

    python -m userstack.bench.peers.proxy NAME SERVICES DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU

SERVICES is the program that was built from ``services.c``.
"""

import ctypes
import ipaddress
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl
from types import FrameType

from userstack.host.addresses import add_address, add_route
from userstack.host.links import set_link

CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSARP = 0x8913, 0x8955
IFF_UP, ATF_COM, ATF_PERM, ARPHRD_ETHER = 0x1, 0x2, 0x4, 1
PATIENCE = 15.0
"""Seconds that the device may take to be there, or to be up."""
PAUSE = 0.005
HOME = "/proc/self/fd/0"
"""Where a proxy finds the namespace that its device is to be in: its standard input. pasta may not look into another process."""


Children = dict[str, subprocess.Popen[str]]


@dataclass(frozen=True, slots=True)
class Place:
    """What the harness has said."""

    device: str
    address: ipaddress.IPv4Interface
    kernel: ipaddress.IPv4Address
    mtu: int


class Home:
    """The namespace that the harness started us in. A socket stays in the one that it was made in, wherever its process goes."""

    def __init__(self) -> None:
        self.descriptor = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def flags(self, device: str) -> int | None:
        """The flags of a device; None: there is none."""
        try:
            answer = ioctl(self._socket, SIOCGIFFLAGS, struct.pack("16s24x", device.encode()))
        except OSError:
            return None
        return int(struct.unpack_from("H", answer, 16)[0])

    def set_neighbour(self, device: str, address: ipaddress.IPv4Address, mac: bytes) -> None:
        """Tell the kernel there which MAC address an IPv4 address has (arp(7))."""
        protocol = struct.pack("=HH4s8x", socket.AF_INET, 0, address.packed)
        hardware = struct.pack("=H14s", ARPHRD_ETHER, mac)
        ioctl(self._socket, SIOCSARP, protocol + hardware + struct.pack("=i16x16s", ATF_COM | ATF_PERM, device.encode()))


def pasta(place: Place) -> list[str]:
    """The command line of pasta. It answers ARP for every address but its guest's. All that is not TCP over IPv4 is off."""
    off = ["--no-map-gw", "--no-udp", "--no-icmp", "--no-dhcp", "--no-ndp", "--no-ra", "-t", "none", "-T", "none"]
    guest = ["-a", str(place.kernel), "-n", str(place.address.network.prefixlen), "-g", str(place.address.ip)]
    link = ["-I", place.device, "-m", str(place.mtu), "-M", "02:00:00:00:00:02"]
    return ["pasta", "--foreground", "--quiet", "-4", *off, *guest, *link, "--runas", "0", "--netns", HOME]


def slirp4netns(place: Place) -> list[str]:
    """The command line of slirp4netns."""
    network = ["--cidr", str(place.address.network), "--mtu", str(place.mtu), "--disable-dns"]
    return ["slirp4netns", *network, "--netns-type", "path", HOME, place.device]


def answer_for_slirp(place: Place, home: Home) -> None:
    """Tell the kernel what slirp4netns does not: it takes what is for any address, but answers ARP for its own two alone.

    Its gateway is the network's second address, and has a MAC address that is made of that.
    """
    gateway = place.address.network.network_address + 2
    home.set_neighbour(place.device, place.address.ip, b"\x52\x55" + gateway.packed)


COMMANDS: dict[str, Callable[[Place], list[str]]] = {"pasta": pasta, "slirp4netns": slirp4netns}


def prepare_outside(place: Place) -> None:
    """Go to a namespace of our own, in which the contender's address is local and a default route says that IPv4 is to be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise SystemExit(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
    set_link("lo", up=True)
    add_address("lo", f"{place.address.ip}/32")
    add_route("default", device="lo")


def wait_until(true: Callable[[], bool], children: Children, what: str) -> None:
    """Look again and again.

    Raises:
        SystemExit: a child has ended, or time is up.
    """
    end = time.monotonic() + PATIENCE
    while not true():
        for name, child in children.items():
            if child.poll() is not None:
                raise SystemExit(f"{name} ended with {child.returncode}")
        if time.monotonic() > end:
            raise SystemExit(f"{what} for {PATIENCE:.0f} s")
        time.sleep(PAUSE)


def run(name: str, services: str, place: Place, children: Children) -> None:
    """Start both programs, tell the harness how far they are, and stay until one of them ends."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))  # a proxy has a socket for each connection
    home = Home()
    prepare_outside(place)
    served = subprocess.Popen([services, "0.0.0.0"], stdout=subprocess.PIPE, text=True)  # noqa: S104
    children["services"] = served
    assert served.stdout is not None
    if served.stdout.readline() != "ready\n":
        raise SystemExit("the services did not start")
    children[name] = subprocess.Popen(COMMANDS[name](place), stdin=home.descriptor, stdout=subprocess.DEVNULL, text=True)
    wait_until(lambda: home.flags(place.device) is not None, children, f"{name} has made no device")
    print("device", flush=True)
    wait_until(lambda: bool((home.flags(place.device) or 0) & IFF_UP), children, "the device stays down")
    if name == "slirp4netns":
        answer_for_slirp(place, home)
    print("ready", flush=True)
    _, status = os.wait()
    raise SystemExit(f"{name}, or what serves behind it, ended with {os.waitstatus_to_exitcode(status)}")


def main(words: list[str]) -> None:
    """Run until SIGTERM."""
    try:
        name, services, device, mode, address, kernel, mtu = words
        place = Place(device, ipaddress.IPv4Interface(address), ipaddress.IPv4Address(kernel), int(mtu))
        if mode != "tun" or name not in COMMANDS:
            raise ValueError(f"{name} has no mode {mode}")
    except ValueError as error:
        raise SystemExit(f"arguments are NAME SERVICES DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU: {error}") from None

    def end(_: int, __: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    children: Children = {}
    try:
        run(name, services, place, children)
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            child.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
