"""A device of the kernel's whose IP is taken away for the stack to have. Law: what is taken can be given back exactly."""

import errno
import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from operator import itemgetter

from userstack.address import format_address, is_link_local
from userstack.errors import SetupError
from userstack.host.addresses import DeviceAddress
from userstack.host.commands import command_of
from userstack.host.entries import IFA_BROADCAST, RTA_DST, RTA_PREFSRC, RTA_PRIORITY, Entry, KernelTables, Kind
from userstack.host.failures import setup_error
from userstack.host.links import LinkInfo, read_link, require_ethernet
from userstack.host.netlink import with_routes
from userstack.host.quiet import allow_forwarding, speaks_ipv6, start_ipv6, stop_forwarding, stop_ipv6

FAMILIES = (socket.AF_INET, socket.AF_INET6)
SETTLING = 2.0
"""Seconds; the kernel makes the route to an IPv6 address of its own a moment after the address, from a queue."""
LOOK = 0.002


@dataclass(frozen=True, slots=True)
class TakenAddresses:
    """What ``take_addresses`` took from a device, for the stack to use and ``give_back`` to restore."""

    link: LinkInfo
    namespace: str | None
    families: tuple[int, ...]
    """AF_INET, AF_INET6 or both."""
    addresses: tuple[DeviceAddress, ...]
    """In the kernel's order, IPv4's first; without link-local ones, which every host makes for itself."""
    entries: tuple[Entry, ...]
    """The addresses, and the routes and fixed neighbours that depend on them, as the kernel had them."""
    forwarding: bool
    """Whether the kernel forwarded IPv4 packets that came in through the device."""
    ipv6: bool
    """Whether IPv6 was taken from a kernel that spoke it on the device."""

    def gateway(self, family: int) -> str | None:
        """The next hop of a family's default route of the main table with the best metric, if there was one."""
        found = [
            (entry.number(RTA_PRIORITY) or 0, way.gateway)
            for entry in self.of(family)
            if entry.is_default_route()
            for way in entry.nexthops()
            if way.device == self.link.index and way.gateway is not None
        ]
        return format_address(min(found, key=itemgetter(0))[1]) if found else None

    def of(self, family: int) -> list[Entry]:
        """The entries of one family."""
        return [entry for entry in self.entries if entry.family == family]


def take_addresses(
    device: str, *, namespace: str | None = None, families: Collection[int] = FAMILIES, need_address: bool = True
) -> TakenAddresses:
    """Take the addresses of a device away from the kernel, so that the stack can have them and the kernel answers for none.

    The routes out of the device and the neighbours that were fixed there go with them, and the kernel forwards nothing any more
    that comes in through it. The time of an address or a route with a lifetime stands still until it is given back.

    Args:
        device: its name.
        namespace: where it lives; None for the caller's own.
        families: AF_INET, AF_INET6 or both; what the kernel has of another stays with it.
        need_address: whether a device without an address is refused.

    Raises:
        SetupError: there is no such device, it carries no Ethernet frames, it has no address, or a privilege is missing. Nothing
            was changed.
    """
    link = read_link(device, namespace=namespace)
    require_ethernet(link)
    with _refusals_told(f"take over the addresses of {device}"):
        entries = tuple(entry for family in families for entry in _read(namespace, family, link.index))
        told = tuple(_told_addresses(device, entries))
        if need_address and not told:
            raise SetupError(f"the device {device} has no address to take over: give one", errno.EADDRNOTAVAIL)
        taken = TakenAddresses(
            link,
            namespace,
            tuple(families),
            told,
            entries,
            forwarding=socket.AF_INET in families and stop_forwarding(device, namespace=namespace),
            ipv6=socket.AF_INET6 in families and speaks_ipv6(device, namespace=namespace),
        )
        try:
            for family in families:
                _take(taken, family)
        except BaseException:
            give_back(taken)
            raise
    return taken


