"""Addresses and routes of the kernel's devices. Law: what is taken from a device can be given back exactly."""

import errno
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from socket import AF_INET, AF_INET6, inet_ntoa

from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg

from userstack.errors import SetupError
from userstack.host.commands import command_of
from userstack.host.entries import IFA_ADDRESS, IFA_BROADCAST, IFA_LOCAL, RTA_PREFSRC, RTA_PRIORITY, Entry, KernelTables, Kind
from userstack.host.failures import setup_error
from userstack.host.links import LinkInfo, read_link, require_ethernet
from userstack.host.netlink import index_of, with_routes
from userstack.host.quiet import allow_forwarding, stop_forwarding

IpInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

PROTOCOL_KERNEL = 2
"""rtm_protocol of a route that follows from an address: it comes and goes with it."""
SCOPE_UNIVERSE = 0
SCOPE_LINK = 253


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address of the kernel's on a device."""

    device: str
    address: str
    """With its prefix length: ``10.9.0.1/24``."""
    broadcast: str | None
    scope: int
    """rtm_scope: 0 is the whole world, 253 the link, 254 the host."""


@dataclass(frozen=True, slots=True)
class TakenAddresses:
    """What ``take_addresses`` took from a device, for the stack to use and ``give_back`` to restore."""

    link: LinkInfo
    namespace: str | None
    addresses: tuple[DeviceAddress, ...]
    """In the kernel's order."""
    entries: tuple[Entry, ...]
    """The addresses, and the routes and fixed neighbours that depend on them, as the kernel had them."""
    forwarding: bool
    """Whether the kernel forwarded what came in through the device."""

    @property
    def gateway(self) -> str | None:
        """The next hop of the default route of the main table with the best metric, if there was one."""
        found = [
            (entry.number(RTA_PRIORITY) or 0, way.gateway)
            for entry in self.entries
            if entry.is_default_route()
            for way in entry.nexthops()
            if way.device == self.link.index and way.gateway is not None
        ]
        return inet_ntoa(min(found, key=itemgetter(0))[1]) if found else None


def parse_interface(text: str) -> IpInterface:
    """Read an address with its prefix length, ``10.9.0.2/24``.

    Raises:
        SetupError: it is none.
    """
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError as error:
        raise SetupError(f"{text!r} is no address with a prefix length: write it like 10.9.0.2/24", errno.EINVAL) from error
    if "/" not in text:
        raise SetupError(f"the prefix length is missing in {text!r}: write it like {text}/24", errno.EINVAL)
    return interface


def list_addresses(*, namespace: str | None = None) -> list[DeviceAddress]:
    """Every address of the kernel's in a namespace.

    Raises:
        SetupError: the namespace is not there.
    """

    def read(routes: IPRoute) -> list[DeviceAddress]:
        names = {link["index"]: link.get("ifname") for link in routes.get_links()}
        return [_device_address(names[entry["index"]], entry) for entry in routes.get_addr()]

    return with_routes(namespace, "list addresses", read)


def add_address(device: str, address: str, *, namespace: str | None = None) -> None:
    """Give a device of the kernel's an address.

    Args:
        device: its name.
        address: with prefix length, ``10.9.0.1/24``.
        namespace: where the device lives; None for the caller's own.

    Raises:
        SetupError: the address is none, or is taken, or there is no such device.
    """
    interface = parse_interface(address)
    require_free_address(str(interface.ip), namespace=namespace)

    def add(routes: IPRoute) -> None:
        routes.addr("add", index=index_of(routes, device), address=str(interface.ip), prefixlen=interface.network.prefixlen)

    mends = {errno.EADDRNOTAVAIL: "choose an address that a host can have"}
    if interface.version == 6:
        mends[errno.EINVAL] = "IPv6 wants an MTU of at least 1280 bytes (RFC 8200 5)"
    with_routes(namespace, f"give the device {device} the address {address}", add, mends)


def remove_address(device: str, address: str, *, namespace: str | None = None) -> None:
    """Take an address from a device. One that is gone already is no error.

    Raises:
        SetupError: the address is none, or may not be removed.
    """
    interface = parse_interface(address)

    def remove(routes: IPRoute) -> None:
        routes.addr("del", index=index_of(routes, device), address=str(interface.ip), prefixlen=interface.network.prefixlen)

    try:
        with_routes(namespace, f"take the address {address} from the device {device}", remove)
    except SetupError as error:
        if error.errno not in {errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENOENT}:
            raise


def require_free_address(address: str, *, namespace: str | None = None) -> None:
    """Make sure that the kernel does not have an address itself, or two would answer for it.

    Raises:
        SetupError: a device has it.
    """
    wanted = ipaddress.ip_address(address)
    for entry in list_addresses(namespace=namespace):
        if ipaddress.ip_interface(entry.address).ip == wanted:
            mend = f"choose another address or remove it with: ip address del {entry.address} dev {entry.device}"
            raise SetupError(f"the address {address} is taken by the device {entry.device}; {mend}", errno.EADDRINUSE)


