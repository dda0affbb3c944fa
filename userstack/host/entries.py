"""Addresses, routes and fixed neighbours of the kernel's, kept as the very messages in which it tells them.

Law: an entry is made again by its own message, with every attribute, known here or not, as ``ip route save`` and ``restore`` do;
only what the kernel computes itself, and refuses to be told, is left out (rtnetlink(7)).
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from types import TracebackType
from typing import NamedTuple, Self

from pyroute2.netlink import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
)

from userstack.host.inside import open_socket
from userstack.host.netlink import HEADER, answers

ATTRIBUTE = struct.Struct("=HH")
NEXTHOP = struct.Struct("=HBBi")
"""struct rtnexthop: length, flags, weight less one, interface index; attributes of its own follow."""
PATIENCE = 10
"""How often a listing is asked for again because the table changed meanwhile."""

TABLE_MAIN = 254
UNICAST = 1
PROTOCOL_KERNEL = 2
"""rtm_protocol of a route that follows from an address: it comes and goes with it."""
RTM_F_CLONED = 0x200
"""A route that the kernel remembers for itself, as the MTU of one path: it is no entry of the table."""
CLOCK = os.sysconf("SC_CLK_TCK")
"""Ticks of a second, in which the kernel tells how long a route lasts."""
RTNH_F_ONLINK = 4
"""Of the flags of a next hop the only one that is set by who makes the route; the others tell how it fares."""
NUD_PERMANENT = 0x80
NTF_PROXY = 0x08
NEIGHBOUR_FLAGS = 10
"""Where they stand in struct ndmsg."""


class Kind(IntEnum):
    """A table, by the message that makes an entry of it; the one that removes an entry, and the one that lists, follow."""

    ADDRESS = 20
    ROUTE = 24
    NEIGHBOUR = 28


FIXED = {Kind.ADDRESS: struct.Struct("=BBBBI"), Kind.ROUTE: struct.Struct("=BBBBBBBBI"), Kind.NEIGHBOUR: struct.Struct("=BxxxiHBB")}
"""struct ifaddrmsg, rtmsg and ndmsg. The first field is the family of each."""


IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_LABEL = 3
IFA_BROADCAST = 4
IFA_CACHEINFO = 6
IFA_FLAGS = 8
IFA_RT_PRIORITY = 9
"""Attributes of an address (linux/if_addr.h) that something is done with."""

IFA_F_NODAD = 0x02
IFA_F_DADFAILED = 0x08
IFA_F_TENTATIVE = 0x40
SETTABLE_V6 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400
"""Of the flags of an IPv6 address those that are set by who makes it; the others tell how it came to be and how it fares."""
UNVERIFIED = IFA_F_TENTATIVE | IFA_F_DADFAILED
"""The kernel is not sure, or no longer, that the address is nobody else's (RFC 4862 5.4)."""

RTA_DST = 1
RTA_OIF = 4
RTA_GATEWAY = 5
RTA_PRIORITY = 6
RTA_PREFSRC = 7
RTA_MULTIPATH = 9
RTA_FLOW = 11
RTA_CACHEINFO = 12
RTA_TABLE = 15
RTA_VIA = 18
RTA_ENCAP_TYPE = 21
RTA_ENCAP = 22
RTA_EXPIRES = 23
RTA_NH_ID = 30
"""Attributes of a route (linux/rtnetlink.h)."""

NDA_DST = 1
NDA_LLADDR = 2
NDA_CACHEINFO = 3
NDA_PROBES = 4
"""Attributes of a neighbour (linux/neighbour.h)."""

VOLATILE = {
    Kind.ADDRESS: frozenset[int](),
    Kind.ROUTE: frozenset({RTA_CACHEINFO}),
    Kind.NEIGHBOUR: frozenset({NDA_CACHEINFO, NDA_PROBES}),
}
"""What the kernel tells and does not want to be told."""
OF_NEXTHOP = frozenset({RTA_OIF, RTA_GATEWAY, RTA_MULTIPATH, RTA_FLOW, RTA_VIA, RTA_ENCAP_TYPE, RTA_ENCAP})
"""What a route may not say together with the number of a next hop object, though the kernel tells both."""


