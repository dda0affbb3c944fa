"""Network devices: looked at, made, changed, removed. Law: a name is checked before the kernel is asked."""

import errno
import secrets
import time
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg

from userstack.errors import SetupError
from userstack.host.netlink import index_of, with_routes

NAME_LIMIT = 15
"""Bytes of a device's name (IFNAMSIZ less its NUL)."""
CARRIER_PATIENCE = 2.0
"""Seconds; the kernel takes milliseconds, and at most one second under load (net/core/link_watch.c)."""
SMALLEST_MTU = 68
"""Bytes; RFC 791 3.2: every link must forward as much."""
LARGEST_MTU = 65535
IFF_UP = 0x1
IFF_RUNNING = 0x40


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """A device as the kernel has it."""

    name: str
    index: int
    mtu: int
    """Bytes of the largest IP packet."""
    mac: bytes | None
    """None for a device without link layer, such as a TUN."""
    up: bool
    carrier: bool
    """Whether the other end is there and up too."""
    queue_length: int
    """Packets that may wait in it (txqueuelen)."""
    kind: str
    """What made it: ``veth``, ``tun``, ...; empty for hardware and loopback."""


def check_name(name: str) -> None:
    """Make sure that ``name`` can be a device's.

    Raises:
        SetupError: it is empty, too long, or holds what a name must not.
    """
    if len(name.encode()) > NAME_LIMIT:
        raise SetupError(f"the device name {name!r} is too long: choose another of at most {NAME_LIMIT} bytes", errno.EINVAL)
    if name in {"", ".", ".."} or any(character.isspace() or character in "/:" for character in name):
        raise SetupError(f"{name!r} cannot be a device's name: choose another, without blanks, '/' and ':'", errno.EINVAL)


def check_mtu(mtu: int) -> None:
    """Make sure that a device can have an MTU at all.

    Raises:
        SetupError: it cannot.
    """
    if not SMALLEST_MTU <= mtu <= LARGEST_MTU:
        raise SetupError(f"an MTU is {SMALLEST_MTU} to {LARGEST_MTU} bytes, not {mtu}: choose another", errno.EINVAL)


def require_ethernet(link: LinkInfo) -> None:
    """Make sure that a device carries Ethernet frames.

    Raises:
        SetupError: it carries bare packets, as a TUN device does.
    """
    if link.mac is None:
        raise SetupError(f"the device {link.name} has no hardware address: choose an Ethernet device", errno.EINVAL)


def unique_device_name(prefix: str = "us") -> str:
    """A name that no device has, but for a chance of one in 2^32. ``prefix`` may have 7 bytes."""
    name = f"{prefix}{secrets.token_hex(4)}"
    check_name(name)
    return name


def list_devices(*, namespace: str | None = None) -> list[str]:
    """The names of all devices, sorted.

    Raises:
        SetupError: the namespace is not there.
    """
    return with_routes(namespace, "list devices", lambda routes: sorted(link.get("ifname") for link in routes.get_links()))


def device_exists(device: str, *, namespace: str | None = None) -> bool:
    """Whether there is a device of that name."""
    return with_routes(namespace, "look for a device", lambda routes: bool(routes.link_lookup(ifname=device)))


def read_link(device: str, *, namespace: str | None = None) -> LinkInfo:
    """Look at a device.

    Raises:
        SetupError: there is none of that name.
    """

    def read(routes: IPRoute) -> LinkInfo:
        return _link_info(routes.get_links(index_of(routes, device))[0])

    return with_routes(namespace, f"look at the device {device}", read)


