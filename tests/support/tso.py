"""What a device does that cuts TCP segments (TSO): written from RFC 9293 and RFC 791, apart from the stack's own code."""

from dataclasses import replace

from userstack.wire.codec import make_codec
from userstack.wire.offload import Offloaded, Outbound
from userstack.wire.tcp import CWR, FIN, PSH, TcpSegment

CODEC = make_codec("fast")


def cut(packet: Outbound) -> list[bytes]:
    """The packets of a wire: the identification counts up."""
    if isinstance(packet, bytes):
        return [packet]
    whole = packet.finish()
    if not packet.gso_size:
        return [whole]
    outer = CODEC.decode_ip(whole)
    segment = CODEC.decode_tcp(outer)
    segment.gso_size = packet.gso_size
    packets = []
    for index, piece in enumerate(apart(segment)):
        tcp = CODEC.encode_tcp(piece, outer.source, outer.destination)
        identification = (outer.identification + index) % 2**16
        packets.append(CODEC.encode_ip(replace(outer, payload=tcp, identification=identification)))
    return packets


def apart(train: TcpSegment) -> list[TcpSegment]:
    """The segments of a train: only the last has FIN and PSH, only the first CWR."""
    if not train.gso_size:
        return [train]
    text = b"".join((train.payload, *train.more))
    starts = range(0, len(text), train.gso_size)
    segments = []
    for start in starts:
        flags = train.flags
        if start:
            flags &= ~CWR
        if start != starts[-1]:
            flags &= ~(FIN | PSH)
        payload = text[start : start + train.gso_size]
        segments.append(replace(train, seq=(train.seq + start) % 2**32, flags=flags, payload=payload, more=(), gso_size=0))
    return segments


def is_super(packet: Outbound) -> bool:
    """It is more than one segment."""
    return isinstance(packet, Offloaded) and packet.gso_size > 0
