"""Addresses and routes of the kernel's devices: listed, given, removed."""

import errno
import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute
from pyroute2.netlink import nlmsg
from pyroute2.netlink.exceptions import NetlinkError

from userstack.errors import SetupError
from userstack.host.entries import IFA_F_NODAD
from userstack.host.links import IFF_UP
from userstack.host.netlink import index_of, with_routes
from userstack.host.quiet import start_ipv6

IpInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface

SCOPE_UNIVERSE = 0
SCOPE_LINK = 253
RTN_LOCAL = 2
"""The type of a route to an address of the kernel's own."""
ROUTE_PATIENCE = 2.0
"""Seconds that the kernel may take to route what comes for a new address to itself."""


@dataclass(frozen=True, slots=True)
class DeviceAddress:
    """An address of the kernel's on a device."""

    device: str
    index: int
    """The device's number."""
    address: str
    """With its prefix length: ``10.9.0.1/24``."""
    broadcast: str | None
    scope: int
    """rtm_scope: 0 is the whole world, 253 the link, 254 the host."""


def parse_interface(text: str) -> IpInterface:
    """Read an address with its prefix length, ``10.9.0.2/24`` or ``fd3d::2/64``.

    Raises:
        SetupError: it is none.
    """
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError as error:
        raise SetupError(f"{text!r} is no address with a prefix length: write it like 10.9.0.2/24", errno.EINVAL) from error
    if "/" not in text:
        raise SetupError(
            f"the prefix length is missing in {text!r}: write it like {text}/{24 if interface.version == 4 else 64}", errno.EINVAL
        )
    return interface


def list_addresses(*, namespace: str | None = None) -> list[DeviceAddress]:
    """Every address of the kernel's in a namespace.

    Raises:
        SetupError: the namespace is not there.
    """

    def read(routes: IPRoute) -> list[DeviceAddress]:
        names = {link["index"]: link.get("ifname") for link in routes.get_links()}
        # A device that came between the two questions is none of those that were asked about.
        return [_device_address(names[entry["index"]], entry) for entry in routes.get_addr() if entry["index"] in names]

    return with_routes(namespace, "list addresses", read)


def add_address(device: str, address: str, *, namespace: str | None = None) -> None:
    """Give a device of the kernel's an address, to be used at once: no IPv6 duplicate is looked for (RFC 4862 5.4).

    Args:
        device: its name.
        address: with prefix length, ``10.9.0.1/24``.
        namespace: where the device lives; None for the caller's own.

    Raises:
        SetupError: the address is none, or is taken, or there is no such device.
    """
    interface = parse_interface(address)
    require_free_address(str(interface.ip), device=device, namespace=namespace)
    given = {"address": str(interface.ip), "prefixlen": interface.network.prefixlen}
    if interface.version == 6:
        given["flags"] = IFA_F_NODAD

    def add(routes: IPRoute) -> None:
        index = index_of(routes, device)
        routes.addr("add", index=index, **given)
        if interface.version == 6 and routes.get_links(index)[0]["flags"] & IFF_UP:
            _wait_until_local(routes, str(interface.ip))

    mends = {errno.EADDRNOTAVAIL: "choose an address that a host can have"}
    if interface.version == 6:
        mends[errno.EINVAL] = "IPv6 wants an MTU of at least 1280 bytes (RFC 8200 5)"
        setting = f"net.ipv6.conf.{device}.disable_ipv6=0"
        mends[errno.EACCES] = f"IPv6 is off there: switch it on with: sysctl {setting} (in a container from outside, with sysctls)"
    with_routes(namespace, f"give the device {device} the address {address}", add, mends)


def _wait_until_local(routes: IPRoute, address: str) -> None:
    """Wait until the kernel takes what comes for an IPv6 address of its own.

    It leaves that to a worker: a packet that is there before it has run is for nobody, and dropped.
    """
    end = time.monotonic() + ROUTE_PATIENCE
    while time.monotonic() < end:
        try:
            if routes.route("get", family=AF_INET6, dst=address)[0]["type"] == RTN_LOCAL:
                return
        except NetlinkError as error:
            if error.code not in {errno.ENETUNREACH, errno.EHOSTUNREACH}:
                raise
        time.sleep(0.001)


def add_addresses(device: str, addresses: Sequence[str], *, namespace: str | None = None) -> None:
    """Give a device that we have made its addresses; where IPv6 is off for new devices, it is on for one with an IPv6 address.

    Args:
        device: its name.
        addresses: with prefix lengths.
        namespace: where the device lives; None for the caller's own.

    Raises:
        SetupError: as ``add_address``.
    """
    if any(parse_interface(address).version == 6 for address in addresses):
        start_ipv6(device, namespace=namespace)
    for address in addresses:
        add_address(device, address, namespace=namespace)


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


def require_free_address(address: str, *, device: str | None = None, namespace: str | None = None) -> None:
    """Make sure that the kernel does not have an address itself, or two would answer for it.

    Args:
        address: without prefix length.
        device: where it is to be; a link-local address may be on every other one too (RFC 4291 2.5.6).
        namespace: where to look; None for the caller's own.

    Raises:
        SetupError: a device has it.
    """
    wanted = ipaddress.ip_address(address)
    for entry in list_addresses(namespace=namespace):
        elsewhere = wanted.version == 6 and wanted.is_link_local and entry.device != device
        if ipaddress.ip_interface(entry.address).ip == wanted and not elsewhere:
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


def _device_address(device: str, entry: nlmsg) -> DeviceAddress:
    address = entry.get("local") or entry.get("address")
    return DeviceAddress(device, entry["index"], f"{address}/{entry['prefixlen']}", entry.get("broadcast"), entry["scope"])
