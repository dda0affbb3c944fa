"""What is taken together (net/gro.py): the next segment as it should be, and nothing that differs from it by a bit."""

from collections.abc import Iterator

import pytest

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.gro import Bundle
from userstack.net.ports import Kind, use_of
from userstack.net.table import Entry
from userstack.tcp.connection import Connection
from userstack.wire import fast_codec
from userstack.wire.ip import TCP as PROTOCOL
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import ACK, NOP, TIMESTAMPS, Option, TcpSegment

CODEC = fast_codec.make()
TIMES = (Option(NOP), Option(NOP), Option(TIMESTAMPS, b"\0\0\x04\xd2\0\0\x16\x2e"))
ADDRESSES = {20: (b"\x0a\x4d\0\1", b"\x0a\x4d\0\2"), 40: (b"\xfd" + bytes(14) + b"\1", b"\xfd" + bytes(14) + b"\2")}

headers = pytest.mark.parametrize("transport", ADDRESSES)
stamps = pytest.mark.parametrize("options", [(), TIMES], ids=["plain", "timestamps"])


def packet(transport: int, options: tuple[Option, ...], number: int, text: bytes) -> bytes:
    """The segment of that number of a stream, each of 100 octets."""
    source, destination = ADDRESSES[transport]
    seq = (0xFFFFFF80 + 100 * number) & 0xFFFFFFFF
    segment = TcpSegment(49152, 9, seq, 77, ACK, 512, 0, options, text)
    payload = CODEC.encode_tcp(segment, source, destination)
    identification = (0xFFFE + number) & 0xFFFF if transport == 20 else 0
    return CODEC.encode_ip(IPPacket(source, destination, PROTOCOL, payload, identification=identification))


def entry(transport: int) -> Entry:
    """Of the connection that the stream is of."""
    source, destination = ADDRESSES[transport]
    local, remote = Endpoint(destination, 9), Endpoint(source, 49152)
    connection = Connection(local, remote, config=StackConfig(), isn=lambda *_: 0, counters=Counters())
    return Entry((local, remote), connection, use_of(destination, False, Kind.CONNECTED), None)


def begun(transport: int, options: tuple[Option, ...]) -> Bundle:
    """With the first segment of the stream."""
    first = packet(transport, options, 0, bytes(range(100)))
    return Bundle(entry(transport), first, transport, len(first) - 100, vouched=False)


def wrong_by_a_bit(data: bytes, octets: int) -> Iterator[tuple[str, bytes]]:
    """Every packet that differs by one bit in its first octets, and where."""
    for bit in range(octets * 8):
        bad = bytearray(data)
        bad[bit >> 3] ^= 1 << (bit & 7)
        yield f"octet {bit >> 3}, bit {bit & 7}", bytes(bad)


@headers
@stamps
def test_a_stream_is_one_bundle(transport: int, options: tuple[Option, ...]) -> None:
    bundle = begun(transport, options)
    packets = [packet(transport, options, number, bytes(range(number, 100 + number))) for number in range(1, 10)]
    packets.append(packet(transport, options, 10, b"the odd end"))
    assert all(bundle.add(data, vouched=False) for data in packets)
    assert bundle.count == 11
    assert bundle.packets[1:] == packets
    assert bundle.octets == sum(map(len, bundle.packets))
    texts = b"".join(map(bytes, bundle.segment(lambda size: 1).texts))
    assert texts == b"".join(data[-100:] for data in bundle.packets[:-1]) + b"the odd end"


@headers
@stamps
def test_a_bit_that_is_wrong_keeps_a_segment_out(transport: int, options: tuple[Option, ...]) -> None:
    bundle = begun(transport, options)
    good = packet(transport, options, 1, bytes(range(1, 101)))
    for where, bad in wrong_by_a_bit(good, len(good)):
        assert not bundle.add(bad, vouched=False), where
        assert bundle.count == 1
    assert bundle.add(good, vouched=False)


@stamps
def test_what_the_device_vouches_for_has_a_sound_ip_header_still(options: tuple[Option, ...]) -> None:
    first, good = packet(20, options, 0, bytes(100)), packet(20, options, 1, bytes(100))
    bundle = Bundle(entry(20), first, 20, len(first) - 100, vouched=True)
    for where, bad in wrong_by_a_bit(good, 20):
        assert not bundle.add(bad, vouched=True), where
    assert bundle.add(good, vouched=True)
