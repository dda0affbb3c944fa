"""Entries of the kernel's as the ``ip`` commands that make them, for a person who has to do it by hand.

Numbers are told as numbers, since the names of protocols and scopes are the machine's own.
"""

import socket

from userstack.address import format_address
from userstack.host.entries import (
    IFA_ADDRESS,
    IFA_BROADCAST,
    IFA_F_NODAD,
    IFA_FLAGS,
    IFA_LABEL,
    IFA_RT_PRIORITY,
    NDA_DST,
    NDA_LLADDR,
    RTA_DST,
    RTA_MULTIPATH,
    RTA_NH_ID,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    Entry,
    Kind,
    Nexthop,
)

IFA_F_NOPREFIXROUTE = 0x200
TYPES = {2: "local ", 3: "broadcast ", 4: "anycast ", 5: "multicast "}
"""rtm_type where it is not unicast."""


def command_of(entry: Entry, device: str, index: int) -> str:
    """The command that makes an entry again, but for what is rare: metrics other than the preference, encapsulation, lifetimes.

    Args:
        entry: what to make.
        device: the name of the device that it was taken from.
        index: that device's number; the way of another device's is told by the gateway alone.
    """
    if entry.kind is Kind.ADDRESS:
        return _address_command(entry, device)
    if entry.kind is Kind.NEIGHBOUR:
        return _neighbour_command(entry, device)
    return _route_command(entry, device, index)


def _address_command(entry: Entry, device: str) -> str:
    _, length, _, scope, _ = entry.fixed
    flags = entry.number(IFA_FLAGS) or 0
    local, peer = _text(entry.local), _text(entry.get(IFA_ADDRESS))
    label = (entry.get(IFA_LABEL) or b"").rstrip(b"\0").decode()
    words = [
        f"{local}/{length}" if peer == local else f"{local} peer {peer}/{length}",
        _option("brd", _text(entry.get(IFA_BROADCAST))),
        f"dev {device}",
        _option("label", label if label not in {"", device} else None),
        _option("scope", (scope or None) if entry.family == socket.AF_INET else None),  # IPv6 addresses tell theirs themselves
        _option("metric", entry.number(IFA_RT_PRIORITY)),
        "nodad" if entry.family == socket.AF_INET6 and flags & IFA_F_NODAD else "",
        "noprefixroute" if flags & IFA_F_NOPREFIXROUTE else "",
    ]
    return " ".join(["ip address add", *filter(None, words)])


def _route_command(entry: Entry, device: str, index: int) -> str:
    _, length, _, tos, table, protocol, scope, kind, _ = entry.fixed
    destination = f"{_text(entry.get(RTA_DST))}/{length}" if length else "default"
    ways = [_way(way, device if way.device == index else None) for way in entry.nexthops()]
    if (number := entry.number(RTA_NH_ID)) is not None:
        several = [f"nhid {number}"]
    elif entry.get(RTA_MULTIPATH) is None:
        several = ways
    else:
        several = [f"nexthop {text} weight {way.weight}" for text, way in zip(ways, entry.nexthops(), strict=True)]
    words = [
        TYPES.get(kind, "") + destination,
        _option("tos", hex(tos) if tos else None),
        _option("table", entry.number(RTA_TABLE) or table),
        _option("proto", protocol),
        _option("scope", scope or None),
        _option("metric", entry.number(RTA_PRIORITY)),
        _option("src", _text(entry.get(RTA_PREFSRC))),
        *several,
    ]
    return " ".join(["ip -6 route append" if entry.family == socket.AF_INET6 else "ip route append", *filter(None, words)])


def _way(way: Nexthop, device: str | None) -> str:
    words = [_option("via", _text(way.gateway)), _option("dev", device), "onlink" if way.onlink else ""]
    return " ".join(filter(None, words))


def _neighbour_command(entry: Entry, device: str) -> str:
    mac = entry.get(NDA_LLADDR)
    how = "proxy {}" if mac is None else "{} lladdr " + mac.hex(":") + " nud permanent"
    return f"ip neighbour add {how.format(_text(entry.get(NDA_DST)))} dev {device}"


def _option(word: str, value: str | int | None) -> str:
    return "" if value is None else f"{word} {value}"


def _text(address: bytes | None) -> str | None:
    return None if address is None else format_address(address)