def give_back(taken: TakenAddresses) -> None:
    """Give a device what was taken from it. What it has again already is left; may be called twice, and when the device is gone.

    Raises:
        SetupError: something could not be restored, all else is. The text has the commands that make it by hand.
    """
    try:
        lost = _restore(taken)
    except SetupError as error:
        if error.errno == errno.ENOENT:  # the namespace is gone, and the device with it
            return
        raise
    if lost and _is_there(taken):
        raise SetupError(f"cannot give {taken.link.name} back all that it had; run by hand: {'; '.join(lost)}", errno.EIO)


@contextmanager
def addresses_taken(
    device: str, *, namespace: str | None = None, families: Collection[int] = FAMILIES, need_address: bool = True
) -> Iterator[TakenAddresses]:
    """``take_addresses`` for the length of a ``with`` block.

    Raises:
        SetupError: as ``take_addresses`` and ``give_back``.
    """
    taken = take_addresses(device, namespace=namespace, families=families, need_address=need_address)
    try:
        yield taken
    finally:
        give_back(taken)


def _read(namespace: str | None, family: int, index: int) -> tuple[Entry, ...]:
    with KernelTables(namespace, family) as tables:
        addresses = tables.addresses(index)
        return (*addresses, *tables.neighbours(index), *tables.routes(index, addresses))


def _told_addresses(device: str, entries: Iterable[Entry]) -> Iterator[DeviceAddress]:
    for entry in entries:
        local = entry.local
        if entry.kind is Kind.ADDRESS and local is not None and not is_link_local(local):
            _, length, _, scope, index = entry.fixed
            broadcast = entry.get(IFA_BROADCAST)
            told = None if broadcast is None else format_address(broadcast)
            yield DeviceAddress(device, index, f"{format_address(local)}/{length}", told, scope)


def _take(taken: TakenAddresses, family: int) -> None:
    """Remove the addresses, the last first: with its primary one a secondary address would go by itself, or be promoted."""
    index = taken.link.index
    addresses, others = _split(taken.of(family))
    with KernelTables(taken.namespace, family) as tables:
        if family == socket.AF_INET6:
            # Of what goes out of other devices too, the kernel would leave a part, or leave the source out.
            for entry in others:
                if any(way.device != index for way in entry.nexthops()):
                    tables.remove(entry)
            stop_ipv6(taken.link.name, namespace=taken.namespace)
        for entry in reversed(addresses):
            tables.remove(entry)
        # With the last address the kernel drops its routes, but for those that go by a next hop object.
        for entry in tables.routes(index, addresses):
            if all(way.device == index for way in entry.nexthops()):
                tables.remove(entry)


def _restore(taken: TakenAddresses) -> list[str]:
    """Make all again that can be. Returns the commands for what cannot, with the reason."""
    lost: list[str] = []
    try:
        with _refusals_told(f"give {taken.link.name} its addresses back"):
            for family in taken.families:
                with KernelTables(taken.namespace, family) as tables:
                    lost += _restore_family(tables, taken)
    finally:
        if taken.forwarding:
            lost += _forward_again(taken)
    return lost


def _restore_family(tables: KernelTables, taken: TakenAddresses) -> list[str]:
    addresses, others = _split(taken.of(tables.family))
    lost: list[str] = []
    if tables.family == socket.AF_INET6:
        lost += _speak_ipv6_again(tables, taken) if taken.ipv6 else []
        addresses.reverse()  # the kernel lists what was added last before others of its scope
    lost += _make_again(tables, taken, addresses)
    if not lost:
        _wait_for_inseparable(tables, taken)
    lost += _make_again(tables, taken, [entry for entry in others if not entry.is_inseparable])
    return lost or _remove_what_was_not(tables, taken)


