"""The ways to have a stack: on a device of the kernel's, in memory, or on whatever carries packets.

Law: what a way makes, its end removes, whichever way it ends; what can be told wrong beforehand is told before anything is made.
Making and removing devices of the kernel's blocks the event loop: for milliseconds, under load for up to some seconds. What needs
scapy and pyroute2 is imported where it is asked for: a stack over a program's own tunnel (``link``) needs neither.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from ipaddress import ip_network
from itertools import islice
from socket import AF_INET
from typing import Unpack

from userstack.address import format_address, pack_address
from userstack.api.assembly import check_on_frames, hardware_address, running
from userstack.api.guards import parse_endpoint
from userstack.api.settings import Settings, check_settings
from userstack.api.stack import Stack
from userstack.errors import InvalidArgument
from userstack.net.interface import Interface
from userstack.net.mtu import check_mtu
from userstack.runtime.device import PacketDevice


@asynccontextmanager
async def tun(
    address: str,
    *,
    name: str | None = None,
    peer: str | None = None,
    mtu: int = 1500,
    netns: str | None = None,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack on a TUN device of its own, the kernel at the other end; both go when the context is left. Needs NET_ADMIN.

    Entering and leaving block the event loop for as long as the kernel takes to make and remove the device.

    Args:
        address: the stack's, with the prefix length of the network, ``10.9.0.2/24``.
        name: of the device; None for ``userstack0`` or the first number that is free.
        peer: the kernel's address on it; None for the first other address of the network.
        mtu: bytes of the largest IP packet.
        netns: the network namespace that the kernel's end lives in; None for the caller's own.
        **settings: see ``Settings``.

    Raises:
        SetupError: the device cannot be made.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.packetio.tun import TunDevice

    check_settings(settings)
    own, kernel = _ends(address, peer, mtu)
    _require_free(own, netns)
    device = TunDevice(name or "userstack%d", namespace=netns, kernel_addresses=[kernel], mtu=mtu)
    async with owning(device, own, settings) as stack:
        yield stack


@asynccontextmanager
async def tap(
    address: str,
    *,
    name: str | None = None,
    peer: str | None = None,
    mtu: int = 1500,
    netns: str | None = None,
    mac: bytes | None = None,
    gateway: str | None = None,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack on a TAP device of its own: as ``tun``, with Ethernet frames, and ARP done by the stack.

    Entering and leaving block the event loop, as with ``tun``.

    Args:
        address: as for ``tun``.
        name: as for ``tun``.
        peer: as for ``tun``.
        mtu: as for ``tun``.
        netns: as for ``tun``.
        mac: the stack's hardware address, six bytes; None for a random one.
        gateway: the next hop to other networks; None where there is none.
        **settings: see ``Settings``.

    Raises:
        SetupError: the device cannot be made.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.packetio.tun import TapDevice

    check_settings(settings)
    own, kernel = _ends(address, peer, mtu)
    check_on_frames(own)
    _require_free(own, netns)
    device = TapDevice(name or "userstack%d", namespace=netns, kernel_addresses=[kernel], mtu=mtu, mac=mac)
    async with owning(device, own, settings, gateway=gateway) as stack:
        yield stack


@asynccontextmanager
async def veth(
    address: str,
    *,
    name: str | None = None,
    peer_name: str | None = None,
    peer: str | None = None,
    mtu: int = 1500,
    netns: str | None = None,
    gateway: str | None = None,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack on one end of a veth pair, through a packet socket; the kernel has the other. Needs NET_ADMIN and NET_RAW.

    Entering and leaving block the event loop, as with ``tun``, and until the pair carries: under load up to two seconds. A process
    that is killed, or that a SIGTERM ends without unwinding, leaves the pair behind.

    Args:
        address: the stack's, with the prefix length of the network.
        name: of the stack's end; None for one that nobody has.
        peer_name: of the kernel's end; None for one that nobody has.
        peer: the kernel's address; None for the first other address of the network.
        mtu: bytes of the largest IP packet.
        netns: the network namespace that both ends live in; None for the caller's own.
        gateway: the next hop to other networks; None where there is none.
        **settings: see ``Settings``.

    Raises:
        SetupError: the pair cannot be made.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.host.links import unique_device_name
    from userstack.packetio.veth import VethPair

    check_settings(settings)
    own, kernel = _ends(address, peer, mtu)
    check_on_frames(own)
    _require_free(own, netns)
    names = (name or unique_device_name("us"), peer_name or unique_device_name("usk"))
    device = VethPair(*names, namespace=netns, peer_addresses=[kernel], mtu=mtu)
    async with owning(device, own, settings, gateway=gateway) as stack:
        yield stack


@asynccontextmanager
async def interface(
    name: str, *, address: str | None = None, gateway: str | None = None, netns: str | None = None, **settings: Unpack[Settings]
) -> AsyncIterator[Stack]:
    """A stack that takes over a device that exists, such as a container's eth0: MAC, MTU, address and gateway are its.

    The kernel loses the device's IPv4 addresses and routes for that time, and gets them back at the end, also after an error; not
    from a process that is killed, or that a SIGTERM ends without unwinding: handle the signal by cancelling the task, as
    ``asyncio.run`` does for SIGINT. Entering and leaving block the event loop, as with ``tun``.

    Args:
        name: of the device, which must be up.
        address: with prefix length; None for the first that the kernel has on the device.
        gateway: the next hop to other networks; None for that of the kernel's default route out of the device, if there is one.
        netns: the network namespace that it lives in; None for the caller's own.
        **settings: see ``Settings``.

    Raises:
        SetupError: there is no such device, it has no address, or a privilege is missing.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.host.takeover import addresses_taken
    from userstack.packetio.veth import VethDevice

    check_settings(settings)
    given = None if address is None else Interface.parse(address)
    if given is not None:
        check_on_frames(given)
    if gateway is not None:
        parse_endpoint(gateway, 0)
    with closing(VethDevice(name, namespace=netns)) as device:
        hardware_address(device)  # all that can be wrong is told while the kernel still has its addresses
        check_mtu(device.mtu)
        with addresses_taken(name, namespace=netns, families=[AF_INET], need_address=given is None) as taken:
            own = given or Interface.parse(taken.addresses[0].address)
            async with owning(device, own, settings, gateway=gateway or taken.gateway(AF_INET)) as stack:
                yield stack