class Nexthop(NamedTuple):
    """One way of a route."""

    device: int
    """Its interface index; 0 when there is none."""
    gateway: bytes | None
    """An address of the route's own family, if there is one."""
    onlink: bool
    """Whether the gateway is taken to be on the link whatever the addresses say."""
    weight: int
    """Its share among several."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of one of the tables, less what changes by itself: two of the same text are the same."""

    kind: Kind
    fixed: tuple[int, ...]
    """The fields of the fixed part, see ``FIXED``."""
    attributes: tuple[tuple[int, bytes], ...]
    expires: int | None = field(default=None, compare=False)
    """Seconds that an IPv6 route lasts, if not for ever."""

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return self.fixed[0]

    @property
    def local(self) -> bytes | None:
        """The kernel's own address, of an entry that is one; IPv6 tells none beside the address where no other end is named."""
        return self.get(IFA_LOCAL) or self.get(IFA_ADDRESS)

    @property
    def is_verified(self) -> bool:
        """Whether an address may be used: IPv4's always may."""
        return not (self.number(IFA_FLAGS) or 0) & UNVERIFIED

    @property
    def is_kernels_route(self) -> bool:
        """Whether it is a route that follows from an address."""
        return self.kind is Kind.ROUTE and self.fixed[5] == PROTOCOL_KERNEL

    @property
    def is_inseparable(self) -> bool:
        """Whether it is such a route of IPv6 that the kernel alone can make: to whoever else names it, metric 0 is none."""
        return self.is_kernels_route and self.family == socket.AF_INET6 and not self.number(RTA_PRIORITY)

    def get(self, attribute: int) -> bytes | None:
        """The value of an attribute."""
        return next((value for number, value in self.attributes if number == attribute), None)

    def number(self, attribute: int) -> int | None:
        """The value of an attribute that is a number."""
        value = self.get(attribute)
        return None if value is None else int.from_bytes(value, sys.byteorder)

    def is_default_route(self) -> bool:
        """Whether it is the main table's route to everywhere."""
        return self.kind is Kind.ROUTE and self.fixed[1] == 0 and self.number(RTA_TABLE) == TABLE_MAIN and self.fixed[7] == UNICAST

    def nexthops(self) -> list[Nexthop]:
        """The ways of a route."""
        several = self.get(RTA_MULTIPATH)
        if several is None:
            onlink = bool(self.fixed[-1] & RTNH_F_ONLINK)
            return [Nexthop(self.number(RTA_OIF) or 0, self.get(RTA_GATEWAY), onlink, 1)]
        return [
            Nexthop(
                index,
                dict(_attributes(several[offset + NEXTHOP.size : offset + length])).get(RTA_GATEWAY),
                bool(flags & RTNH_F_ONLINK),
                weight + 1,
            )
            for offset, length, flags, weight, index in _split(several)
        ]


