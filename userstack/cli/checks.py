"""What the doctor looks at. Law: every check says what it found in one line, and a failed one how to mend it in another.

A check that is not required may fail without keeping userstack from working; what could not be looked at is said to be so.
"""

import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from userstack.cli.netcat import find_netcat
from userstack.errors import SetupError
from userstack.host.addresses import add_addresses
from userstack.host.diag import KernelTcp
from userstack.host.failures import GRANT
from userstack.host.links import create_veth, unique_device_name
from userstack.host.netns import temporary_namespace
from userstack.host.offload import all_offload, read_offload, set_offload
from userstack.host.privileges import Capability, effective_capabilities
from userstack.host.tuntap import open_tuntap

OLDEST = {"scapy": (2, 6), "pyroute2": (0, 9, 2)}
DEFAULT_NETWORK = "10.9.0.0/24"
DEFAULT_NETWORK_V6 = "fd3d::/64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check came to. ``ok`` is None where it could not be looked at."""

    name: str
    ok: bool | None
    detail: str
    mend: str = ""
    required: bool = True


def run_checks() -> Iterator[Finding]:
    """All of them, in the order in which a person would mend them. Between two findings nothing is held."""
    yield check_python()
    yield from (check_package(name) for name in OLDEST)
    yield from (check_capability(capability, use) for capability, use in _USES.items())
    yield _attempt("device", "a TUN device can be made", _make_tun)
    yield _attempt("namespace", "a network namespace can be made and removed", _make_namespace)
    yield _attempt("offload", "checksum offload of a veth pair can be switched off", _switch_offload, required=False)
    yield _attempt("ipv6", "a device can be made over which the kernel speaks IPv6", _make_ipv6_device, required=False)
    yield _attempt("sock_diag", "the kernel tells the states of its TCP connections", _ask_kernel)
    yield check_routes(Path("/proc/net/route").read_text(encoding="ascii"))
    if (table := Path("/proc/net/ipv6_route")).exists():
        yield check_ipv6_routes(table.read_text(encoding="ascii"))
    yield check_firewall()
    yield check_netcat()


_USES = {
    Capability.NET_ADMIN: "to make devices",
    Capability.NET_RAW: "for veth and eth devices",
    Capability.SYS_ADMIN: "to make network namespaces, as the demo does",
}


def check_python() -> Finding:
    """At least 3.11."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="python", ok=sys.version_info >= (3, 11), detail=version, mend="install Python 3.11 or newer")


def check_package(name: str) -> Finding:
    """A library, and new enough."""
    wanted = ".".join(map(str, OLDEST[name]))
    mend = f"pip install '{name}>={wanted}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(name=name, ok=False, detail="not installed", mend=mend)
    return Finding(name=name, ok=version_tuple(version) >= OLDEST[name], detail=version, mend=mend)


def version_tuple(text: str) -> tuple[int, ...]:
    """The leading numbers of a version, ``2.6.0rc1`` as (2, 6)."""
    numbers: list[int] = []
    for part in text.split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def check_capability(capability: Capability, use: str) -> Finding:
    """A privilege of this process."""
    held = capability in effective_capabilities()
    return Finding(name=capability.name, ok=held, detail=f"{'held' if held else 'missing'}: {use}", mend=GRANT)


def check_routes(table: str) -> Finding:
    """Whether the default network is already somebody's. ``table`` is the text of ``/proc/net/route``."""
    network = ipaddress.IPv4Network(DEFAULT_NETWORK)
    for line in table.splitlines()[1:]:
        device, target, _, _, _, _, _, mask = line.split()[:8]
        route = ipaddress.IPv4Network((_address(target), str(_address(mask))))
        if route.prefixlen and route.overlaps(network):
            return _overlap("routes", DEFAULT_NETWORK, f"{route} on {device}", "10.99.0.2/24")
    return Finding(name="routes", ok=True, detail=f"nothing else uses {DEFAULT_NETWORK}, the default", required=False)


