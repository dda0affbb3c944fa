"""The addresses of a host: which it may use by now, in which groups it listens, and which of them to speak from (RFC 6724).

Law: an address of IPv6 on a link that others share is tentative until duplicate address detection has found nobody else who has it
(RFC 4862 5.4); until then, and for good where somebody has, it is as if the host did not have it.
"""

from collections.abc import Iterable
from typing import Final

from userstack.address import format_address, is_link_local, pack_address
from userstack.errors import AddressNotAvailable, NetworkUnreachable
from userstack.net.interface import Interface
from userstack.wire.nd import ALL_NODES, solicited_node

_LINK: Final = 0x2
_SITE: Final = 0x5
_GLOBAL: Final = 0xE
"""Scopes of unicast addresses, as RFC 6724 3.1 takes over their numbers from multicast."""

_LABELS: Final = tuple(
    (Interface(pack_address(prefix), length), label)
    for prefix, length, label in (
        ("2002::", 16, 2),
        ("2001::", 32, 5),
        ("fc00::", 7, 13),
        ("::", 96, 3),
        ("fec0::", 10, 11),
        ("3ffe::", 16, 12),
    )
)
_NATIVE: Final = 1
"""The policy table of RFC 6724 2.1, without what is never on a link: addresses of one label are best spoken to from one another."""


class Addresses:
    """The addresses of one host and what has become of each.

    Whoever opens a stack waits until ``tentative`` is empty and then looks at ``duplicates``; the host names this object among
    those that were ``touched`` whenever one of the two has changed.

    Args:
        interfaces: the addresses, with their prefixes.
        tentative: those that wait for duplicate address detection; the others may be used at once.
    """

    __slots__ = ("__weakref__", "_changed", "duplicates", "groups", "interfaces", "own", "tentative")

    def __init__(self, interfaces: Iterable[Interface], *, tentative: Iterable[bytes] = ()) -> None:
        self.interfaces = tuple(interfaces)
        every = [interface.address for interface in self.interfaces]
        six = [address for address in every if len(address) == 16]
        self.tentative = set(tentative)
        """Addresses whose duplicate address detection goes on."""
        self.own = set(every) - self.tentative
        """Addresses that may be used."""
        self.duplicates: set[bytes] = set()
        """Addresses that another node on the link has: they are never used."""
        self.groups = frozenset([ALL_NODES, *map(solicited_node, six)]) if six else frozenset()
        """The multicast groups that a host hears (RFC 4291 2.8)."""
        self._changed = False

    def assign(self, address: bytes) -> None:
        """Nobody else has ``address``: it may be used."""
        self.tentative.discard(address)
        self.own.add(address)
        self._changed = True

    def reject(self, address: bytes) -> None:
        """Another node has the tentative ``address`` (RFC 4862 5.4.5)."""
        self.tentative.discard(address)
        self.duplicates.add(address)
        self._changed = True

    def take_changed(self) -> bool:
        """Whether ``tentative`` or ``duplicates`` has changed since the last call."""
        changed, self._changed = self._changed, False
        return changed

    def on_link(self, address: bytes) -> bool:
        """True where ``address`` is reached without a gateway: by a prefix of ours, or because its scope is the link."""
        return is_link_local(address) or any(interface.contains(address) for interface in self.interfaces)

    def why_not(self, address: bytes) -> str:
        """Why ``address``, which is not among ``own``, cannot be used."""
        if address in self.tentative:
            return f"{format_address(address)} is still being checked for duplicates (RFC 4862 5.4)"
        if address in self.duplicates:
            return f"another node on the link has {format_address(address)} too"
        return f"{format_address(address)} is not an address of this host"

    def source_for(self, remote: bytes) -> bytes:
        """The address of ours to reach ``remote`` from (MUST-44).

        Raises:
            NetworkUnreachable: none of ours has its family.
            AddressNotAvailable: none of its family may be used.
        """
        source = self.best_source(remote)
        if source is not None:
            return source
        family = [interface.address for interface in self.interfaces if len(interface.address) == len(remote)]
        if not family:
            raise NetworkUnreachable("this host has no address of the family of the remote address")
        raise AddressNotAvailable(self.why_not(family[0]))

    def best_source(self, remote: bytes) -> bytes | None:
        """The same, or None.

        For IPv4 it is that on its network, else the first. For IPv6 it is what RFC 6724 5 leaves of its rules where all addresses
        stand on one interface and none is deprecated, temporary or a home address: the same address (1), the scope (2), the label
        (6), the longest prefix (8).
        """
        usable = [one for one in self.interfaces if len(one.address) == len(remote) and one.address in self.own]
        if not usable:
            return None
        if len(remote) == 4:
            return next((interface.address for interface in usable if interface.contains(remote)), usable[0].address)
        return max(usable, key=lambda interface: _preference(interface, remote)).address


def _preference(interface: Interface, remote: bytes) -> tuple[bool, bool, int, bool, int]:
    """Higher for the better source; the first of equals is taken."""
    scope, wanted = _scope(interface.address), _scope(remote)
    reaches = scope >= wanted
    differing = int.from_bytes(interface.address) ^ int.from_bytes(remote)
    common = min(128 - differing.bit_length(), interface.prefix_length)
    alike = _label(interface.address) == _label(remote)
    return interface.address == remote, reaches, -scope if reaches else scope, alike, common


def _label(address: bytes) -> int:
    return next((label for prefix, label in _LABELS if prefix.contains(address)), _NATIVE)


def _scope(address: bytes) -> int:
    if is_link_local(address):
        return _LINK
    return _SITE if address[0] == 0xFE and address[1] & 0xC0 == 0xC0 else _GLOBAL