class KernelTables:
    """The three tables of a namespace, of one family. Each refusal of the kernel's is an ``OSError``.

    Args:
        namespace: which; None for the caller's own.
        family: AF_INET or AF_INET6.

    Raises:
        SetupError: there is no such namespace.
    """

    def __init__(self, namespace: str | None = None, family: int = socket.AF_INET) -> None:
        self.family = family
        self._sequence = 0
        self._socket = open_socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)

    def addresses(self, index: int) -> tuple[Entry, ...]:
        """The addresses of a device, in the kernel's order."""
        return tuple(entry for entry in self._list(Kind.ADDRESS) if entry.fixed[4] == index)

    def routes(self, index: int, addresses: Iterable[Entry]) -> tuple[Entry, ...]:
        """Routes of every table that go out of a device, or send from one of ``addresses``: all that depends on these."""
        own = {entry.local for entry in addresses}
        return tuple(
            entry
            for entry in self._list(Kind.ROUTE)
            if entry.get(RTA_PREFSRC) in own or any(way.device == index for way in entry.nexthops())
        )

    def neighbours(self, index: int) -> tuple[Entry, ...]:
        """The hardware addresses that somebody fixed on a device, and those that it answers for."""
        listed = [entry for entry in self._list(Kind.NEIGHBOUR) if entry.fixed[2] & NUD_PERMANENT]
        return tuple(entry for entry in [*listed, *self._list(Kind.NEIGHBOUR, NTF_PROXY)] if entry.fixed[1] == index)

    def make(self, entry: Entry) -> None:
        """Make an entry again; one that is there already is left."""
        try:
            if entry.kind is Kind.ADDRESS and entry.family == socket.AF_INET6 and entry.is_verified:
                self._make_verified(entry)
            else:
                # A route is put behind what has its destination already: those of one destination come back in their order.
                self._order(entry, entry.kind, NLM_F_CREATE | (NLM_F_APPEND if entry.kind is Kind.ROUTE else 0))
        except FileExistsError:
            return

    def _make_verified(self, entry: Entry) -> None:
        """An IPv6 address that the kernel was sure of is at once in use again, and not for a second only tentative."""
        self._order(_with_flags(entry, IFA_F_NODAD), Kind.ADDRESS, NLM_F_CREATE | NLM_F_EXCL)
        self._order(entry, Kind.ADDRESS, NLM_F_REPLACE)

    def remove(self, entry: Entry) -> None:
        """Remove an entry; one that is gone already, as a secondary address with its primary one, is no error."""
        try:
            self._order(entry, entry.kind + 1, 0)
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.ESRCH, errno.ENOENT}:
                raise

    def close(self) -> None:
        """Give the descriptor back; may be called twice."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _order(self, entry: Entry, order: int, flags: int) -> None:
        self._send(order, NLM_F_REQUEST | NLM_F_ACK | flags, _body(entry))
        next(answers(self._socket, self._sequence))

    def _list(self, kind: Kind, flags: int = 0) -> list[Entry]:
        """All entries of a table; of neighbours, with ``NTF_PROXY``, those that are answered for."""
        request = bytearray(FIXED[kind].size)
        request[0] = self.family
        if flags:
            request[NEIGHBOUR_FLAGS] = flags
        for _ in range(PATIENCE):
            self._send(kind + 2, NLM_F_REQUEST | NLM_F_DUMP, bytes(request))
            messages = list(answers(self._socket, self._sequence))
            if not any(HEADER.unpack_from(message)[2] & NLM_F_DUMP_INTR for _, message in messages):
                return [_entry(kind, message) for answer, message in messages if answer == kind and not _is_cloned(kind, message)]
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        self._sequence += 1
        self._socket.send(HEADER.pack(HEADER.size + len(body), kind, flags, self._sequence, 0) + body)


def _is_cloned(kind: Kind, message: bytes) -> bool:
    return kind is Kind.ROUTE and bool(FIXED[kind].unpack_from(message, HEADER.size)[-1] & RTM_F_CLONED)


def _entry(kind: Kind, message: bytes) -> Entry:
    fixed = FIXED[kind]
    entry = Entry(kind, fixed.unpack_from(message, HEADER.size), tuple(_attributes(message[HEADER.size + fixed.size :])))
    if kind is Kind.ROUTE:
        *fields, flags = entry.fixed
        entry = replace(entry, fixed=(*fields, flags & RTNH_F_ONLINK), expires=_seconds_left(entry))
    elif kind is Kind.ADDRESS and entry.family == socket.AF_INET6:
        entry = _with_flags(entry, (entry.number(IFA_FLAGS) or 0) & (SETTABLE_V6 | UNVERIFIED))
    return replace(entry, attributes=tuple(_lasting(kind, entry.attributes)))


def _with_flags(entry: Entry, flags: int) -> Entry:
    """An address with these flags alone: as 32 bits, and where the older 8 of them stand."""
    family, length, _, *rest = entry.fixed
    others = ((number, value) for number, value in entry.attributes if number != IFA_FLAGS)
    told = (IFA_FLAGS, flags.to_bytes(4, sys.byteorder))
    return replace(entry, fixed=(family, length, flags & 0xFF, *rest), attributes=(*others, told))


def _seconds_left(route: Entry) -> int | None:
    """What struct rta_cacheinfo says in its third field; an IPv4 route lasts for ever."""
    told = route.get(RTA_CACHEINFO)
    ticks = 0 if told is None else int.from_bytes(told[8:12], sys.byteorder, signed=True)
    return max(ticks // CLOCK, 1) if ticks else None


def _lasting(kind: Kind, attributes: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Attributes without what changes by itself, such as times and whether a next hop answers."""
    for number, value in attributes:
        if kind is Kind.ADDRESS and number == IFA_CACHEINFO:
            yield number, value[:8].ljust(len(value), b"\0")  # the lifetimes; behind them stands when it was made and changed
        elif kind is Kind.ROUTE and number == RTA_MULTIPATH:
            yield number, _settled(value)
        elif number not in VOLATILE[kind]:
            yield number, value


def _settled(multipath: bytes) -> bytes:
    """Next hops without what the kernel thinks of them just now: dead, without carrier, offloaded."""
    settled = bytearray(multipath)
    for offset, _, flags, _, _ in _split(multipath):
        settled[offset + 2] = flags & RTNH_F_ONLINK
    return bytes(settled)


def _split(multipath: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Where each next hop begins, and its length, flags, weight less one, and interface index."""
    offset = 0
    while offset + NEXTHOP.size <= len(multipath):
        length, flags, weight, index = NEXTHOP.unpack_from(multipath, offset)
        yield offset, length, flags, weight, index
        offset += _aligned(length)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + ATTRIBUTE.size <= len(data):
        length, number = ATTRIBUTE.unpack_from(data, offset)
        yield number, data[offset + ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _body(entry: Entry) -> bytes:
    """What follows the header of the message that makes, or removes, an entry."""
    by_object = entry.kind is Kind.ROUTE and entry.get(RTA_NH_ID) is not None
    body = FIXED[entry.kind].pack(*entry.fixed)
    expires = () if entry.expires is None else ((RTA_EXPIRES, entry.expires.to_bytes(4, sys.byteorder)),)
    for number, value in (*entry.attributes, *expires):
        if not (by_object and number in OF_NEXTHOP):
            attribute = ATTRIBUTE.pack(ATTRIBUTE.size + len(value), number) + value
            body += attribute.ljust(_aligned(len(attribute)), b"\0")
    return body


def _aligned(length: int) -> int:
    return max(length + 3 & ~3, 4)
