"""ICMP and ICMPv6 lines: the names of types and codes (RFC 792, 1122, 1812, 4443), and the segment that an error quotes."""

from typing import NamedTuple

from userstack.drill.errors import NotSupported
from userstack.drill.flow import MODULUS, Flow
from userstack.drill.script import IcmpSpec, TcpSpec
from userstack.wire.codec import make_codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, ICMPV6, TCP, IPPacket
from userstack.wire.tcp import ACK, TcpSegment

CODEC = make_codec("fast")


class Kind(NamedTuple):
    """A type of message: its number, its codes by name, and whether the word after the checksum is an MTU."""

    number: int
    codes: dict[str, int]


V4 = {
    "echo_reply": Kind(0, {}),
    "unreachable": Kind(
        3,
        {
            "net_unreachable": 0,
            "host_unreachable": 1,
            "protocol_unreachable": 2,
            "port_unreachable": 3,
            "frag_needed": 4,
            "source_route_failed": 5,
            "net_unknown": 6,
            "host_unknown": 7,
            "source_host_isolated": 8,
            "net_prohibited": 9,
            "host_prohibited": 10,
            "net_unreachable_for_tos": 11,
            "host_unreachable_for_tos": 12,
            "packet_filtered": 13,
            "precedence_violation": 14,
            "precedence_cutoff": 15,
        },
    ),
    "source_quench": Kind(4, {}),
    "redirect": Kind(5, {"net": 0, "host": 1, "tos_net": 2, "tos_host": 3}),
    "echo_request": Kind(8, {}),
    "time_exceeded": Kind(11, {"ttl": 0, "frag_time": 1}),
    "parameter_problem": Kind(12, {"pointer": 0, "required_option_missing": 1, "length": 2}),
}
V6 = {
    "unreachable": Kind(
        1,
        {
            "no_route": 0,
            "noroute": 0,
            "admin_prohibited": 1,
            "beyond_scope": 2,
            "address_unreachable": 3,
            "addr_unreachable": 3,
            "port_unreachable": 4,
        },
    ),
    "packet_too_big": Kind(2, {}),
    "time_exceeded": Kind(3, {"exceed_hops": 0, "exceed_frag": 1, "hop_limit": 0, "frag_time": 1}),
    "parameter_problem": Kind(4, {"header_field": 0, "hdr_field": 0, "next_header": 1, "unk_nexthdr": 1, "unk_option": 2}),
    "echo_request": Kind(128, {}),
    "echo_reply": Kind(129, {}),
}
_QUOTED_V4 = 8
"""Octets of the segment that an ICMP error quotes at the least (RFC 792), and all that many routers give."""


def numbers(spec: IcmpSpec, version: int) -> tuple[int, int]:
    """Type and code of a message.

    Raises:
        NotSupported: nobody knows that name.
    """
    kind = (V4 if version == 4 else V6).get(spec.type_name)
    code = 0 if spec.code_name is None or kind is None else kind.codes.get(spec.code_name)
    if kind is None or code is None:
        protocol = "icmp" if version == 4 else "icmpv6"
        raise NotSupported(f"{protocol} {spec.type_name}{f' {spec.code_name}' if spec.code_name else ''}")
    return kind.number, code


def encode(flow: Flow, spec: IcmpSpec) -> tuple[int, bytes]:
    """The protocol's number and the message, which comes from the flow's remote end.

    Raises:
        NotSupported: nobody knows the message's name.
    """
    version = 4 if len(flow.local.address) == 4 else 6
    number, code = numbers(spec, version)
    quoted = b"" if spec.quoted is None else quote(flow, spec.quoted)
    message = IcmpMessage(number, code, spec.mtu or 0, quoted)
    if version == 4:
        return ICMP, CODEC.encode_icmp(message)
    return ICMPV6, CODEC.encode_icmpv6(message, flow.remote.address, flow.local.address)


def quote(flow: Flow, spec: TcpSpec) -> bytes:
    """The head of a packet that the system sent: whole headers of IP, and of TCP what its version's errors quote."""
    flags = spec.flags if spec.flags > 0 else ACK
    source_port, destination_port = flow.local.port, flow.remote.port
    segment = TcpSegment(source_port, destination_port, flow.local_seq(spec.seq), (spec.ack or 0) % MODULUS, flags)
    segment.payload = bytes(spec.length)
    source, destination = flow.local.address, flow.remote.address
    octets = CODEC.encode_tcp(segment, source, destination)
    packet = CODEC.encode_ip(IPPacket(source, destination, TCP, octets))
    header = 20 if len(source) == 4 else 40
    return packet[: header + (_QUOTED_V4 if len(source) == 4 else 20)]