def add_route(destination: str, *, device: str, gateway: str | None = None, namespace: str | None = None) -> None:
    """Have the kernel send what is for ``destination`` out of ``device``.

    Args:
        destination: a network, ``10.0.0.0/8``, or ``default``.
        device: the way out, which must be up.
        gateway: the next hop; None when the destination is on the link.
        namespace: where the device lives; None for the caller's own.

    Raises:
        SetupError: the route exists, or the gateway is not reachable.
    """
    mends = {
        errno.EEXIST: f"there is one already: see it with: ip route show {destination}",
        errno.ENETUNREACH: "give the device an address in the gateway's network first",
        errno.ENETDOWN: f"raise the device first: ip link set {device} up",
    }
    given = {} if gateway is None else {"gateway": gateway}
    family = AF_INET6 if ":" in destination + (gateway or "") else AF_INET

    def add(routes: IPRoute) -> None:
        scope = SCOPE_LINK if gateway is None else SCOPE_UNIVERSE
        routes.route("add", dst=destination, oif=index_of(routes, device), family=family, scope=scope, **given)

    with_routes(namespace, f"route {destination} through {device}", add, mends)


def take_addresses(device: str, *, namespace: str | None = None, need_address: bool = True) -> TakenAddresses:
    """Take the IPv4 addresses of a device away from the kernel, so that the stack can have them and the kernel answers for none.

    The routes out of the device and the neighbours that were fixed there go with them, and the kernel forwards nothing any more
    that comes in through it. The time of an address with a lifetime stands still until it is given back.

    Args:
        device: its name.
        namespace: where it lives; None for the caller's own.
        need_address: whether a device without an address is refused.

    Raises:
        SetupError: there is no such device, it carries no Ethernet frames, it has no address, or a privilege is missing. Nothing
            was changed.
    """
    link = read_link(device, namespace=namespace)
    require_ethernet(link)
    with KernelTables(namespace) as tables, _told(f"take over the addresses of {device}"):
        addresses = tables.addresses(link.index)
        if need_address and not addresses:
            raise SetupError(f"the device {device} has no IPv4 address to take over: give one", errno.EADDRNOTAVAIL)
        entries = (*addresses, *tables.neighbours(link.index), *tables.routes(link.index, addresses))
        told = tuple(_address_of(device, entry) for entry in addresses)
        taken = TakenAddresses(link, namespace, told, entries, stop_forwarding(device, namespace=namespace))
        try:
            _take(tables, taken)
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
def addresses_taken(device: str, *, namespace: str | None = None, need_address: bool = True) -> Iterator[TakenAddresses]:
    """``take_addresses`` for the length of a ``with`` block.

    Raises:
        SetupError: as ``take_addresses`` and ``give_back``.
    """
    taken = take_addresses(device, namespace=namespace, need_address=need_address)
    try:
        yield taken
    finally:
        give_back(taken)


def _device_address(device: str, entry: nlmsg) -> DeviceAddress:
    address = entry.get("local") or entry.get("address")
    return DeviceAddress(device, f"{address}/{entry['prefixlen']}", entry.get("broadcast"), entry["scope"])


def _address_of(device: str, entry: Entry) -> DeviceAddress:
    _, length, _, scope, _ = entry.fixed
    broadcast = entry.get(IFA_BROADCAST)
    local = inet_ntoa(entry.get(IFA_LOCAL) or entry.get(IFA_ADDRESS) or b"")
    return DeviceAddress(device, f"{local}/{length}", None if broadcast is None else inet_ntoa(broadcast), scope)


def _take(tables: KernelTables, taken: TakenAddresses) -> None:
    """Remove the addresses, the last first: with its primary one a secondary address would go by itself, or be promoted."""
    addresses = [entry for entry in taken.entries if entry.kind is Kind.ADDRESS]
    for entry in reversed(addresses):
        tables.remove(entry)
    # With the last address the kernel drops its routes, but for those that go by a next hop object.
    for entry in tables.routes(taken.link.index, addresses):
        if all(way.device == taken.link.index for way in entry.nexthops()):
            tables.remove(entry)


def _restore(taken: TakenAddresses) -> list[str]:
    """Make all again that can be. Returns the commands for what cannot, with the reason."""
    lost: list[str] = []
    try:
        with KernelTables(taken.namespace) as tables, _told(f"give {taken.link.name} its addresses back"):
            lost += _make_again(tables, taken) or _remove_what_was_not(tables, taken)
    finally:
        if taken.forwarding:
            lost += _forward_again(taken)
    return lost


def _make_again(tables: KernelTables, taken: TakenAddresses) -> list[str]:
    present = _entries_of(tables, taken)
    missing = [entry for entry in taken.entries if entry not in present]
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


def _remove_what_was_not(tables: KernelTables, taken: TakenAddresses) -> list[str]:
    """The kernel's own routes come with an address; somebody may have removed one of them before."""
    lost = []
    sources = {entry.get(IFA_LOCAL) for entry in taken.entries if entry.kind is Kind.ADDRESS}
    for entry in _entries_of(tables, taken) - set(taken.entries):
        if entry.kind is Kind.ROUTE and entry.fixed[5] == PROTOCOL_KERNEL and entry.get(RTA_PREFSRC) in sources:
            try:
                tables.remove(entry)
            except OSError as error:
                lost.append(_by_hand(taken, entry, error).replace(" append ", " del ", 1))
    return lost


def _entries_of(tables: KernelTables, taken: TakenAddresses) -> set[Entry]:
    index = taken.link.index
    addresses = [entry for entry in taken.entries if entry.kind is Kind.ADDRESS]
    return {*tables.addresses(index), *tables.neighbours(index), *tables.routes(index, addresses)}


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
def _told(doing: str) -> Iterator[None]:
    try:
        yield
    except SetupError:
        raise
    except OSError as error:
        raise setup_error(doing, error) from error
