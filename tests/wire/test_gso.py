"""What the host cuts is what a device that cuts would have made of it (tests/support/tso.py)."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.sim.test_offload import without_identification
from tests.support.tso import cut as cut_by_device
from userstack.wire.codec import make_codec
from userstack.wire.gso import Train, cut, divide
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import ACK, CWR, FIN, NOP, PSH, TIMESTAMPS, Option, TcpSegment

CODEC = make_codec("fast")
STAMPED = (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes(range(8))))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("octets", [4, 16])
def test_the_host_cuts_as_a_device_does(octets: int, seed: int) -> None:
    pick = random.Random(f"gso {seed}")
    source, destination = pick.randbytes(octets), pick.randbytes(octets)
    size = pick.choice((1, 7, 536, 1448))
    text = pick.choice((bytes, pick.randbytes))(pick.randrange(1, 300 * size))
    version, transport = (4, 20) if octets == 4 else (6, 40)
    segment = TcpSegment(
        *(pick.randrange(1 << 16), pick.randrange(1 << 16), pick.choice((0, 2**32 - 1, pick.randrange(1 << 32))), 2**32 - 2),
        ACK | pick.choice((0, PSH, FIN | PSH)) | pick.choice((0, CWR)),
        pick.randrange(1 << 16),
        options=pick.choice(((), STAMPED)),
    )
    identification = pick.choice((0, 65_530))
    head = CODEC.encode_headers(
        segment, source, destination, ttl=pick.randrange(1, 256), tos=2, identification=identification, dont_fragment=bool(seed % 2)
    )
    edges = sorted(pick.randrange(len(text)) for _ in range(3))
    parts = tuple(text[first:end] for first, end in pairwise((0, *edges, len(text))))
    train = Train(head, transport, parts, version, size)
    packets = cut(train)
    assert b"".join(packet[len(head) :] for packet in packets) == text
    assert packets == cut_one_by_one(segment, text, size, CODEC.decode_ip(head))
    supers = divide(train)
    assert len(supers) <= 1 + len(text) // 60_000
    by_device = [packet for part in supers for packet in cut_by_device(part)]
    assert list(map(without_identification, by_device)) == list(map(without_identification, packets))


def cut_one_by_one(segment: TcpSegment, text: bytes, size: int, outer: IPPacket) -> list[bytes]:
    """The oracle: each packet by the codec."""
    starts = range(0, len(text), size)
    packets = []
    for index, start in enumerate(starts):
        first, last = start == 0, start == starts[-1]
        flags = segment.flags & ~(0 if first else CWR) & ~(0 if last else FIN | PSH)
        piece = replace(segment, seq=(segment.seq + start) % 2**32, flags=flags, payload=text[start : start + size])
        payload = CODEC.encode_tcp(piece, outer.source, outer.destination)
        packets.append(CODEC.encode_ip(replace(outer, payload=payload, identification=(outer.identification + index) % 2**16)))
    return packets