def create_veth(
    device: str,
    peer: str,
    *,
    namespace: str | None = None,
    peer_namespace: str | None = None,
    mtu: int = 1500,
) -> None:
    """Make a veth pair: what goes into one end comes out of the other. Both are down, without addresses.

    Args:
        device: the name of the one end, in ``namespace``.
        peer: the name of the other, in ``peer_namespace`` (None: the same as ``namespace``).
        namespace: where the one end lives; None for the caller's own.
        peer_namespace: where the other end goes.
        mtu: of both, in bytes.

    Raises:
        SetupError: a name is taken or cannot be, or a privilege is missing. Nothing was made.
    """
    for name in (device, peer):
        check_name(name)
        if "%" in name:
            raise SetupError(f"{name!r}: the kernel completes no names of a veth pair, write it out without '%'", errno.EINVAL)
    check_mtu(mtu)
    mends = {
        errno.EEXIST: f"choose another name or remove it with: ip link del {device} (or {peer})",
        errno.ENOENT: "see which namespaces there are with: ip netns",
        errno.EOPNOTSUPP: "this kernel has no veth: load it with modprobe veth",
    }
    target = {} if peer_namespace is None else {"net_ns_fd": peer_namespace}

    def create(routes: IPRoute) -> None:
        routes.link("add", ifname=device, kind="veth", mtu=mtu, peer={"ifname": peer, "mtu": mtu, **target})

    with_routes(namespace, f"make the veth pair {device} and {peer}", create, mends)


def remove_link(device: str, *, namespace: str | None = None) -> None:
    """Remove a device (of a veth pair: both). One that is gone already, with its namespace or not, is no error.

    Raises:
        SetupError: it may not be removed.
    """

    def remove(routes: IPRoute) -> None:
        found = routes.link_lookup(ifname=device)
        if found:
            routes.link("del", index=found[0])

    try:
        with_routes(namespace, f"remove the device {device}", remove)
    except SetupError as error:
        if error.errno not in {errno.ENODEV, errno.ENOENT}:
            raise


def set_link(
    device: str,
    *,
    namespace: str | None = None,
    up: bool | None = None,
    mtu: int | None = None,
    mac: bytes | None = None,
    queue_length: int | None = None,
) -> None:
    """Change what is given of a device, and leave the rest.

    Args:
        device: its name.
        namespace: where it lives; None for the caller's own.
        up: raise or lower it.
        mtu: bytes of the largest IP packet.
        mac: six bytes.
        queue_length: packets that may wait in it (txqueuelen).

    Raises:
        SetupError: there is no such device, or the kernel refuses the value.
    """
    changes: dict[str, Any] = {}
    if mtu is not None:
        check_mtu(mtu)
        changes["mtu"] = mtu
    if mac is not None:
        changes["address"] = mac.hex(":")
    if queue_length is not None:
        changes["txqlen"] = queue_length
    if up is not None:
        changes["state"] = "up" if up else "down"

    def change(routes: IPRoute) -> None:
        routes.link("set", index=index_of(routes, device), **changes)

    told = ", ".join(f"{name} {value}" for name, value in changes.items())
    mends = {} if mtu is None else {errno.EINVAL: f"see which MTU it can have, if not {mtu}, with: ip -d link show {device}"}
    with_routes(namespace, f"set {told} of the device {device}", change, mends)


def wait_until_running(device: str, *, namespace: str | None = None) -> None:
    """Wait until a device that was raised carries packets.

    The kernel finishes that a moment after the other end came up too, and silently drops what it is given before.

    Raises:
        SetupError: there is no such device, or its other end stays down.
    """

    def wait(routes: IPRoute) -> None:
        index = index_of(routes, device)
        end = time.monotonic() + CARRIER_PATIENCE
        while not _link_info(routes.get_links(index)[0]).carrier:
            if time.monotonic() > end:
                raise SetupError(
                    f"the device {device} has no carrier: raise its other end with: ip link set ... up", errno.ENETDOWN
                )
            time.sleep(0.001)

    with_routes(namespace, f"wait for the device {device}", wait)


def _link_info(link: nlmsg) -> LinkInfo:
    mac = link.get("address")
    information = link.get("linkinfo")
    return LinkInfo(
        name=link.get("ifname"),
        index=link["index"],
        mtu=link.get("mtu"),
        mac=bytes.fromhex(mac.replace(":", "")) if mac else None,
        up=bool(link["flags"] & IFF_UP),
        carrier=bool(link["flags"] & IFF_RUNNING),
        queue_length=link.get("txqlen") or 0,
        kind=(information.get("kind") if information is not None else None) or "",
    )
