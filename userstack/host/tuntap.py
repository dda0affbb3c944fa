"""TUN and TAP: the one place that opens /dev/net/tun and knows its ioctls. A device lives as long as its descriptor is open."""

import errno
import fcntl
import os
import struct

from userstack.errors import SetupError
from userstack.host.failures import GRANT, setup_error
from userstack.host.links import check_name
from userstack.host.netns import in_namespace
from userstack.host.privileges import TUN_PATH

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
TUNSETOFFLOAD = 0x400454D0
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 1, 2, 4, 8
"""What we can take unfinished (linux/if_tun.h)."""
IFF_TUN_EXCL = 0x8000
"""Do not attach to a device that somebody else made."""
MAX_QUEUES = 256
"""Of one device (MAX_TAP_QUEUES of the kernel); PACKET_FANOUT too takes as many sockets into a group."""

OPEN_MENDS = {
    errno.ENOENT: (
        "make it with: mkdir -p /dev/net && mknod /dev/net/tun c 10 200 && chmod 666 /dev/net/tun "
        "(in a container: --device /dev/net/tun)"
    ),
    errno.ENODEV: "this kernel has no TUN: load it with modprobe tun",
    errno.ENXIO: "this kernel has no TUN: load it with modprobe tun",
    errno.EPERM: "allow it: in a container with --device /dev/net/tun, otherwise with sudo",
    errno.EACCES: "allow it: in a container with --device /dev/net/tun, otherwise with sudo or chmod 666 /dev/net/tun",
}


def open_tuntap(name: str, *, level: int, offload: bool = False, namespace: str | None = None) -> tuple[int, str]:
    """Make a TUN (level 3) or TAP (level 2) device. It is down and goes when the descriptor is closed.

    Args:
        name: of the device; the kernel puts the first free number for ``%d``.
        level: 3 for IP packets, 2 for Ethernet frames.
        offload: a virtio_net_hdr stands before every packet, and the kernel neither fills in checksums nor cuts TCP segments.
        namespace: where the kernel's end lives; the descriptor serves from anywhere.

    Returns:
        The non-blocking descriptor and the device's name.

    Raises:
        SetupError: /dev/net/tun is missing, a privilege is, or the name is taken or cannot be.
    """
    descriptors, name = open_queues(name, 1, level=level, offload=offload, namespace=namespace)
    return descriptors[0], name


def open_queues(name: str, count: int, *, level: int, offload: bool = False, namespace: str | None = None) -> tuple[list[int], str]:
    """As ``open_tuntap``, with ``count`` queues: a descriptor for each. The device goes when all of them are closed.

    The kernel puts a packet into the queue that the last packet of its flow was written to; where that is some seconds ago or never
    was, the hash of addresses and ports tells (``tun_automq_select_queue``). An answer that the kernel gives within the very call
    that writes still goes by what was before it.

    Raises:
        SetupError: as for ``open_tuntap``.
    """
    check_name(name)
    mode = (IFF_TUN if level == 3 else IFF_TAP) | (IFF_VNET_HDR if offload else 0) | (IFF_MULTI_QUEUE if count > 1 else 0)
    return in_namespace(namespace, lambda: _open_all(name, count, mode))


def _open_all(name: str, count: int, mode: int) -> tuple[list[int], str]:
    descriptor, name = _open(name, mode | IFF_TUN_EXCL)
    descriptors = [descriptor]
    try:
        while len(descriptors) < count:
            descriptors.append(_open(name, mode)[0])
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return descriptors, name


def _open(name: str, mode: int) -> tuple[int, str]:
    try:
        descriptor = os.open(TUN_PATH, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise setup_error(f"open {TUN_PATH}", error, OPEN_MENDS) from error
    try:
        return descriptor, _attach(descriptor, name, mode | IFF_NO_PI)
    except SetupError:
        os.close(descriptor)
        raise


def _attach(descriptor: int, name: str, flags: int) -> str:
    request = struct.pack("16sH22x", name.encode(), flags)
    mends = {
        errno.EBUSY: f"a device of that name exists: choose another name or remove it with: ip link del {name}",
        errno.EPERM: GRANT,
    }
    try:
        answer = fcntl.ioctl(descriptor, TUNSETIFF, request)
        if flags & IFF_VNET_HDR:
            fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
    except OSError as error:
        raise setup_error(f"make the device {name}", error, mends) from error
    return bytes(answer[:16]).rstrip(b"\0").decode()
