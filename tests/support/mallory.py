"""Whoever sits on the wire and means harm: bends what passes, makes up what never was sent, and tells lies by ICMP.

``Mallory`` is a ``Fate`` of ``VirtualNetwork``. Everything follows from the seed.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from tests.support.packets import break_octets
from userstack.address import pack_address
from userstack.config import MILLISECOND
from userstack.tcp.md5sig import digest
from userstack.wire import icmpv6
from userstack.wire.codec import WireError, make_codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, ICMPV6, TCP, IPPacket
from userstack.wire.tcp import (
    ACK,
    EOL,
    EXPERIMENT,
    FAST_OPEN,
    FAST_OPEN_MAGIC,
    FIN,
    MD5,
    MSS,
    NOP,
    RST,
    SACK,
    SACK_PERMITTED,
    SYN,
    TIMESTAMPS,
    URG,
    WINDOW_SCALE,
    Option,
    TcpSegment,
)

CODEC = make_codec("fast")
ROUTER, ROUTER6 = pack_address("192.168.8.8"), pack_address("fd3d::8:8")
USER_TIMEOUT = 28
_MEMORY = 30
_NEAR = (-(1 << 31), -70_000, -1461, -2, -1, 0, 1, 2, 3, 100, 1460, 65_535, 1 << 30)
_FLAGS = (SYN, FIN, RST, ACK, URG, SYN | ACK, FIN | ACK, SYN | FIN, RST | ACK, 0, 0x1FF)
_MTUS = (0, 1, 67, 68, 296, 552, 576, 1280, 1499, 65_535)
_OPTIONS: tuple[Callable[[random.Random], Option], ...] = (
    lambda pick: Option(NOP),
    lambda pick: Option(MSS, pick.choice((0, 1, 48, 536, 65_535)).to_bytes(2, "big")),
    lambda pick: Option(WINDOW_SCALE, bytes((pick.choice((0, 14, 15, 255)),))),
    lambda pick: Option(SACK_PERMITTED),
    lambda pick: Option(SACK, pick.randbytes(8 * pick.randint(0, 4))),
    lambda pick: Option(TIMESTAMPS, pick.randbytes(8)),
    lambda pick: Option(MD5, pick.randbytes(16)),
    lambda pick: Option(USER_TIMEOUT, pick.choice((b"\0\0", b"\0\1", b"\x80\1", b"\xff\xff"))),
    lambda pick: Option(FAST_OPEN, pick.randbytes(pick.choice((0, 1, 4, 8, 16, 18)))),
    lambda pick: Option(EXPERIMENT, FAST_OPEN_MAGIC + pick.randbytes(pick.choice((0, 4, 8)))),
    lambda pick: Option(pick.randrange(2, 256), pick.randbytes(pick.randrange(12))),
)


class Mallory:
    """Bends the share ``evil`` of what passes, and adds as much of its own; ``keys`` are those that sign segments, None too."""

    def __init__(self, seed: int, *, evil: float, keys: tuple[bytes | None, ...] = (None,)) -> None:
        self.pick = random.Random(f"mallory {seed}")
        self.evil = evil
        self.keys = keys
        self._heard: deque[bytes] = deque(maxlen=_MEMORY)

    def __call__(self, _index: int, octets: bytes) -> list[tuple[int, bytes]]:
        pick = self.pick
        self._heard.append(octets)
        if pick.random() >= self.evil:
            return [(0, forward(octets))]
        arrivals = [forward(octets)] if pick.random() < 0.6 else []
        arrivals += [self.forge() for _ in range(pick.randint(0, 4))]
        return [(pick.choice((0, 0, MILLISECOND, 300 * MILLISECOND)), packet) for packet in arrivals]

    def forge(self) -> bytes:
        """A packet that nobody has sent, made of one that somebody has."""
        pick = self.pick
        if not self._heard:
            return b""
        octets = pick.choice(self._heard)
        try:
            packet = CODEC.decode_ip(octets)
            segment = CODEC.decode_tcp(packet) if packet.protocol == TCP else None
        except WireError:
            return octets
        if segment is None or pick.random() < 0.15:
            return break_octets(octets, pick)
        if pick.random() < 0.15:
            return self._lie(packet, segment)
        return self._bend(packet, segment)

    def _bend(self, packet: IPPacket, segment: TcpSegment) -> bytes:
        pick = self.pick
        source, destination = packet.source, packet.destination
        if pick.random() < 0.3:  # as the other end would answer
            segment = replace(
                segment,
                source_port=segment.destination_port,
                destination_port=segment.source_port,
                seq=segment.ack,
                ack=(segment.seq + len(segment.payload) + bool(segment.flags & (SYN | FIN))) & 0xFFFFFFFF,
            )
            source, destination = destination, source
        for _ in range(pick.randint(1, 3)):
            segment = pick.choice(_BENDS)(segment, pick)
        segment = replace(segment, options=_fitting(segment.options), header=0, ecn=0)
        segment = self._signed(segment, source, destination)
        bent = replace(packet, source=source, destination=destination, payload=CODEC.encode_tcp(segment, source, destination))
        bent.tos = pick.choice((0, 1, 2, 3, packet.tos))
        bent.ttl = pick.choice((1, 64, 255, packet.ttl))
        if len(source) == 4:
            bent.options = self._ip_options(destination)
        octets = CODEC.encode_ip(bent)
        return break_octets(octets, pick) if pick.random() < 0.1 else octets

    def _signed(self, segment: TcpSegment, source: bytes, destination: bytes) -> TcpSegment:
        key = self.pick.choice(self.keys)
        if key is None:
            return segment
        others = _fitting(tuple(option for option in segment.options if option.kind != MD5), 20)
        segment = replace(segment, options=(Option(NOP), Option(NOP), Option(MD5, bytes(16)), *others))
        signature = digest(segment, source, destination, key)
        return replace(segment, options=(Option(NOP), Option(NOP), Option(MD5, signature), *others))

    def _ip_options(self, destination: bytes) -> bytes:
        """Mostly none; else a route that has been gone, or one that goes on, or nonsense."""
        pick = self.pick
        if pick.random() < 0.8:
            return b""
        kind, hops = pick.choice((0x83, 0x89)), [ROUTER, destination, *(pick.randbytes(4) for _ in range(7))][: pick.randint(1, 9)]
        data = b"".join(hops)
        pointer = pick.choice((4, 4 + len(data), 4 + len(data), 4 + len(data), 0, 5, 255))
        return bytes((kind, 3 + len(data), pointer)) + data + b"\0"

    def _lie(self, packet: IPPacket, segment: TcpSegment) -> bytes:
        """An ICMP error about a segment, true or not, to whoever is said to have sent it."""
        pick = self.pick
        if pick.random() < 0.5:
            segment = replace(segment, seq=(segment.seq + pick.choice(_NEAR)) & 0xFFFFFFFF)
        if pick.random() < 0.1:
            segment = replace(segment, source_port=pick.randrange(65_536))
        body = CODEC.encode_tcp(replace(segment, header=0, ecn=0), packet.source, packet.destination)
        quote = CODEC.encode_ip(replace(packet, payload=body[: pick.choice((8, 8, 20, 28))]))
        if len(packet.source) == 4:
            kind, code = pick.choice(((3, 4), (3, 4), (3, 4), (3, pick.randrange(16)), (11, 0), (12, 0), (4, 0), (5, 0)))
            rest = pick.choice(_MTUS) if (kind, code) == (3, 4) else pick.choice((0, 20 << 24))
            message = CODEC.encode_icmp(IcmpMessage(kind, code, rest, quote))
            octets = CODEC.encode_ip(IPPacket(ROUTER, packet.source, ICMP, message))
        else:
            kind, code, rest = pick.choice(
                ((2, 0, pick.choice(_MTUS)), (2, 0, 1280), (1, pick.randrange(8), 0), (3, 0, 0), (4, 1, 6))
            )
            message = CODEC.encode_icmpv6(IcmpMessage(kind, code, rest, quote), ROUTER6, packet.source)
            octets = CODEC.encode_ip(IPPacket(ROUTER6, packet.source, ICMPV6, message))
        return break_octets(octets, pick) if pick.random() < 0.2 else octets


def forward(octets: bytes) -> bytes:
    """What a router does with a packet that names it as a hop of its source route (RFC 791 3.1); others go through as they are."""
    if octets[0] >> 4 != 4 or octets[0] & 0xF == 5:
        return octets
    packet = CODEC.decode_ip(octets)
    options = bytes(packet.options)
    if options[0] not in (0x83, 0x89):
        return octets
    size, pointer = options[1], options[2]
    hops = [options[at : at + 4] for at in range(3, size, 4)]
    place = pointer // 4 - 1
    destination = packet.destination
    while place < len(hops):
        destination, hops[place], place = hops[place], destination, place + 1
    written = options[:2] + bytes((4 * place + 4,)) + b"".join(hops) + options[size:]
    return CODEC.encode_ip(replace(packet, destination=destination, options=written))


def too_big(octets: bytes, mtu: int) -> bytes:
    """A router's word that ``octets`` do not fit its next link (RFC 1191 4, RFC 4443 3.2)."""
    packet = CODEC.decode_ip(octets)
    if packet.version == 4:
        message = CODEC.encode_icmp(IcmpMessage(3, 4, mtu, octets[: (octets[0] & 0xF) * 4 + 8]))
        return CODEC.encode_ip(IPPacket(ROUTER, packet.source, ICMP, message))
    error = IcmpMessage(icmpv6.PACKET_TOO_BIG, 0, mtu, octets[:1200])
    return CODEC.encode_ip(IPPacket(ROUTER6, packet.source, ICMPV6, CODEC.encode_icmpv6(error, ROUTER6, packet.source)))


