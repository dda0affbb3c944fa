"""What the host cuts is what a device that cuts would have made of it (tests/support/tso.py)."""

import random

import pytest

from tests.support.tso import cut as cut_by_device
from userstack.wire.codec import make_codec
from userstack.wire.gso import cut
from userstack.wire.offload import Offloaded
from userstack.wire.tcp import ACK, CWR, FIN, NOP, PSH, TIMESTAMPS, Option, TcpSegment

CODEC = make_codec("fast")
STAMPED = (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes(range(8))))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("octets", [4, 16])
def test_the_host_cuts_as_a_device_does(octets: int, seed: int) -> None:
    pick = random.Random(f"gso {seed}")
    source, destination = pick.randbytes(octets), pick.randbytes(octets)
    size = pick.choice((1, 7, 536, 1448))
    text = pick.choice((bytes, pick.randbytes))(pick.randrange(1, 12 * size))
    parts = [text[: len(text) // 3], text[len(text) // 3 :]]
    segment = TcpSegment(
        *(
            pick.randrange(1 << 16),
            pick.randrange(1 << 16),
            pick.choice((0, 2**32 - 1, pick.randrange(1 << 32))),
            pick.randrange(1 << 32),
        ),
        ACK | pick.choice((0, PSH, FIN | PSH)) | pick.choice((0, CWR)),
        pick.randrange(1 << 16),
        options=pick.choice(((), STAMPED)),
        payload=parts[0],
    )
    segment.more = tuple(parts[1:])
    identification = pick.choice((0, 65_530))
    head = CODEC.encode_headers(
        segment, source, destination, ttl=pick.randrange(1, 256), tos=2, identification=identification, dont_fragment=bool(seed % 2)
    )
    packet = Offloaded(
        head, 20 if octets == 4 else 40, tuple(parts), version=4 if octets == 4 else 6, gso_size=pick.choice((size, 0))
    )
    assert cut(packet) == cut_by_device(packet)
