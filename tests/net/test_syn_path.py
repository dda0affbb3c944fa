"""The short way answers SYNs as the long way does: the same octets, counters, traces and state."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.net.bench import CODEC, HERE, PORT, THERE, Bench
from userstack.config import SECOND
from userstack.tcp.options import SynOptions, write_syn
from userstack.wire.codec import Codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.offload import finished
from userstack.wire.tcp import (
    ACK,
    CWR,
    ECE,
    EOL,
    FIN,
    MD5,
    MSS,
    NOP,
    PSH,
    RST,
    SACK_PERMITTED,
    SYN,
    TIMESTAMPS,
    URG,
    Option,
    TcpSegment,
)

pytestmark = pytest.mark.once

KEPT = 1000
"""Ports from here on have connections."""


class Counting:
    """Stands before the codec of a host, and counts the segments that go the long way."""

    def __init__(self) -> None:
        self.decoded = 0

    def decode_tcp(self, packet: IPPacket, *, verify: bool = True) -> TcpSegment:
        self.decoded += 1
        return CODEC.decode_tcp(packet, verify=verify)

    def __getattr__(self, name: str) -> object:
        return getattr(CODEC, name)


class Pair:
    """Two hosts that are told the same; one has no short way."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.benches = [Bench(**settings), Bench(**settings)]
        self.counting = [Counting(), Counting()]
        for bench, counting in zip(self.benches, self.counting, strict=True):
            bench.host.codec = cast("Codec", counting)
        self.benches[1].host._fast_path = None
        self.listen()

    def listen(self) -> None:
        self.listeners = [bench.listen(HERE[family]) for bench in self.benches for family in (4, 6)]

    def deliver(self, packet: bytes, *, vouched: bool) -> None:
        for bench in self.benches:
            bench.host.deliver(memoryview(packet), now=bench.now, checksum_ok=vouched)

    def check(self) -> None:
        short, long = self.benches
        assert octets_of(short) == octets_of(long)
        assert short.trace == long.trace
        assert short.host.counters.snapshot() == long.host.counters.snapshot()
        assert list(short.host.transport.table.entries) == list(long.host.transport.table.entries)
        assert [one.cookie_sent_at for one in self.listeners[:2]] == [one.cookie_sent_at for one in self.listeners[2:]]


def octets_of(bench: Bench) -> list[bytes]:
    sent = []
    while (packet := bench.host.poll_transmit(now=bench.now)) is not None:
        sent.append(finished(packet))
    return sent


ODD = (
    *(Option(kind, bytes(size)) for kind, size in ((TIMESTAMPS, 8), (TIMESTAMPS, 7), (SACK_PERMITTED, 1))),
    *(
        Option(MSS, b"\2\x18"),
        Option(MSS, b"\5\x33\0"),
        Option(NOP),
        Option(EOL),
        Option(MD5, bytes(16)),
        Option(77, b"\x08\x0a"),
        Option(34),
        Option(253, b"\x08\x0a\x08\x0a"),
    ),
)


def with_odd(options: tuple[Option, ...], odd: Option) -> Iterator[tuple[Option, ...]]:
    """The options with another one in every place, and in place of every one."""
    for at in range(len(options) + 1):
        yield (*options[:at], odd, *options[at:])
        yield (*options[:at], odd, *options[at + 1 :])


def options_of(pick: random.Random) -> tuple[Option, ...]:
    """Those of a SYN as stacks write them, now and then with something that none does."""
    mss = pick.choice((1460, 1400, 536, 48, 65535) if pick.random() < 0.95 else (47, 1, 0))
    stamps = pick.choice(((pick.getrandbits(32), pick.getrandbits(8)), (0x080A080A, 0), None))
    scale, sack, layout = pick.choice(
        (*[(7, True, "linux")] * 6, (6, True, "freebsd"), (None, False, "linux"), (15, True, "linux"))
    )
    options = write_syn(SynOptions(mss, scale, stamps, sack), layout)
    if pick.random() < 0.08:
        options = pick.choice(list(with_odd(options, pick.choice(ODD))))
    size = sum(1 if kind <= NOP else 2 + len(data) for kind, data in options)
    return options if size <= 40 else options[:1]


