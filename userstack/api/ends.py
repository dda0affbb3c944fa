"""The addresses at the two ends of a link, and the way out of it, as programs write them.

Law: a mistake is told before anything of the machine is touched.
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from itertools import islice

from userstack.address import format_address, pack_address
from userstack.api.names import parse_host
from userstack.errors import InvalidArgument
from userstack.net.interface import Interface

Texts = str | Sequence[str] | None
"""One address, several, or none."""


def parse_interfaces(addresses: Texts) -> list[Interface]:
    """A stack's own addresses, each with the prefix length of its network, ``10.9.0.2/24`` or ``fd3d::2/64``.

    Raises:
        InvalidArgument: there is none, one is no such text, or one is there twice.
    """
    interfaces = [Interface.parse(address) for address in several(addresses)]
    if not interfaces:
        raise InvalidArgument("a stack needs at least one address, as in 10.9.0.2/24 or fd3d::2/64")
    refuse_twice(interface.address for interface in interfaces)
    return interfaces


def kernel_addresses(own: Sequence[Interface], peer: Texts) -> list[str]:
    """What the kernel has at the other end, with prefix lengths: in each network of ours one of ``peer``, or the first other host.

    Raises:
        InvalidArgument: one of ``peer`` is no other address of a network of ours, or a network has no other.
    """
    kernels = {_network(interface): interface for interface in (_peer(own, text) for text in several(peer))}
    for interface in own:
        if _network(interface) not in kernels:
            kernels[_network(interface)] = _first_other(interface, own)
    return [str(interface) for interface in kernels.values()]


def parse_gateways(gateway: Texts) -> list[bytes]:
    """The next hops to other networks, one for a family at most.

    Raises:
        InvalidArgument: one is no address, or two are of one family.
    """
    hops = [parse_host(text) for text in several(gateway)]
    if len({len(hop) for hop in hops}) < len(hops):
        raise InvalidArgument(f"one gateway for a family, not {', '.join(map(format_address, hops))}")
    return hops


def several(texts: Texts) -> Sequence[str]:
    """However many there are."""
    if texts is None:
        return ()
    return (texts,) if isinstance(texts, str) else texts


def refuse_twice(addresses: Iterable[bytes]) -> None:
    """Make sure that no address is there twice.

    Raises:
        InvalidArgument: one is.
    """
    seen: set[bytes] = set()
    for address in addresses:
        if address in seen:
            raise InvalidArgument(f"{format_address(address)} is there twice: each end needs addresses of its own")
        seen.add(address)


def _peer(own: Sequence[Interface], text: str) -> Interface:
    packed = parse_host(text.partition("/")[0])
    ours = next((interface for interface in own if interface.contains(packed)), None)
    if ours is None or any(packed == interface.address for interface in own):
        raise InvalidArgument(f"the peer {text} must be another address of the network of {' or '.join(map(str, own))}")
    return Interface.parse(text if "/" in text else f"{text}/{ours.prefix_length}")


def _first_other(interface: Interface, own: Sequence[Interface]) -> Interface:
    taken = {other.address for other in own}
    hosts = map(str, islice(ip_network(_network(interface)).hosts(), len(own) + 1))
    found = next((host for host in hosts if pack_address(host) not in taken), None)
    if found is None:
        example = 24 if len(interface.address) == 4 else 64
        raise InvalidArgument(
            f"the network of {interface} has no other address for the kernel: take a shorter prefix, as in /{example}"
        )
    return Interface.parse(f"{found}/{interface.prefix_length}")


def _network(interface: Interface) -> tuple[bytes, int]:
    return interface.network, interface.prefix_length
