"""Addresses as the stack keeps them: packed bytes, four for IPv4 and sixteen for IPv6, so that nothing asks which it is."""

import ipaddress
from typing import Final, NamedTuple

LINK_INDEX: Final = 1
"""The number of a host's one link: the scope, or zone, of its link-local addresses (RFC 4007 6)."""


class Endpoint(NamedTuple):
    """A socket of RFC 9293 3.2: an IP address (packed, network order) and a port."""

    address: bytes
    port: int

    def __str__(self) -> str:
        return format_endpoint(self.address, self.port)


def pack_address(text: str) -> bytes:
    """Pack ``"10.9.0.2"`` or ``"fd3d::1"``.

    Raises:
        TypeError: it is no text; a number or bytes would be taken for an address in another form.
        ValueError: the text is no IP address, or one with a zone, ``fe80::1%eth0``, which packed addresses do not keep.
    """
    if not isinstance(text, str):
        raise TypeError(f"an IP address is a str, as in '10.9.0.2', not {type(text).__name__}")
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, and there are none here: leave out what begins with %")
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None


def format_address(address: bytes) -> str:
    """The usual text of a packed address (RFC 5952), ``::ffff:10.9.0.2`` for an IPv4-mapped one on every version of Python."""
    if is_mapped(address):
        return f"::ffff:{format_address(address[12:])}"
    return str(ipaddress.ip_address(address))


def format_endpoint(address: bytes, port: int) -> str:
    """``10.9.0.2:80`` or ``[fd3d::1]:80``."""
    text = format_address(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


_MAPPED: Final = bytes(10) + b"\xff\xff"


def is_mapped(address: bytes) -> bool:
    """True for ``::ffff:10.9.0.2`` (RFC 4291 2.5.5.2): IPv4 as an IPv6 socket sees it, and never on the wire."""
    return len(address) == 16 and address.startswith(_MAPPED)


def to_mapped(address: bytes) -> bytes:
    """The IPv4-mapped form of a packed IPv4 address; an IPv6 address stays as it is."""
    return _MAPPED + address if len(address) == 4 else address


def from_mapped(address: bytes) -> bytes:
    """The IPv4 address within an IPv4-mapped one; every other address stays as it is."""
    return address[12:] if is_mapped(address) else address


def is_link_local(address: bytes) -> bool:
    """True for fe80::/10 (RFC 4291 2.5.6), which means something on one link only."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def is_unspecified(address: bytes) -> bool:
    """True for 0.0.0.0 and ::, the wildcard of a listener."""
    return not any(address)