def _fitting(options: tuple[Option, ...], taken: int = 0) -> tuple[Option, ...]:
    """As many as the header has room for, and no EOL but at the end."""
    fitting: list[Option] = []
    for option in options:
        taken += 1 if option.kind <= NOP else 2 + len(option.data)
        if taken > 40:
            break
        if option.kind != EOL:
            fitting.append(option)
    return tuple(fitting)


def _bend_options(segment: TcpSegment, pick: random.Random) -> TcpSegment:
    options = list(segment.options)
    match pick.randrange(5):
        case 0:
            pick.shuffle(options)
        case 1 if options:
            del options[pick.randrange(len(options))]
        case 2 if options:
            options.append(pick.choice(options))
        case 3 if options:
            at = pick.randrange(len(options))
            kind, data = options[at]
            options[at] = Option(kind, pick.randbytes(len(data)))
        case _:
            options.insert(0, pick.choice(_OPTIONS)(pick))
    return replace(segment, options=tuple(options))


def _bend_text(segment: TcpSegment, pick: random.Random) -> TcpSegment:
    text = bytes(segment.payload)
    return replace(segment, payload=pick.choice((b"", b"x", text[: len(text) // 2], text[1:], (text + bytes(100))[:400])))


_BENDS: tuple[Callable[[TcpSegment, random.Random], TcpSegment], ...] = (
    _bend_options,
    _bend_options,
    _bend_text,
    lambda segment, pick: replace(segment, seq=(segment.seq + pick.choice(_NEAR)) & 0xFFFFFFFF),
    lambda segment, pick: replace(segment, ack=(segment.ack + pick.choice(_NEAR)) & 0xFFFFFFFF),
    lambda segment, pick: replace(segment, flags=segment.flags ^ pick.choice(_FLAGS)),
    lambda segment, pick: replace(segment, flags=pick.choice(_FLAGS) | ACK),
    lambda segment, pick: replace(segment, flags=segment.flags | URG, urgent_pointer=pick.choice((0, 1, 2, 100, 65_535))),
    lambda segment, pick: replace(segment, window=pick.choice((0, 0, 1, 100, 65_535))),
    lambda segment, pick: segment,
)
