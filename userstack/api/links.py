"""The ways to have a stack: on a device of the kernel's, in memory, or on whatever carries packets.

Law: what a way makes, its end removes, whichever way it ends; what can be told wrong beforehand is told before anything is made.
Making and removing devices of the kernel's blocks the event loop: for milliseconds, under load for up to some seconds. What needs
scapy and pyroute2 is imported where it is asked for: a stack over a program's own tunnel (``link``) needs neither.

On a device that carries frames, entering takes a second where the stack has an IPv6 address: it first makes sure that nobody else
on the link has it (duplicate address detection, RFC 4862 5.4).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, closing
from socket import AF_INET, AF_INET6
from typing import Unpack

from userstack.address import format_address
from userstack.api.assembly import hardware_address, running
from userstack.api.ends import Texts, kernel_addresses, parse_gateways, parse_interfaces, refuse_twice
from userstack.api.settings import Settings, check_settings
from userstack.api.stack import Stack
from userstack.errors import InvalidArgument
from userstack.net.interface import Interface
from userstack.net.mtu import check_mtu
from userstack.runtime.device import PacketDevice


@asynccontextmanager
async def tun(
    *addresses: str,
    name: str | None = None,
    peer: Texts = None,
    mtu: int = 1500,
    netns: str | None = None,
    offload: bool = True,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack on a TUN device of its own, the kernel at the other end; both go when the context is left. Needs NET_ADMIN.

    Entering and leaving block the event loop for as long as the kernel takes to make and remove the device.

    Args:
        *addresses: the stack's, each with the prefix length of its network: ``"10.9.0.2/24", "fd3d::2/64"``.
        name: of the device; None for ``userstack0`` or the first number that is free.
        peer: the kernel's address on it, or several; in a network that none is given for, it is the first other one.
        mtu: bytes of the largest IP packet.
        netns: the network namespace that the kernel's end lives in; None for the caller's own.
        offload: leave checksums, and the cutting of long texts into segments, to the kernel both ways: packets of up to 64 KiB pass
            as one, in captures too. Not with ``impairment``, which takes packets as a wire has them.
        **settings: see ``Settings``.

    Raises:
        SetupError: the device cannot be made.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.packetio.tun import TunDevice

    check_settings(settings)
    own, kernel = _ends(addresses, peer, mtu)
    _require_free(own, netns)
    device = TunDevice(
        name or "userstack%d", namespace=netns, kernel_addresses=kernel, mtu=mtu, offload=_offload(settings, wanted=offload)
    )
    async with owning(device, own, settings) as stack:
        yield stack


@asynccontextmanager
async def tap(
    *addresses: str,
    name: str | None = None,
    peer: Texts = None,
    mtu: int = 1500,
    netns: str | None = None,
    mac: bytes | None = None,
    gateway: Texts = None,
    offload: bool = True,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack on a TAP device of its own: as ``tun``, with Ethernet frames, and ARP and ND done by the stack.

    Entering and leaving block the event loop, as with ``tun``.

    Args:
        *addresses: as for ``tun``.
        name: as for ``tun``.
        peer: as for ``tun``.
        mtu: as for ``tun``.
        netns: as for ``tun``.
        mac: the stack's hardware address, six bytes; None for a random one.
        gateway: the next hop to other networks, or two, one for each family; None where there is none.
        offload: as for ``tun``.
        **settings: see ``Settings``.

    Raises:
        SetupError: the device cannot be made.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.packetio.tun import TapDevice

    check_settings(settings)
    own, kernel = _ends(addresses, peer, mtu)
    hops = parse_gateways(gateway)
    _require_free(own, netns)
    device = TapDevice(
        name or "userstack%d",
        namespace=netns,
        kernel_addresses=kernel,
        mtu=mtu,
        mac=mac,
        offload=_offload(settings, wanted=offload),
    )
    async with owning(device, own, settings, gateways=hops) as stack:
        yield stack


@asynccontextmanager
async def veth(
    *addresses: str,
    name: str | None = None,
    peer_name: str | None = None,
    peer: Texts = None,
    mtu: int = 1500,
    netns: str | None = None,
    gateway: Texts = None,
    offload: bool = True,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack on one end of a veth pair, through a packet socket; the kernel has the other. Needs NET_ADMIN and NET_RAW.

    Entering and leaving block the event loop, as with ``tun``, and until the pair carries: under load up to two seconds. A process
    that is killed, or that a SIGTERM ends without unwinding, leaves the pair behind.

    Args:
        *addresses: as for ``tun``.
        name: of the stack's end; None for one that nobody has.
        peer_name: of the kernel's end; None for one that nobody has.
        peer: as for ``tun``.
        mtu: bytes of the largest IP packet.
        netns: the network namespace that both ends live in; None for the caller's own.
        gateway: the next hop to other networks, or two, one for each family; None where there is none.
        offload: as for ``tun``.
        **settings: see ``Settings``.

    Raises:
        SetupError: the pair cannot be made.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.host.links import unique_device_name
    from userstack.packetio.veth import VethPair

    check_settings(settings)
    own, kernel = _ends(addresses, peer, mtu)
    hops = parse_gateways(gateway)
    _require_free(own, netns)
    names = (name or unique_device_name("us"), peer_name or unique_device_name("usk"))
    device = VethPair(*names, namespace=netns, peer_addresses=kernel, mtu=mtu, offload=_offload(settings, wanted=offload))
    async with owning(device, own, settings, gateways=hops) as stack:
        yield stack


@asynccontextmanager
async def interface(
    name: str,
    *addresses: str,
    gateway: Texts = None,
    netns: str | None = None,
    offload: bool = True,
    **settings: Unpack[Settings],
) -> AsyncIterator[Stack]:
    """A stack that takes over a device that exists, such as a container's eth0: MAC, MTU, addresses and gateways are its.

    The kernel loses the device's addresses and routes for that time, of the families that the stack has, and gets them back at the
    end, also after an error; not from a process that is killed, or that a SIGTERM ends without unwinding: handle the signal by
    cancelling the task, as ``asyncio.run`` does for SIGINT. Entering and leaving block the event loop, as with ``tun``.

    Args:
        name: of the device, which must be up.
        *addresses: with prefix length; without any, all that the kernel has on the device, of both families.
        gateway: the next hop to other networks, or two, one for each family; for a family that none is given for, it is that of the
            kernel's default route out of the device, if there is one.
        netns: the network namespace that it lives in; None for the caller's own.
        offload: as for ``tun``.
        **settings: see ``Settings``.

    Raises:
        SetupError: there is no such device, it has no address, or a privilege is missing.
        InvalidArgument: an argument cannot be.
    """
    from userstack.api.owned import owning
    from userstack.host.takeover import addresses_taken
    from userstack.packetio.veth import VethDevice

    check_settings(settings)
    given = parse_interfaces(addresses) if addresses else []
    hops = parse_gateways(gateway)
    with closing(VethDevice(name, namespace=netns, offload=_offload(settings, wanted=offload))) as device:
        hardware_address(device)  # all that can be wrong is told while the kernel still has its addresses
        families = _families(given) or _families_on(name, netns)
        check_mtu(device.mtu, given)
        with addresses_taken(name, namespace=netns, families=families, need_address=not given) as taken:
            own = given or [Interface.parse(entry.address) for entry in taken.addresses]
            for hop in parse_gateways([hop for hop in map(taken.gateway, families) if hop is not None]):
                if len(hop) not in map(len, hops):
                    hops.append(hop)
            async with owning(device, own, settings, gateways=hops) as stack:
                yield stack


@asynccontextmanager
async def memory(
    first: str | Sequence[str], second: str | Sequence[str], *, level: int = 3, mtu: int = 1500, **settings: Unpack[Settings]
) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two stacks in this process, each the other's peer. Needs no privilege.

    Args:
        first: the address of the one, with prefix length, or several.
        second: that of the other.
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
    ours, theirs = parse_interfaces(first), parse_interfaces(second)
    refuse_twice(interface.address for interface in (*ours, *theirs))
    one_end, other_end = memory_pair(level, mtu=mtu)
    with closing(one_end), closing(other_end):
        async with (
            owning(one_end, ours, settings) as one,  # one wire: what makes it bad in both directions stands at one end
            owning(other_end, theirs, {**settings, "impairment": None}) as other,
        ):
            yield one, other
            await asyncio.gather(one.close(), other.close())  # side by side: each still hears the other's last word


@asynccontextmanager
async def link(device: PacketDevice, *addresses: str, gateway: Texts = None, **settings: Unpack[Settings]) -> AsyncIterator[Stack]:
    """A stack on any device: one of ``packetio``'s, or whatever reads and writes packets behind a descriptor.

    Args:
        device: stays the caller's, who closes it afterwards. To make it a bad link, wrap it in a ``packetio`` ``ImpairedDevice``.
        *addresses: with prefix length.
        gateway: on level 2, the next hop to other networks, or two, one for each family.
        **settings: see ``Settings``.

    Raises:
        InvalidArgument: an argument cannot be.
    """
    check_settings(settings)
    if settings.get("impairment") is not None:
        raise InvalidArgument("link takes no impairment: wrap the device in userstack.packetio.impaired.ImpairedDevice")
    async with running(device, parse_interfaces(addresses), settings, gateways=parse_gateways(gateway)) as stack:
        yield stack


def _ends(addresses: Sequence[str], peer: Texts, mtu: int) -> tuple[list[Interface], list[str]]:
    """The stack's addresses, and the kernel's with prefix lengths, on a link that could carry them.

    Raises:
        InvalidArgument: an address or the MTU cannot be.
    """
    own = parse_interfaces(addresses)
    kernel = kernel_addresses(own, peer)
    check_mtu(mtu, own)
    return own, kernel


def _require_free(own: Sequence[Interface], netns: str | None) -> None:
    """Make sure that the kernel does not have the stack's addresses: what is for them would then never get to the stack.

    Raises:
        SetupError: a device of the kernel's has one.
    """
    from userstack.host.addresses import require_free_address

    for interface in own:
        require_free_address(format_address(interface.address), namespace=netns)


def _families(own: Sequence[Interface]) -> list[int]:
    lengths = {len(interface.address) for interface in own}
    return [family for family, length in ((AF_INET, 4), (AF_INET6, 16)) if length in lengths]


def _families_on(name: str, netns: str | None) -> Collection[int]:
    """IPv4, and IPv6 where the kernel has more of it on the device than the link-local address that it gives itself."""
    from userstack.host.addresses import SCOPE_LINK, list_addresses

    entries = [entry for entry in list_addresses(namespace=netns) if entry.device == name]
    six = any(":" in entry.address and entry.scope != SCOPE_LINK for entry in entries)
    return [AF_INET, AF_INET6] if six else [AF_INET]


def _offload(settings: Settings, *, wanted: bool) -> bool:
    return wanted and settings.get("impairment") is None
