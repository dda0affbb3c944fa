"""Multicast listener discovery as a host speaks it (RFC 3810, and RFC 2710 where a router asks in that): queries and reports.

The law: every message has a hop limit of 1 and the Router Alert option, which keep it on its link and have routers look at it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from userstack.address import format_address, is_link_local
from userstack.wire.codec import WireError
from userstack.wire.icmp import IcmpMessage
from userstack.wire.icmpv6 import LISTENER_REPORT, LISTENER_REPORT_V2
from userstack.wire.ip import HOP_BY_HOP, ExtensionHeader, IPPacket

HOP_LIMIT: Final = 1
ALL_MLDV2_ROUTERS: Final = bytes.fromhex("ff020000000000000000000000000016")
ROUTER_ALERT: Final = ExtensionHeader(HOP_BY_HOP, bytes.fromhex("00050200000100"))
"""RFC 2711: option 5, with the value 0 for MLD, and padding."""

IS_EXCLUDE: Final = 2
"""The record of a group that is listened in, whoever sends to it (RFC 3810 5.2.12)."""
TO_EXCLUDE: Final = 4
"""The same for a group that is new."""

_V1_SIZE: Final = 16
_V2_SIZE: Final = 20
"""Octets of a query after the ICMPv6 header, at the least."""


@dataclass(frozen=True, slots=True)
class ListenerQuery:
    """RFC 3810 5.1: who listens in ``group``? All zeros ask for every group."""

    group: bytes
    delay: int
    """Milliseconds over which the answers should be spread."""
    version: int
    """1 where a router asks in RFC 2710: it understands no other answer."""


def decode_query(packet: IPPacket, message: IcmpMessage) -> ListenerQuery:
    """Take a query apart; ``packet`` is the one that carried it.

    Raises:
        WireError: a check of RFC 3810 5.1.14 or 6.2 fails.
    """
    size = len(message.payload)
    if packet.ttl != HOP_LIMIT or not is_link_local(packet.source) or not _has_router_alert(packet):
        raise WireError("Icmp6InErrors", f"listener query of {format_address(packet.source)}, which may be from beyond the link")
    if size < _V2_SIZE and size != _V1_SIZE:
        raise WireError("Icmp6InErrors", f"listener query of {size} octets")
    group, code = bytes(message.payload[:16]), message.rest >> 16
    if size == _V1_SIZE:
        return ListenerQuery(group, code, 1)
    # 5.1.3: from 32768 on a floating-point number.
    return ListenerQuery(group, code if code < 0x8000 else (code & 0xFFF | 0x1000) << (code >> 12 & 7) + 3, 2)


def encode_report(record: int, groups: Sequence[bytes]) -> IcmpMessage:
    """RFC 3810 5.2: a record of the same type for each of ``groups``, to be sent to ``ALL_MLDV2_ROUTERS``."""
    return IcmpMessage(LISTENER_REPORT_V2, 0, len(groups), b"".join(bytes((record, 0, 0, 0)) + group for group in groups))


def encode_report_v1(group: bytes) -> IcmpMessage:
    """RFC 2710 3: somebody listens in ``group``; to be sent to the group itself."""
    return IcmpMessage(LISTENER_REPORT, 0, 0, group)


def _has_router_alert(packet: IPPacket) -> bool:
    """RFC 2711 2.1; the options of a packet that was decoded are sound."""
    if not packet.extension_headers or packet.extension_headers[0].kind != HOP_BY_HOP:
        return False
    options = packet.extension_headers[0].body[1:]
    while options:
        if options[0] == ROUTER_ALERT.body[1]:
            return True
        options = options[1:] if options[0] == 0 else options[2 + options[1] :]
    return False
