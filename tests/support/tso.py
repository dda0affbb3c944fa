"""What a device does that cuts TCP segments (TSO): written from RFC 9293 and RFC 791, apart from the stack's own code."""

from dataclasses import replace

from userstack.wire.codec import make_codec
from userstack.wire.offload import Offloaded, Outbound
from userstack.wire.tcp import CWR, FIN, PSH

CODEC = make_codec("fast")


def cut(packet: Outbound) -> list[bytes]:
    """The packets of a wire: only the last has FIN and PSH, only the first CWR, and the identification counts up."""
    if isinstance(packet, bytes):
        return [packet]
    whole = packet.finish()
    if not packet.gso_size:
        return [whole]
    outer = CODEC.decode_ip(whole)
    segment = CODEC.decode_tcp(outer)
    text = bytes(segment.payload)
    starts = range(0, len(text), packet.gso_size)
    pieces = []
    for index, start in enumerate(starts):
        flags = segment.flags
        if index:
            flags &= ~CWR
        if start != starts[-1]:
            flags &= ~(FIN | PSH)
        payload = text[start : start + packet.gso_size]
        piece = replace(segment, seq=(segment.seq + start) % 2**32, flags=flags, payload=payload)
        tcp = CODEC.encode_tcp(piece, outer.source, outer.destination)
        identification = (outer.identification + index) % 2**16
        pieces.append(CODEC.encode_ip(replace(outer, payload=tcp, identification=identification)))
    return pieces


def is_super(packet: Outbound) -> bool:
    """It is more than one segment."""
    return isinstance(packet, Offloaded) and packet.gso_size > 0
