"""Neighbor discovery (RFC 4861) over Ethernet: its messages as values, the bodies of ICMPv6 messages.

The law: a message that fails one of the validity checks of RFC 4861 6.1 and 7.1 is dropped as a whole. The hop limit of 255 is the
one that keeps off whoever is not on the link: no router passes it on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from userstack.address import format_address, is_link_local, is_unspecified
from userstack.errors import InvalidArgument
from userstack.wire.codec import WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import (
    NEIGHBOR_ADVERTISEMENT,
    NEIGHBOR_SOLICITATION,
    ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION,
)
from userstack.wire.ip import FRAGMENT, Buffer, IPPacket

HOP_LIMIT: Final = 255
"""RFC 4861 3.1: of every message sent and taken."""
ALL_NODES: Final = bytes.fromhex("ff020000000000000000000000000001")
ALL_ROUTERS: Final = bytes.fromhex("ff020000000000000000000000000002")

_SOLICITED_NODE: Final = bytes.fromhex("ff0200000000000000000001ff")
_SOURCE_MAC: Final = 1
_TARGET_MAC: Final = 2
_MTU: Final = 5
_ROUTER: Final = 1 << 31
_SOLICITED: Final = 1 << 30
_OVERRIDE: Final = 1 << 29
_MANAGED: Final = 1 << 23
_OTHER: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class NeighborSolicitation:
    """RFC 4861 4.3: who has ``target``? Without ``source_mac`` where the sender has no address yet, or its MAC is known."""

    target: bytes
    source_mac: bytes | None = None


@dataclass(frozen=True, slots=True)
class NeighborAdvertisement:
    """RFC 4861 4.4: ``target`` is at ``target_mac``."""

    target: bytes
    target_mac: bytes | None = None
    router: bool = False
    solicited: bool = False
    """It answers a solicitation that came from its destination: a proof that the neighbour hears us."""
    override: bool = False
    """Take ``target_mac`` even if another is known."""


@dataclass(frozen=True, slots=True)
class RouterSolicitation:
    """RFC 4861 4.1: routers, advertise yourselves."""

    source_mac: bytes | None = None


@dataclass(frozen=True, slots=True)
class RouterAdvertisement:
    """RFC 4861 4.2, without the prefixes. What is 0 is left open by the router."""

    hop_limit: int = 0
    managed: bool = False
    other: bool = False
    router_lifetime: int = 0
    """Seconds as a default router; 0: it is none."""
    reachable_time: int = 0
    """Milliseconds."""
    retrans_timer: int = 0
    """Milliseconds."""
    source_mac: bytes | None = None
    mtu: int | None = None


NdMessage = NeighborSolicitation | NeighborAdvertisement | RouterSolicitation | RouterAdvertisement


def solicited_node(address: bytes) -> bytes:
    """The multicast group in which the owner of ``address`` hears who asks for it (RFC 4291 2.7.1)."""
    return _SOLICITED_NODE + address[-3:]


def decode(packet: IPPacket, message: IcmpMessage) -> NdMessage:
    """Take a message of one of ``TYPES`` apart; ``packet`` is the one that carried it.

    Raises:
        WireError: a validity check of RFC 4861 6.1.1, 6.1.2, 7.1.1 or 7.1.2 fails, or the packet is a fragment, be it the only one:
            RFC 6980 5.
    """
    _check(packet.ttl == HOP_LIMIT, "hop limit {}: it came through a router", packet.ttl)
    _check(message.code == 0, "code {}", message.code)
    _check(all(header.kind != FRAGMENT for header in packet.extension_headers), "a Fragment header, which hides it from filters")
    return _DECODERS[message.type](packet, message)


def encode(value: NdMessage) -> IcmpMessage:
    """The message that says ``value``, to be sent with a hop limit of ``HOP_LIMIT``.

    Raises:
        InvalidArgument: an address or a number does not fit in its field.
    """
    try:
        match value:
            case NeighborSolicitation():
                _check_target(value.target)
                body = value.target + _mac_option(_SOURCE_MAC, value.source_mac)
                return IcmpMessage(NEIGHBOR_SOLICITATION, 0, 0, body)
            case NeighborAdvertisement():
                _check_target(value.target)
                flags = _ROUTER * value.router | _SOLICITED * value.solicited | _OVERRIDE * value.override
                return IcmpMessage(NEIGHBOR_ADVERTISEMENT, 0, flags, value.target + _mac_option(_TARGET_MAC, value.target_mac))
            case RouterSolicitation():
                return IcmpMessage(ROUTER_SOLICITATION, 0, 0, _mac_option(_SOURCE_MAC, value.source_mac))
            case RouterAdvertisement():
                return _encode_router_advertisement(value)
    except OverflowError:
        raise InvalidArgument(f"{value} has a number that does not fit in its field") from None


def _check(holds: bool, objection: str, *values: object) -> None:
    if not holds:
        raise WireError("Icmp6InErrors", "neighbor discovery with " + objection.format(*values))


def _check_target(target: bytes) -> None:
    if len(target) != 16:
        raise InvalidArgument(f"neighbor discovery target has {len(target)} octets: it takes 16")


def _decode_neighbor_solicitation(packet: IPPacket, message: IcmpMessage) -> NdMessage:
    target, options = _split_target(message.payload)
    source_mac = _read_mac(options, _SOURCE_MAC)
    if is_unspecified(packet.source):  # RFC 4862 5.4.2: duplicate address detection.
        group = packet.destination.startswith(_SOLICITED_NODE)
        _check(group and source_mac is None, "a source of ::, but no solicited-node destination or a link-layer address")
    return NeighborSolicitation(target, source_mac)


def _decode_neighbor_advertisement(packet: IPPacket, message: IcmpMessage) -> NdMessage:
    target, options = _split_target(message.payload)
    flags = message.rest
    solicited = flags & _SOLICITED != 0
    _check(not (solicited and packet.destination[0] == 0xFF), "an answer to nobody: solicited, but multicast")
    return NeighborAdvertisement(target, _read_mac(options, _TARGET_MAC), flags & _ROUTER != 0, solicited, flags & _OVERRIDE != 0)


def _decode_router_solicitation(packet: IPPacket, message: IcmpMessage) -> NdMessage:
    source_mac = _read_mac(_options(message.payload), _SOURCE_MAC)
    _check(source_mac is None or not is_unspecified(packet.source), "a source of ::, but a link-layer address")
    return RouterSolicitation(source_mac)


def _decode_router_advertisement(packet: IPPacket, message: IcmpMessage) -> NdMessage:
    _check(is_link_local(packet.source), "a router at {}, which is not link-local", format_address(packet.source))
    data, rest = bytes(message.payload), message.rest
    _check(len(data) >= 8, "{} octets of a router advertisement", 8 + len(data))
    options = _options(data[8:])
    mtu = options.get(_MTU)
    _check(mtu is None or len(mtu) == 6, "an MTU option of the wrong length")
    return RouterAdvertisement(
        hop_limit=rest >> 24,
        managed=rest & _MANAGED != 0,
        other=rest & _OTHER != 0,
        router_lifetime=rest & 0xFFFF,
        reachable_time=int.from_bytes(data[:4], "big"),
        retrans_timer=int.from_bytes(data[4:8], "big"),
        source_mac=_read_mac(options, _SOURCE_MAC),
        mtu=None if mtu is None else int.from_bytes(mtu[2:], "big"),
    )


def _encode_router_advertisement(value: RouterAdvertisement) -> IcmpMessage:
    flags = _MANAGED * value.managed | _OTHER * value.other
    lifetime, hop_limit = value.router_lifetime.to_bytes(2, "big"), value.hop_limit.to_bytes(1, "big")
    rest = int.from_bytes(hop_limit, "big") << 24 | flags | int.from_bytes(lifetime, "big")
    timers = value.reachable_time.to_bytes(4, "big") + value.retrans_timer.to_bytes(4, "big")
    mtu = b"" if value.mtu is None else bytes((_MTU, 1, 0, 0)) + value.mtu.to_bytes(4, "big")
    return IcmpMessage(ROUTER_ADVERTISEMENT, 0, rest, timers + _mac_option(_SOURCE_MAC, value.source_mac) + mtu)


def _split_target(payload: Buffer) -> tuple[bytes, dict[int, bytes]]:
    data = bytes(payload)
    _check(len(data) >= 16, "{} octets: no target", 8 + len(data))
    target = data[:16]
    _check(target[0] != 0xFF, "a multicast target, {}", format_address(target))
    return target, _options(data[16:])


def _options(payload: Buffer) -> dict[int, bytes]:
    """The octets of each kind of option after kind and length; of two of a kind the first counts."""
    data = bytes(payload)
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        size = data[at + 1] * 8 if at + 1 < len(data) else 0
        _check(0 < size <= len(data) - at, "an option of {} octets where {} are left", size, len(data) - at)
        found.setdefault(data[at], data[at + 2 : at + size])
        at += size
    return found


def _read_mac(options: dict[int, bytes], kind: int) -> bytes | None:
    mac = options.get(kind)
    _check(mac is None or len(mac) == 6, "a link-layer address that is none of Ethernet")
    return mac


def _mac_option(kind: int, mac: bytes | None) -> bytes:
    if mac is None:
        return b""
    if len(mac) != 6:
        raise InvalidArgument(f"link-layer address has {len(mac)} octets: it takes 6")
    return bytes((kind, 1)) + mac


_DECODERS: Final[dict[int, Callable[[IPPacket, IcmpMessage], NdMessage]]] = {
    NEIGHBOR_SOLICITATION: _decode_neighbor_solicitation,
    NEIGHBOR_ADVERTISEMENT: _decode_neighbor_advertisement,
    ROUTER_SOLICITATION: _decode_router_solicitation,
    ROUTER_ADVERTISEMENT: _decode_router_advertisement,
}
TYPES: Final = frozenset(_DECODERS)
"""The ICMPv6 types that ``decode`` takes."""
