"""Addresses and routes of the kernel's devices. Law: what is taken from a device can be given back exactly."""

import errno
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg
from pyroute2.netlink.exceptions import NetlinkError

from userstack.errors import SetupError
from userstack.host.links import LinkInfo, read_link
from userstack.host.netlink import index_of, with_routes
from userstack.host.quiet import allow_forwarding, stop_forwarding

IpInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

TABLE_MAIN = 254
PROTOCOL_KERNEL = 2
"""rtm_protocol of a route that follows from an address: it comes and goes with it."""
TYPE_UNICAST = 1


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
class Route:
    """A route of the main table out of one device that somebody set, rather than one that follows from an address."""

    destination: str
    """``10.0.0.0/8`` or ``default``."""
    gateway: str | None
    metric: int | None
    source: str | None
    """The address that the kernel prefers to send from."""
    scope: int
    protocol: int


@dataclass(frozen=True, slots=True)
class TakenAddresses:
    """What ``take_addresses`` took from a device, for the stack to use and ``give_back`` to restore."""

    link: LinkInfo
    namespace: str | None
    addresses: tuple[DeviceAddress, ...]
    """In the kernel's order."""
    routes: tuple[Route, ...]
    forwarding: bool
    """Whether the kernel forwarded what came in through the device."""

    @property
    def gateway(self) -> str | None:
        """The next hop of the default route, if there was one."""
        return next((route.gateway for route in self.routes if route.destination == "default"), None)


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
    for entry in list_addresses(namespace=namespace):
        if entry.address.partition("/")[0] == address:
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
    route = Route(destination, gateway, None, None, 0 if gateway else 253, 3)
    doing = f"route {destination} through {device}"
    with_routes(namespace, doing, lambda routes: _add_route(routes, index_of(routes, device), route), mends)


def take_addresses(device: str, *, namespace: str | None = None) -> TakenAddresses:
    """Take the IPv4 addresses of a device away from the kernel, so that the stack can have them and the kernel answers for none.

    The routes out of the device go with them, and the kernel forwards nothing any more that comes in through it.

    Raises:
        SetupError: there is no such device, it has no address, or a privilege is missing. Nothing was changed.
    """
    link = read_link(device, namespace=namespace)

    def take(routes: IPRoute) -> TakenAddresses:
        addresses = _addresses_of(routes, link)
        if not addresses:
            raise SetupError(f"the device {device} has no IPv4 address to take over: give one with --address", errno.EADDRNOTAVAIL)
        forwarding = stop_forwarding(device, namespace=namespace)
        taken = TakenAddresses(link, namespace, addresses, _routes_of(routes, link.index), forwarding)
        try:
            routes.flush_addr(index=link.index, family=AF_INET)
        except NetlinkError:
            _restore(routes, taken)
            raise
        return taken

    return with_routes(namespace, f"take over the addresses of {device}", take)


def give_back(taken: TakenAddresses) -> None:
    """Give a device the addresses and routes again that were taken. What it has again already is left; may be called twice.

    Raises:
        SetupError: the device is gone, or a privilege is missing.
    """
    doing = f"give {taken.link.name} its addresses back"
    with_routes(taken.namespace, doing, lambda routes: _restore(routes, taken))


@contextmanager
def addresses_taken(device: str, *, namespace: str | None = None) -> Iterator[TakenAddresses]:
    """``take_addresses`` for the length of a ``with`` block.

    Raises:
        SetupError: as ``take_addresses`` and ``give_back``.
    """
    taken = take_addresses(device, namespace=namespace)
    try:
        yield taken
    finally:
        give_back(taken)


def default_gateway(device: str, *, namespace: str | None = None) -> str | None:
    """The next hop of the IPv4 default route out of a device, if there is one.

    Raises:
        SetupError: there is no such device.
    """

    def read(routes: IPRoute) -> str | None:
        found = _routes_of(routes, index_of(routes, device))
        return next((route.gateway for route in found if route.destination == "default"), None)

    return with_routes(namespace, f"look for the default route of {device}", read)


def _device_address(device: str, entry: nlmsg) -> DeviceAddress:
    address = entry.get("local") or entry.get("address")
    return DeviceAddress(device, f"{address}/{entry['prefixlen']}", entry.get("broadcast"), entry["scope"])


def _addresses_of(routes: IPRoute, link: LinkInfo) -> tuple[DeviceAddress, ...]:
    return tuple(_device_address(link.name, entry) for entry in routes.get_addr(family=AF_INET, index=link.index))


def _restore(routes: IPRoute, taken: TakenAddresses) -> None:
    index = taken.link.index
    present = _addresses_of(routes, taken.link)
    for entry in taken.addresses:
        if entry not in present:
            address, _, length = entry.address.partition("/")
            given = {} if entry.broadcast is None else {"broadcast": entry.broadcast}
            routes.addr("add", index=index, address=address, prefixlen=int(length), scope=entry.scope, **given)
    known = _routes_of(routes, index)
    # A gateway must be reachable when its route is added: those on the link go first.
    for route in sorted(taken.routes, key=lambda route: route.gateway is not None):
        if route not in known:
            _add_route(routes, index, route)
    if taken.forwarding:
        allow_forwarding(taken.link.name, namespace=taken.namespace)


def _routes_of(routes: IPRoute, index: int) -> tuple[Route, ...]:
    return tuple(
        Route(
            destination=f"{entry.get('dst')}/{entry['dst_len']}" if entry["dst_len"] else "default",
            gateway=entry.get("gateway"),
            metric=entry.get("priority"),
            source=entry.get("prefsrc"),
            scope=entry["scope"],
            protocol=entry["proto"],
        )
        for entry in routes.get_routes(family=AF_INET, table=TABLE_MAIN)
        if entry.get("oif") == index and entry["type"] == TYPE_UNICAST and entry["proto"] != PROTOCOL_KERNEL
    )


def _add_route(routes: IPRoute, index: int, route: Route) -> None:
    optional = {"gateway": route.gateway, "priority": route.metric, "prefsrc": route.source}
    given = {name: value for name, value in optional.items() if value is not None}
    family = AF_INET6 if ":" in route.destination + (route.gateway or "") else AF_INET
    routes.route("add", dst=route.destination, oif=index, family=family, scope=route.scope, proto=route.protocol, **given)
