"""The addresses that a host answers to, and which addresses a packet may come from or go to.

The law: an address is judged by its bytes and by the prefixes of our own interfaces, never by its class (RFC 1122 3.2.1.3 asks
for subnets, and leaves classes to history).
"""

import ipaddress
from collections.abc import Iterable
from typing import Final, NamedTuple

from userstack.address import format_address, is_mapped, is_unspecified
from userstack.errors import InvalidArgument

LIMITED_BROADCAST: Final = b"\xff\xff\xff\xff"
LOOPBACK_V6: Final = bytes(15) + b"\x01"
_NO_SOURCE: Final = frozenset({0, 127, *range(224, 240)})
"""The first octets of the IPv4 addresses that come from no host: this network, loopback, multicast."""
_NEVER_BROADCAST: Final = (0b01, 0b10)
"""The last two bits of what is no network's broadcast address, in its old form neither: those of the host are all ones or zeros."""
_LINK_LOCAL_PREFIX: Final = b"\xfe\x80" + bytes(6)


def is_multicast(address: bytes) -> bool:
    """True for 224.0.0.0/4 and ff00::/8."""
    return address[0] == 0xFF if len(address) == 16 else address[0] & 0xF0 == 0xE0


def is_unicast(address: bytes) -> bool:
    """True where one host may own ``address``: what an OPEN may name as its remote end (RFC 9293 MUST-46).

    Directed broadcasts look like any other address; only ``Interface.is_broadcast`` knows those of our own networks. An IPv4-mapped
    address is nobody's: on the wire it would let IPv6 pass for IPv4 at every filter between (RFC 4942 2.2).
    """
    return not (is_unspecified(address) or is_multicast(address) or address == LIMITED_BROADCAST or is_mapped(address))


def is_valid_source(address: bytes, interfaces: Iterable["Interface"] = ()) -> bool:
    """True where a packet from the network may name ``address`` as its source (RFC 1122 3.2.1.3, RFC 9293 MUST-63).

    Refused are: unspecified and {0, host} (a, b), broadcast, limited or directed at one of ``interfaces`` (c, d, e), multicast, and
    loopback, which never appears outside a host (g).
    """
    if len(address) == 4:
        if address[0] in _NO_SOURCE or address == LIMITED_BROADCAST:
            return False
        if address[3] & 0b11 in _NEVER_BROADCAST:
            return True
    elif not is_unicast(address) or address == LOOPBACK_V6:
        return False
    for interface in interfaces:  # noqa: SIM110 - this runs for every packet, and a generator would double its cost
        if interface.is_broadcast(address):
            return False
    return True


def link_local_interface(mac: bytes) -> "Interface":
    """The link-local address that a MAC gives: fe80::/64 and the modified EUI-64 (RFC 4291 appendix A, RFC 2464 5)."""
    identifier = bytes((mac[0] ^ 0x02, *mac[1:3], 0xFF, 0xFE, *mac[3:]))
    return Interface(_LINK_LOCAL_PREFIX + identifier, 64)


class Interface(NamedTuple):
    """An address of ours and the prefix of the network that it stands on."""

    address: bytes
    prefix_length: int

    @classmethod
    def parse(cls, text: str) -> "Interface":
        """Read ``"10.9.0.2/24"`` or ``"fd3d::1/64"``.

        Raises:
            InvalidArgument: the text is no address with a prefix, or no host can own the address; the text says what to write.
        """
        name, slash, prefix = text.strip().partition("/")
        if "%" in name:
            raise InvalidArgument(f"{text!r} names a zone, which an address of a stack has not: leave it out")
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            raise InvalidArgument(f"{text!r} is no IP address: write address and prefix, as in 10.9.0.2/24 or fd3d::1/64") from None
        width, example = (32, 24) if address.version == 4 else (128, 64)
        if not slash:
            raise InvalidArgument(f"{text!r} has no prefix: write {address}/{example} if that is its network")
        if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3 and int(prefix) <= width):
            raise InvalidArgument(f"{text!r}: the prefix must be a number of bits from 0 to {width}, as in {address}/{example}")
        interface = cls(address.packed, int(prefix))
        interface._refuse_what_no_host_owns()
        return interface

    def _refuse_what_no_host_owns(self) -> None:
        if not is_valid_source(self.address):
            raise InvalidArgument(f"{self} cannot be a host's address: take a unicast address that is not loopback")
        if self._host_bits < 2:
            return
        if self.address in (self.network, self.broadcast):
            what = "network's own" if self.address == self.network else "network's broadcast"
            first = format_address((int.from_bytes(self.network) + 1).to_bytes(len(self.address)))
            raise InvalidArgument(f"{self} is its {what} address: take a host's, as in {first}/{self.prefix_length}")

    @property
    def _host_bits(self) -> int:
        return 8 * len(self.address) - self.prefix_length

    @property
    def network(self) -> bytes:
        """The first address of the network."""
        return (int.from_bytes(self.address) >> self._host_bits << self._host_bits).to_bytes(len(self.address))

    @property
    def broadcast(self) -> bytes | None:
        """The directed broadcast address; None for IPv6 and for a network of one or two addresses (RFC 3021)."""
        if len(self.address) == 16 or self._host_bits < 2:
            return None
        return (int.from_bytes(self.address) | (1 << self._host_bits) - 1).to_bytes(4)

    def contains(self, address: bytes) -> bool:
        """True where ``address`` is on this network, that is reached without a gateway (RFC 1122 3.3.1.1)."""
        return len(address) == len(self.address) and not (int.from_bytes(address) ^ int.from_bytes(self.address)) >> self._host_bits

    def is_broadcast(self, address: bytes) -> bool:
        """True for the limited broadcast, this network's own, and its old form with zeros (RFC 1122 3.3.6)."""
        if len(address) != 4 or len(self.address) != 4:
            return False
        everyone = (1 << 32 - self.prefix_length) - 1
        host = int.from_bytes(address) & everyone
        return address == LIMITED_BROADCAST or (host in (0, everyone) and everyone > 1 and self.contains(address))

    def __str__(self) -> str:
        return f"{format_address(self.address)}/{self.prefix_length}"
