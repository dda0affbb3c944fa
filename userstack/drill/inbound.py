"""Packets of the script that come in: from what a line says to octets on the wire."""

from collections.abc import Callable

from userstack.drill import icmp, options
from userstack.drill.flow import MODULUS, Flow, filler
from userstack.drill.script import IcmpSpec, IpFields, OptionSpec, TcpSpec
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, SACK, SYN, TIMESTAMPS, URG, Option, TcpSegment

CODEC = make_codec("fast")
_TTL = 255
"""What a packet of the script has left of its journey, unless the script says it."""
_WINDOW = 0xFFFF


def build_tcp(flow: Flow, spec: TcpSpec, ip: IpFields, *, absolute_echo: bool) -> bytes:
    """The IP packet of a TCP line."""
    flags = 0 if spec.flags < 0 else spec.flags
    if flags & SYN:
        flow.note_syn(spec.seq)
    echo: Callable[[int], int] = (lambda value: value) if absolute_echo or not flags & ACK else flow.timestamps.to_live
    segment = TcpSegment(
        source_port=flow.remote.port,
        destination_port=flow.local.port,
        seq=spec.seq % MODULUS,
        ack=_ack(flow, spec, flags),
        flags=flags,
        window=0 if spec.window is None else spec.window & _WINDOW,
        urgent_pointer=spec.urgent or 0,
        options=_options(flow, spec.options or (), echo),
        payload=_payload(flow, spec, flags),
    )
    flow.outstanding.note_received(segment)
    payload = CODEC.encode_tcp(segment, flow.remote.address, flow.local.address)
    return _wrap(flow, TCP, payload, ip)


def build_icmp(flow: Flow, spec: IcmpSpec, ip: IpFields) -> bytes:
    """The IP packet of an ICMP line, which quotes a segment of the system's.

    Raises:
        NotSupported: no such type or code is known.
    """
    protocol, payload = icmp.encode(flow, spec)
    return _wrap(flow, protocol, payload, ip)


def _wrap(flow: Flow, protocol: int, payload: bytes, ip: IpFields) -> bytes:
    tos = (ip.tos or 0) | (ip.ecn or 0)
    ttl = _TTL if ip.ttl is None else ip.ttl
    return CODEC.encode_ip(IPPacket(flow.remote.address, flow.local.address, protocol, payload, ttl=ttl, tos=tos))


def _ack(flow: Flow, spec: TcpSpec, flags: int) -> int:
    if spec.ack is None:
        return 0
    return flow.local_seq(spec.ack) if flags & ACK and not spec.absolute_seq else spec.ack % MODULUS


def _payload(flow: Flow, spec: TcpSpec, flags: int) -> bytes:
    """The octets of the line; where it gives none, those of the stream, so that what is read can be checked."""
    if spec.payload is not None:
        flow.plain = False
        return spec.payload
    if flags & URG:
        flow.plain = False
    return filler(flow.inbound_offset(spec.seq + bool(flags & SYN)), spec.length)


def _options(flow: Flow, specs: tuple[OptionSpec, ...], echo: Callable[[int], int]) -> tuple[Option, ...]:
    live = options.mapped(
        specs,
        {
            SACK: lambda value, _: flow.local_seq(value),
            TIMESTAMPS: lambda value, place: echo(value) if place else value,
        },
    )
    return tuple(options.encode(spec) for spec in live)