def _make_again(tables: KernelTables, taken: TakenAddresses, entries: Iterable[Entry]) -> list[str]:
    present = _entries_of(tables, taken)
    missing = [entry for entry in entries if entry not in present]
    while missing:
        failures: list[tuple[Entry, OSError]] = []
        for entry in missing:
            try:
                tables.make(entry)
            except OSError as error:
                failures.append((entry, error))
        # A gateway must be reachable, and a preferred source there, before the route: what failed may go after the others.
        if len(failures) == len(missing):
            return [_by_hand(taken, entry, error) for entry, error in failures]
        missing = [entry for entry, _ in failures]
    return []


def _wait_for_inseparable(tables: KernelTables, taken: TakenAddresses) -> None:
    """On a device that is down they come when it is raised."""
    awaited = {entry for entry in taken.of(tables.family) if entry.is_inseparable}
    end = time.monotonic() + SETTLING
    while awaited - _entries_of(tables, taken) and time.monotonic() < end:
        time.sleep(LOOK)


def _remove_what_was_not(tables: KernelTables, taken: TakenAddresses) -> list[str]:
    """The kernel's own routes come with an address; somebody may have removed one of them before."""
    lost = []
    addresses, _ = _split(taken.of(tables.family))
    for entry in _entries_of(tables, taken) - set(taken.entries):
        if entry.is_kernels_route and _follows_from(entry, addresses):
            try:
                tables.remove(entry)
            except OSError as error:
                lost.append(_by_hand(taken, entry, error).replace(" append ", " del ", 1))
    return lost


def _follows_from(route: Entry, addresses: Iterable[Entry]) -> bool:
    """Whether the kernel made a route of its own for one of ``addresses``: those of IPv6 do not name it."""
    own = {entry.local or b"" for entry in addresses}
    if route.family == socket.AF_INET:
        return route.get(RTA_PREFSRC) in own
    network = ip_network((route.get(RTA_DST) or bytes(16), route.fixed[1]))
    return network.is_multicast or any(ip_address(address) in network for address in own)


def _entries_of(tables: KernelTables, taken: TakenAddresses) -> set[Entry]:
    index = taken.link.index
    addresses, _ = _split(taken.of(tables.family))
    return {*tables.addresses(index), *tables.neighbours(index), *tables.routes(index, addresses)}


def _split(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The addresses, and all else."""
    addresses: list[Entry] = []
    others: list[Entry] = []
    for entry in entries:
        (addresses if entry.kind is Kind.ADDRESS else others).append(entry)
    return addresses, others


def _speak_ipv6_again(tables: KernelTables, taken: TakenAddresses) -> list[str]:
    again = start_ipv6(taken.link.name, namespace=taken.namespace)
    if not speaks_ipv6(taken.link.name, namespace=taken.namespace):
        return [f"sysctl net/ipv6/conf/{taken.link.name}/disable_ipv6=0"]
    if again:
        for entry in tables.addresses(taken.link.index):
            tables.remove(entry)  # what the kernel has given itself: it is not yet sure of it, and it may have been removed before
    return []


def _forward_again(taken: TakenAddresses) -> list[str]:
    try:
        allow_forwarding(taken.link.name, namespace=taken.namespace)
    except SetupError as error:
        return [f"sysctl net/ipv4/conf/{taken.link.name}/forwarding=1 ({error})"]
    return []


def _by_hand(taken: TakenAddresses, entry: Entry, error: OSError) -> str:
    return f"{command_of(entry, taken.link.name, taken.link.index)} ({os.strerror(error.errno or errno.EIO).lower()})"


def _is_there(taken: TakenAddresses) -> bool:
    """Whether the device still is, under whatever name."""
    try:
        with_routes(taken.namespace, f"look at {taken.link.name}", lambda routes: routes.get_links(taken.link.index))
    except SetupError as error:
        return error.errno not in {errno.ENODEV, errno.ENOENT}
    return True


@contextmanager
def _refusals_told(doing: str) -> Iterator[None]:
    try:
        yield
    except SetupError:
        raise
    except OSError as error:
        raise setup_error(doing, error) from error
