"""IPv4 source routes, loose and strict (RFC 791 3.1, RFC 1122 3.2.1.8 (c)): given by the application, or the way back of a packet.

Law: on the wire the first hop stands in the destination field and the destination last in the option; TCP's pseudo header has the
destination (RFC 9293 3.9.2.1). IPv6 has none: RFC 5095 has done away with its type 0 routing header, and ``wire/ipv6`` refuses it.
"""

from dataclasses import dataclass, replace
from typing import Final

from userstack.errors import InvalidArgument
from userstack.wire.codec import ParameterProblem
from userstack.wire.ip import Buffer, IPPacket
from userstack.wire.ip_options import (
    END,
    LOOSE_SOURCE_ROUTE,
    STRICT_SOURCE_ROUTE,
    IpOption,
    bad_option,
    split_ip_options,
)

MOST_HOPS: Final = 9
"""40 octets of options have room for so many addresses."""
_HEAD: Final = 3
_FIRST: Final = 4
"""The smallest pointer: it counts from 1, at the option's type."""


@dataclass(frozen=True, slots=True)
class SourceRoute:
    """The way to a destination: the packed addresses of the routers, in their order, at least one.

    Raises:
        InvalidArgument: there is no hop, or more than the header has room for, or one is no IPv4 address.
    """

    hops: tuple[bytes, ...]
    strict: bool = False
    """No other router may lie between the hops."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.hops) <= MOST_HOPS:
            raise InvalidArgument(f"a source route has 1 to {MOST_HOPS} hops, not {len(self.hops)}")
        if any(len(hop) != 4 for hop in self.hops):
            raise InvalidArgument("the hops of a source route are IPv4 addresses")

    @property
    def octets(self) -> int:
        """What it takes of the IP header."""
        return _HEAD + 4 * len(self.hops) + 1

    def encode(self, *addresses: bytes) -> bytes:
        """The option with ``addresses`` after its pointer, padded."""
        data = b"".join(addresses)
        kind = STRICT_SOURCE_ROUTE if self.strict else LOOSE_SOURCE_ROUTE
        return bytes((kind, _HEAD + len(data), _FIRST)) + data + bytes((END,))

    def lead(self, packet: IPPacket) -> IPPacket:
        """``packet``, which is for its destination, on this way: RFC 1122 3.2.1.8 (c), form (A)."""
        options = self.encode(*self.hops[1:], packet.destination)
        return replace(packet, destination=self.hops[0], options=options)

    @property
    def as_option(self) -> bytes:
        """What IP_OPTIONS of Linux's sockets shows: all hops, and not the destination."""
        return self.encode(*self.hops)


def parse_as_option(octets: Buffer) -> SourceRoute | None:
    """Read what a program gives IP_OPTIONS: one source route with all its hops, or nothing, which takes it away.

    Raises:
        InvalidArgument: it is no such route, or there is an option beside it: none else is there to be sent.
    """
    try:
        options = split_ip_options(octets)
    except ParameterProblem as problem:
        raise InvalidArgument(str(problem)) from None
    if not options:
        return None
    kind, data, _ = options[0]
    if len(options) > 1 or kind not in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE):
        raise InvalidArgument("IP_OPTIONS takes one source route (LSRR or SSRR), and no option else")
    if len(data) < 5 or data[0] != _FIRST or len(data) % 4 != 1:
        raise InvalidArgument("a source route that is given has a pointer of 4 and whole addresses, at least one")
    return SourceRoute(_addresses(data[1:]), kind == STRICT_SOURCE_ROUTE)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The source route option of a packet that came: what it has passed, and what it still had before it."""

    passed: tuple[bytes, ...]
    left: tuple[bytes, ...]
    strict: bool

    @property
    def completed(self) -> bool:
        """The packet has reached its destination."""
        return not self.left

    def back(self, source: bytes) -> SourceRoute | None:
        """The way back to ``source``, where there is a router on it. Some write themselves down as the first hop: not again."""
        hops = self.passed[1:] if self.passed[:1] == (source,) else self.passed
        return SourceRoute(hops[::-1], self.strict) if hops else None


def read_recorded(octets: Buffer) -> Recorded | None:
    """The source route among the options of a packet, or None.

    Raises:
        ParameterProblem: an option is wrong, or there are two source routes (RFC 1122 3.2.1.8 (c)).
    """
    found: Recorded | None = None
    for option in split_ip_options(octets):
        if option.kind in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE):
            if found is not None:
                raise bad_option("a second source route", option.at)
            found = _read(option)
    return found


def _read(option: IpOption) -> Recorded:
    data = option.data
    if len(data) % 4 != 1:
        raise bad_option("a source route without whole addresses", option.at + 1)
    if data[0] < _FIRST or data[0] % 4:
        raise bad_option("a source route whose pointer is at no address", option.at + 2)
    addresses = _addresses(data[1:])
    done = data[0] // 4 - 1
    return Recorded(addresses[:done], addresses[done:], option.kind == STRICT_SOURCE_ROUTE)


def _addresses(octets: bytes) -> tuple[bytes, ...]:
    return tuple(octets[at : at + 4] for at in range(0, len(octets), 4))


def destination_of(destination: bytes, options: Buffer) -> bytes:
    """Where a packet with that destination field and those options goes in the end. Options that are wrong say nothing."""
    try:
        recorded = read_recorded(options) if len(options) else None
    except ParameterProblem:
        return destination
    return recorded.left[-1] if recorded is not None and recorded.left else destination