def packet_of(pick: random.Random) -> bytes:
    family = pick.choice((4, 6))
    source, here = THERE[family], HERE[family]
    if pick.random() < 0.05:
        strange = {
            4: (b"\x0a\0\0\xff", b"\xe0\0\0\1", bytes(4), b"\x7f\0\0\1"),
            6: (b"\xff\2" + bytes(13) + b"\1", bytes(16), HERE[6]),
        }
        source = pick.choice(strange[family])
    port = pick.choice((0, 1, KEPT, KEPT + 1, 40_000, 40_001)) if pick.random() < 0.15 else pick.randrange(2000, 60_000)
    flags = SYN | pick.choice((0, 0, 0, ECE | CWR) if pick.random() < 0.9 else (FIN, RST, ACK, URG, PSH, ECE, 0x100))
    if pick.random() < 0.03:
        flags = ACK
    payload = b"early" if pick.random() < 0.05 else b""
    segment = TcpSegment(
        port,
        PORT if pick.random() < 0.97 else 81,
        pick.choice((pick.getrandbits(32), 0, 0xFFFFFFFF)),
        pick.choice((0, pick.getrandbits(32))),
        flags,
        pick.getrandbits(16),
        options=options_of(pick),
        payload=payload,
        reserved=pick.choice((0,) * 20 + (1, 4)),
    )
    ttl, tos = pick.choice((64, 64, 64, 5)), pick.choice((0, 0, 3, 0x29))
    packet = IPPacket(source, here, TCP, CODEC.encode_tcp(segment, source, here), ttl=ttl, tos=tos)
    if family == 4 and pick.random() < 0.03:
        packet.more_fragments = True
    octets = bytearray(CODEC.encode_ip(packet))
    if pick.random() < 0.05:
        octets[pick.randrange(len(octets))] ^= 1 << pick.randrange(8)
    if pick.random() < 0.03:
        octets += b"\0\0"
    return bytes(octets[: pick.randrange(len(octets))] if pick.random() < 0.03 else octets)


SETTINGS: dict[str, dict[str, Any]] = {
    "SYN queue full": {"syncookies": 1, "somaxconn": 3},
    "always": {},
    "neither SACK nor timestamps": {"sack": False, "timestamps": False},
    "no scale, ECN": {"window_scaling": False, "ecn": 1},
    "FreeBSD": {"option_layout": "freebsd", "window_scale": 6, "max_segment": 900},
    "user timeout": {"uto": True, "syn_window_in_segments": True, "receive_buffer": 50_000},
    "IP": {"min_ttl": 10, "min_hop_count": 20, "default_ttl": 40, "hop_limit": 50, "tos": 8, "traffic_class": 16},
    "no discovery": {"path_mtu_discovery": False, "drop_synfin": True},
    "short queue, offload": {"transmit_queue": 3, "offload": True},
    "few connections, quiet time": {"max_connections": 2, "syncookies": 1, "somaxconn": 0, "quiet_time": True, "msl": 2 * SECOND},
}


def meddle(pair: Pair, pick: random.Random) -> None:
    """Something happens between the SYNs."""
    what = pick.randrange(40)
    if what == 0:
        for listener in pair.listeners:
            listener.close(now=pair.benches[0].now)
        pair.listen()
    elif what == 1:
        for listener in pair.listeners:
            listener.md5_keys.set(THERE[4], b"key")
    elif what in (2, 3, 4):
        for listener in pair.listeners:
            listener.md5_keys.keys.clear()
    elif what in (5, 6, 7):
        mode, scale = pick.choice(((2, 3), (2, 4), (1, 3), (0, 3)))
        for listener in pair.listeners:
            listener.config = replace(listener.config, syncookies=mode, window_scale=scale)
    later = 61 * SECOND if what == 8 else pick.randrange(3) * SECOND // 7
    for bench in pair.benches:
        bench.now += later


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_what_is_answered_is_what_the_long_way_answers(settings: dict[str, Any]) -> None:
    pick = random.Random(str(settings))
    pair = Pair({"syncookies": 2, **settings})
    for _ in range(120):
        meddle(pair, pick)
        for _ in range(pick.choice((1, 1, 5))):
            pair.deliver(packet_of(pick), vouched=pick.random() < 0.2)
        pair.check()
    short, long = pair.counting
    assert "max_connections" in settings or short.decoded < 0.95 * long.decoded


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("layout", ["linux", "freebsd"])
def test_odd_options_are_no_exception(odd: Option, layout: str) -> None:
    pair, pick = Pair({"syncookies": 2}), random.Random(1)
    for options in with_odd(write_syn(SynOptions(1460, 7, (1, 0), True), layout), odd):
        for number in range(4 if sum(1 if kind <= NOP else 2 + len(data) for kind, data in options) <= 40 else 0):
            values = {MSS: b"\x013" if number & 1 else b"\x053", TIMESTAMPS: pick.randbytes(8)}
            fresh = tuple([one if one is odd else one._replace(data=values.get(one.kind, one.data)) for one in options])
            segment = TcpSegment(6000 + number, PORT, 1, 0, SYN, 65535, options=fresh, payload=bytes(number // 3))
            protocol = TCP if number else 253
            packet = IPPacket(THERE[4], HERE[4], protocol, CODEC.encode_tcp(segment, THERE[4], HERE[4]))
            pair.deliver(CODEC.encode_ip(packet), vouched=not number)
        pair.check()


def test_no_more_connections_no_cookies() -> None:
    pair = Pair({"max_connections": 2, "syncookies": 1, "somaxconn": 0})
    for family, answers in ((4, 1), (4, 1), (4, 1), (6, 1), (4, 0)):
        for bench in pair.benches:
            bench.arrives(family, SYN, seq=1, port=bench.host.counters["TcpInSegs"] + 5000)
            assert len(bench.host._replies) <= answers
        pair.check()