@asynccontextmanager
async def memory(
    first: str, second: str, *, level: int = 3, mtu: int = 1500, **settings: Unpack[Settings]
) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two stacks in this process, each the other's peer. Needs no privilege.

    Args:
        first: the address of the one, with prefix length.
        second: the address of the other.
        level: 3 for IP packets between them, 2 for Ethernet frames.
        mtu: bytes of the largest IP packet.
        **settings: see ``Settings``; they are for both. For two that differ, use ``packetio.memory.memory_pair`` and ``link``.

    Raises:
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.packetio.memory import memory_pair

    check_settings(settings)
    if level not in (2, 3):
        raise InvalidArgument(f"level is 3 for IP packets or 2 for Ethernet frames, not {level}")
    interfaces = [Interface.parse(first), Interface.parse(second)]
    if interfaces[0].address == interfaces[1].address:
        raise InvalidArgument(f"both ends cannot be {format_address(interfaces[0].address)}: each needs an address of its own")
    one_end, other_end = memory_pair(level, mtu=mtu)
    with closing(one_end), closing(other_end):
        async with (
            owning(one_end, interfaces[0], settings) as one,  # one wire: what makes it bad in both directions stands at one end
            owning(other_end, interfaces[1], {**settings, "impairment": None}) as other,
        ):
            yield one, other
            await asyncio.gather(one.close(), other.close())  # side by side: each still hears the other's last word


@asynccontextmanager
async def link(
    device: PacketDevice, *addresses: str, gateway: str | None = None, **settings: Unpack[Settings]
) -> AsyncIterator[Stack]:
    """A stack on any device: one of ``packetio``'s, or whatever reads and writes packets behind a descriptor.

    Args:
        device: stays the caller's, who closes it afterwards. To make it a bad link, wrap it in a ``packetio`` ``ImpairedDevice``.
        *addresses: with prefix length; on level 2, one.
        gateway: on level 2, the next hop to other networks.
        **settings: see ``Settings``.

    Raises:
        InvalidArgument: an argument cannot be.
    """
    check_settings(settings)
    if settings.get("impairment") is not None:
        raise InvalidArgument("link takes no impairment: wrap the device in userstack.packetio.impaired.ImpairedDevice")
    async with running(device, [Interface.parse(address) for address in addresses], settings, gateway=gateway) as stack:
        yield stack


def _ends(address: str, peer: str | None, mtu: int) -> tuple[Interface, str]:
    """The stack's address, and the kernel's with prefix length, on a link that could carry them.

    Raises:
        InvalidArgument: an address or the MTU cannot be.
    """
    own = Interface.parse(address)
    kernel = _peer(own, peer)
    check_mtu(mtu, [own])
    return own, kernel


def _require_free(own: Interface, netns: str | None) -> None:
    """Make sure that the kernel does not have the stack's address: what is for it would then never get to the stack.

    Raises:
        SetupError: a device of the kernel's has it.
    """
    from userstack.host.addresses import require_free_address

    require_free_address(format_address(own.address), namespace=netns)


def _peer(own: Interface, peer: str | None) -> str:
    """The kernel's address with prefix length: ``peer``, or the first other host of the network.

    Raises:
        InvalidArgument: ``peer`` is not another address of the network, or the network has no other.
    """
    if peer is not None:
        other = Interface.parse(peer if "/" in peer else f"{peer}/{own.prefix_length}")
        if other.address == own.address or not own.contains(other.address):
            raise InvalidArgument(f"the peer {peer} must be another address of the network of {own}")
        return str(other)
    hosts = map(str, islice(ip_network((own.network, own.prefix_length)).hosts(), 2))
    found = next((host for host in hosts if pack_address(host) != own.address), None)
    if found is None:
        raise InvalidArgument(f"the network of {own} has no other address for the kernel: take a shorter prefix, as in /24")
    return f"{found}/{own.prefix_length}"
