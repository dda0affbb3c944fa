"""Addresses as the stack keeps them: packed bytes, four for IPv4 and sixteen for IPv6, so that nothing asks which it is."""

import ipaddress
from typing import NamedTuple


class Endpoint(NamedTuple):
    """A socket of RFC 9293 3.2: an IP address (packed, network order) and a port."""

    address: bytes
    port: int

    def __str__(self) -> str:
        return format_endpoint(self.address, self.port)


def pack_address(text: str) -> bytes:
    """Pack ``"10.9.0.2"`` or ``"fd3d::1"``.

    Raises:
        ValueError: the text is no IP address.
    """
    return ipaddress.ip_address(text).packed


def format_address(address: bytes) -> str:
    """The usual text of a packed address."""
    return str(ipaddress.ip_address(address))


def format_endpoint(address: bytes, port: int) -> str:
    """``10.9.0.2:80`` or ``[fd3d::1]:80``."""
    text = format_address(address)
    return f"[{text}]:{port}" if len(address) == 16 else f"{text}:{port}"


def is_unspecified(address: bytes) -> bool:
    """True for 0.0.0.0 and ::, the wildcard of a listener."""
    return not any(address)