def check_ipv6_routes(table: str) -> Finding:
    """The same for IPv6. ``table`` is the text of ``/proc/net/ipv6_route``: destination, length, ..., device."""
    network = ipaddress.IPv6Network(DEFAULT_NETWORK_V6)
    for line in table.splitlines():
        target, length, *_, device = line.split()
        route = ipaddress.IPv6Network((bytes.fromhex(target), int(length, 16)))
        if route.prefixlen and route.overlaps(network):
            return _overlap("routes6", DEFAULT_NETWORK_V6, f"{route} on {device}", "fd99::2/64")
    return Finding(name="routes6", ok=True, detail=f"nothing else uses {DEFAULT_NETWORK_V6}, IPv6's default", required=False)


def _overlap(name: str, default: str, route: str, other: str) -> Finding:
    mend = f"give --address and --peer of another network, such as --address {other}"
    return Finding(name=name, ok=False, detail=f"{default}, the default, overlaps {route}", mend=mend, required=False)


def check_netcat() -> Finding:
    """The other end of the demo."""
    try:
        netcat = find_netcat()
    except SetupError as error:
        what, _, mend = str(error).partition(": ")
        return Finding(name="netcat", ok=False, detail=what, mend=mend)
    half_close = " ".join(netcat.flavour.connect_options) or "half-closes by itself"
    return Finding(name="netcat", ok=True, detail=f"{netcat.path}, flavour {netcat.flavour.name} (half-close: {half_close})")


def check_firewall() -> Finding:
    """Whether rules of this namespace may drop what the stack and the kernel say to each other. Best effort."""
    for tool, command in (("nft", ["nft", "list", "ruleset"]), ("iptables-save", ["iptables-save"])):
        path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
        if path is None:
            continue
        shown = subprocess.run([path, *command[1:]], capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
        if shown.returncode == 0:
            return judge_rules(tool, shown.stdout.decode(errors="replace"))
    detail = "could not be looked at: neither nft nor iptables-save may be run here"
    return Finding(name="firewall", ok=None, detail=detail, mend="apt install nftables", required=False)


def judge_rules(tool: str, text: str) -> Finding:
    """Rules as ``nft list ruleset`` or ``iptables-save`` print them."""
    words = (" drop", " reject", "-j DROP", "-j REJECT", ":INPUT DROP", ":FORWARD DROP")
    hits = [line.strip() for line in text.splitlines() if any(word in line for word in words)]
    if not hits:
        return Finding(name="firewall", ok=True, detail=f"{tool} shows no rule that drops or rejects", required=False)
    detail = f"{tool} shows {len(hits)} rules that drop or reject, the first: {hits[0]}"
    mend = "if the peer is not reached, allow the stack's address, or use --netns with a namespace that has no rules"
    return Finding(name="firewall", ok=False, detail=detail, mend=mend, required=False)


def _attempt(name: str, success: str, act: Callable[[], None], *, required: bool = True) -> Finding:
    """Do it and see."""
    try:
        act()
    except SetupError as error:
        what, _, mend = str(error).partition("; ")
        return Finding(name=name, ok=False, detail=what, mend=mend or "see the reason on the left", required=required)
    return Finding(name=name, ok=True, detail=success, required=required)


def _make_tun() -> None:
    descriptor, _ = open_tuntap(unique_device_name("usdoc"), level=3)
    os.close(descriptor)


def _make_ipv6_device() -> None:
    with temporary_namespace("userstack-doctor") as namespace:
        descriptor, device = open_tuntap(unique_device_name("usdoc"), level=3, namespace=namespace)
        try:
            add_addresses(device, [f"{ipaddress.IPv6Network(DEFAULT_NETWORK_V6)[1]}/64"], namespace=namespace)
        finally:
            os.close(descriptor)


def _make_namespace() -> None:
    with temporary_namespace("userstack-doctor"):
        pass


def _switch_offload() -> None:
    with temporary_namespace("userstack-doctor") as namespace:
        device, peer = unique_device_name("usdoc"), unique_device_name("usdoc")
        create_veth(device, peer, namespace=namespace)
        set_offload(device, all_offload(False), namespace=namespace)
        if read_offload(device, namespace=namespace).tx_checksum:
            raise SetupError(f"the kernel keeps tx-checksumming on for {device}; userstack then fills in partial checksums itself")


def _ask_kernel() -> None:
    with KernelTcp():
        pass


def _address(text: str) -> ipaddress.IPv4Address:
    """``/proc/net/route`` writes addresses as the machine's own 32-bit words."""
    return ipaddress.IPv4Address(socket.inet_ntoa(struct.pack("=I", int(text, 16))))
