"""ICMP messages of both versions as people write them, in tcpdump's words."""

from userstack.address import format_address
from userstack.wire import icmp, icmpv6, nd
from userstack.wire.codec import Codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import IPPacket
from userstack.wire.nd import NeighborAdvertisement, NeighborSolicitation

_NAMES_V6 = {
    icmpv6.DESTINATION_UNREACHABLE: "destination unreachable",
    icmpv6.TIME_EXCEEDED: "time exceeded",
    icmpv6.PARAMETER_PROBLEM: "parameter problem",
    icmpv6.LISTENER_QUERY: "multicast listener query",
    icmpv6.LISTENER_REPORT: "multicast listener report",
    icmpv6.LISTENER_REPORT_V2: "multicast listener report v2",
    icmpv6.ROUTER_SOLICITATION: "router solicitation",
    icmpv6.ROUTER_ADVERTISEMENT: "router advertisement",
    icmpv6.REDIRECT: "redirect",
}


def describe_icmp(codec: Codec, packet: IPPacket) -> str:
    """``ICMP echo request, id 258, seq 1``.

    Raises:
        WireError: the message is broken.
    """
    message = codec.decode_icmp(packet)
    if message.type in {icmp.ECHO_REQUEST, icmp.ECHO_REPLY}:
        return f"ICMP echo {'request' if message.type == icmp.ECHO_REQUEST else 'reply'}, {_echo(message)}"
    return f"ICMP type {message.type}, code {message.code}"


def describe_icmpv6(codec: Codec, packet: IPPacket) -> str:
    """``ICMP6, neighbor solicitation, who has fd3d::2``.

    Raises:
        WireError: the message is broken.
    """
    message = codec.decode_icmpv6(packet)
    match message.type:
        case icmpv6.ECHO_REQUEST | icmpv6.ECHO_REPLY as kind:
            return f"ICMP6, echo {'request' if kind == icmpv6.ECHO_REQUEST else 'reply'}, {_echo(message)}"
        case icmpv6.PACKET_TOO_BIG:
            return f"ICMP6, packet too big, mtu {message.rest}"
        case icmpv6.NEIGHBOR_SOLICITATION | icmpv6.NEIGHBOR_ADVERTISEMENT:
            return f"ICMP6, {_neighbor(packet, message)}"
        case kind if kind in _NAMES_V6:
            code = f", code {message.code}" if icmpv6.is_error(kind) else ""
            return f"ICMP6, {_NAMES_V6[kind]}{code}"
    return f"ICMP6, type {message.type}, code {message.code}"


def _echo(message: IcmpMessage) -> str:
    return f"id {message.rest >> 16}, seq {message.rest & 0xFFFF}"


def _neighbor(packet: IPPacket, message: IcmpMessage) -> str:
    said = nd.decode(packet, message)
    if isinstance(said, NeighborSolicitation):
        return f"neighbor solicitation, who has {format_address(said.target)}"
    assert isinstance(said, NeighborAdvertisement)
    return f"neighbor advertisement, tgt is {format_address(said.target)}"
