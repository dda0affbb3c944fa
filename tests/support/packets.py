"""Packets to test with: Hypothesis strategies for every value of ``userstack.wire``, and bytes that are broken on purpose.

Strategies shrink well. ``PacketMill`` makes the same kind of bytes from a seeded ``random.Random``, thousands in a second, for
plain loops.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from userstack.wire.arp import ArpPacket
from userstack.wire.checksum import internet_checksum
from userstack.wire.codec import Codec, ParameterProblem, WireError
from userstack.wire.ethernet import EthernetFrame
from userstack.wire.fast_codec import FastCodec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import (
    DESTINATION_OPTIONS,
    EXTENSION_HEADERS,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    ROUTING,
    TCP,
    ExtensionHeader,
    IPPacket,
)
from userstack.wire.tcp import (
    EOL,
    EXPERIMENT,
    FAST_OPEN,
    MD5,
    MSS,
    NOP,
    SACK,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
    Option,
    TcpSegment,
)

KNOWN_SIZES = {
    MSS: (2,),
    WINDOW_SCALE: (1,),
    SACK_PERMITTED: (0,),
    SACK: (8, 16, 24, 32),
    TIMESTAMPS: (8,),
    MD5: (16,),
    FAST_OPEN: (0, 4, 8, 16),
    EXPERIMENT: (2, 6),
}
"""Octets of data that each kind may have by its RFC."""
SCAPY_KINDS = (14, 15, 25, 28, 29)
"""Kinds that scapy dissects in a way of its own."""

_PORTS = st.integers(0, 0xFFFF)
_WORDS = st.one_of(st.sampled_from((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)), st.integers(0, 0xFFFFFFFF))
_PAYLOADS = st.one_of(st.binary(max_size=40), st.integers(0, 2000).map(lambda size: (bytes(range(251)) * 8)[:size]))
_MACS = st.binary(min_size=6, max_size=6)


def addresses(version: int = 4) -> st.SearchStrategy[bytes]:
    """Packed addresses."""
    size = 4 if version == 4 else 16
    return st.binary(min_size=size, max_size=size)


def address_pairs() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Source and destination, both IPv4 or both IPv6."""
    return st.sampled_from((4, 4, 4, 6)).flatmap(lambda version: st.tuples(addresses(version), addresses(version)))


def valid_options() -> st.SearchStrategy[Option]:
    """One option as its RFC has it."""
    kinds = st.sampled_from(sorted(KNOWN_SIZES))
    sizes = kinds.flatmap(lambda kind: st.tuples(st.just(kind), st.sampled_from(KNOWN_SIZES[kind])))
    known = sizes.flatmap(lambda pair: st.builds(Option, st.just(pair[0]), st.binary(min_size=pair[1], max_size=pair[1])))
    return st.one_of(st.just(Option(NOP)), known)


def odd_options() -> st.SearchStrategy[Option]:
    """One option that can be written but is none of an RFC: known kinds with a wrong size, unknown kinds."""
    kinds = st.one_of(st.sampled_from(sorted(KNOWN_SIZES)), st.sampled_from(SCAPY_KINDS), st.integers(2, 255))
    return st.builds(Option, kinds, st.binary(max_size=38))


def option_lists() -> st.SearchStrategy[tuple[Option, ...]]:
    """Options as they come from the wire: what fits into 40 octets, with an EOL at the end where they do not fill their words."""
    choice = st.lists(st.one_of(valid_options(), valid_options(), odd_options()), max_size=8)
    return st.builds(_fit_options, choice, st.booleans())


def segments() -> st.SearchStrategy[TcpSegment]:
    """Segments that can be written, and that read back as themselves."""
    return st.builds(
        TcpSegment,
        source_port=_PORTS,
        destination_port=_PORTS,
        seq=_WORDS,
        ack=_WORDS,
        flags=st.integers(0, 0x1FF),
        window=_PORTS,
        urgent_pointer=_PORTS,
        options=option_lists(),
        payload=_PAYLOADS,
        reserved=st.integers(0, 7),
    )


def option_headers(kind: int = DESTINATION_OPTIONS) -> st.SearchStrategy[ExtensionHeader]:
    """Hop-by-hop or destination options that nobody objects to: padding, and unknown options that are to be skipped."""
    skipped = st.builds(lambda kind, data: bytes((kind, len(data))) + data, st.integers(1, 63), st.binary(max_size=20))
    options = st.lists(st.one_of(st.just(b"\0"), skipped), max_size=5).map(b"".join)
    return options.map(lambda octets: ExtensionHeader(kind, _sized(octets + bytes(-(len(octets) + 2) % 8))))


def extension_headers() -> st.SearchStrategy[tuple[ExtensionHeader, ...]]:
    """Extension headers that a destination takes, a Fragment header only where it is no fragment's."""
    routing = st.builds(
        lambda kind, rest: ExtensionHeader(ROUTING, _sized(bytes((kind, 0)) + rest)),
        st.sampled_from((0, 2, 4, 253)),
        st.integers(0, 5).flatmap(lambda words: st.binary(min_size=4 + 8 * words, max_size=4 + 8 * words)),
    )
    atomic = st.builds(lambda reserved, name: fragment_header(0, False, name, reserved), st.integers(0, 3), _WORDS)
    others = st.lists(st.one_of(option_headers(), routing, atomic), max_size=7)
    first = st.one_of(st.just(()), option_headers(HOP_BY_HOP).map(lambda header: (header,)))
    return st.builds(lambda first, others: (*first, *others), first, others)


def fragment_header(offset: int, more: bool, identification: int, reserved: int = 0) -> ExtensionHeader:
    """A Fragment header; ``reserved`` are the two bits beside the flag."""
    word = offset << 3 | reserved << 1 | more
    return ExtensionHeader(FRAGMENT, bytes(1) + word.to_bytes(2, "big") + identification.to_bytes(4, "big"))


def packets6() -> st.SearchStrategy[IPPacket]:
    """IPv6 packets with any extension headers, whole and in fragments, that read back as themselves."""
    octet = st.integers(0, 255)
    return st.builds(
        _packet6,
        st.tuples(addresses(6), addresses(6)),
        octet.filter(lambda number: number not in EXTENSION_HEADERS),
        _PAYLOADS,
        st.tuples(octet, octet),
        st.one_of(st.just(()), extension_headers()),
        st.one_of(st.none(), st.none(), st.tuples(st.integers(0, 0x1000), st.booleans(), _WORDS)),
    )


def packets() -> st.SearchStrategy[IPPacket]:
    """IPv4 and IPv6 packets with any payload, that read back as themselves."""
    octet = st.integers(0, 255)
    version4 = st.builds(
        IPPacket,
        source=addresses(),
        destination=addresses(),
        identification=_PORTS,
        dont_fragment=st.booleans(),
        more_fragments=st.booleans(),
        fragment_offset=st.one_of(st.just(0), st.integers(0, 0x1FFF)),
        options=st.integers(0, 10).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words)),
        protocol=octet,
        payload=_PAYLOADS,
        ttl=octet,
        tos=octet,
    )
    return st.one_of(version4, packets6())


def messages() -> st.SearchStrategy[IcmpMessage]:
    """ICMP messages of every type."""
    kinds = st.one_of(st.integers(0, 18), st.integers(0, 255))
    return st.builds(IcmpMessage, kinds, st.integers(0, 255), _WORDS, _PAYLOADS)


def frames() -> st.SearchStrategy[EthernetFrame]:
    """Ethernet frames."""
    types = st.one_of(st.sampled_from((0x0800, 0x0806, 0x86DD, 0x8100, 38)), _PORTS)
    return st.builds(EthernetFrame, _MACS, _MACS, types, _PAYLOADS)


def arp_packets() -> st.SearchStrategy[ArpPacket]:
    """ARP packets of every operation."""
    operations = st.one_of(st.sampled_from((1, 2)), _PORTS)
    return st.builds(ArpPacket, operations, _MACS, addresses(), _MACS, addresses())


def packet_octets() -> st.SearchStrategy[bytes]:
    """Whole IP packets that are right in every octet: TCP, ICMP and others."""
    codec = FastCodec()
    tcp = st.builds(
        lambda pair, segment: codec.encode_ip(IPPacket(pair[0], pair[1], TCP, codec.encode_tcp(segment, *pair))),
        address_pairs(),
        segments(),
    )
    icmp = st.builds(
        lambda source, destination, message: codec.encode_ip(IPPacket(source, destination, ICMP, codec.encode_icmp(message))),
        addresses(),
        addresses(),
        messages(),
    )
    icmp6 = st.builds(
        lambda packet, message: codec.encode_ip(
            replace(packet, protocol=ICMPV6, payload=codec.encode_icmpv6(message, packet.source, packet.destination))
        ),
        packets6().filter(lambda packet: not packet.is_fragment),
        messages(),
    )
    return st.one_of(tcp, tcp, icmp, icmp6, packets().map(codec.encode_ip))


def broken_octets() -> st.SearchStrategy[bytes]:
    """IP packets with octets flipped, cut, inserted and doubled, most with lengths and checksums put right again."""
    return st.builds(break_octets, packet_octets(), st.randoms(use_true_random=False))


def break_octets(octets: bytes, pick: random.Random) -> bytes:
    """Do damage to an IP packet; most of the time repair it so far that the damage reaches the inner parsers."""
    broken = octets
    for _ in range(pick.randint(1, 3)):
        broken = pick.choice(_DAMAGES)(broken, pick)
    return repair(broken, lengths=pick.random() < 0.8) if pick.random() < 0.7 else broken


def repair(octets: bytes, *, lengths: bool) -> bytes:
    """Put the checksums of IP, TCP and ICMP right, and before that, if ``lengths``, IP's length field."""
    data = bytearray(octets)
    if len(data) >= 40 and data[0] >> 4 == 6:
        if lengths:
            data[4:6] = min(len(data) - 40, 0xFFFF).to_bytes(2, "big")
        end = 40 + int.from_bytes(data[4:6], "big")
        start, protocol = _upper_layer(data)
        _repair_transport(data, start, end, protocol, bytes(data[8:40]))
    elif len(data) >= 20:
        if lengths:
            data[2:4] = min(len(data), 0xFFFF).to_bytes(2, "big")
        header = (data[0] & 0xF) * 4
        _write_checksum(data, 10, data[:10], bytes(2), data[12:header])
        _repair_transport(data, header, int.from_bytes(data[2:4], "big"), data[9], bytes(data[12:20]))
    return bytes(data)


def outcome(codec: Codec, octets: bytes) -> tuple[object, ...]:
    """What ``codec`` makes of an IP packet: its values, the last replaced by the counter's name where it raised ``WireError``."""
    found: list[object] = []
    try:
        packet = codec.decode_ip(octets)
        found.append(packet)
        if packet.protocol == TCP:
            found.append(codec.decode_tcp(packet, verify=False))
            found.append(codec.decode_tcp(packet))
        elif packet.protocol == ICMP:
            found.append(codec.decode_icmp(packet))
        elif packet.protocol == ICMPV6 and packet.version == 6:
            found.append(codec.decode_icmpv6(packet))
    except ParameterProblem as error:
        found += (error.counter, (error.code, error.pointer, error.multicast))
    except WireError as error:
        found.append(error.counter)
    return tuple(found)


class PacketMill:
    """An endless supply of packets, sound and broken, the same for the same seed."""

    def __init__(self, seed: int, *, stock: int = 400) -> None:
        self._random = random.Random(seed)
        self._stock = [self._sound() for _ in range(stock)]

    def sound(self) -> bytes:
        """A packet that is right in every octet."""
        return self._random.choice(self._stock)

    def broken(self) -> bytes:
        """A packet with damage."""
        return break_octets(self.sound(), self._random)

    def segment(self) -> TcpSegment:
        """A segment that can be written."""
        pick = self._random
        kinds = [pick.choice((NOP, *KNOWN_SIZES, *SCAPY_KINDS, pick.randint(2, 255))) for _ in range(pick.randint(0, 6))]
        sizes = [pick.choice((*KNOWN_SIZES.get(kind, ()), pick.randint(0, 12))) for kind in kinds]
        options = [Option(kind, b"" if kind == NOP else pick.randbytes(size)) for kind, size in zip(kinds, sizes, strict=True)]
        return TcpSegment(
            pick.randint(0, 0xFFFF),
            pick.randint(0, 0xFFFF),
            pick.getrandbits(32),
            pick.getrandbits(32),
            pick.getrandbits(9),
            pick.getrandbits(16),
            pick.getrandbits(16),
            _fit_options(options, pick.random() < 0.5),
            pick.randbytes(pick.choice((0, 0, 1, 7, 100, 536, 1460))),
        )

    def _sound(self) -> bytes:
        codec, pick = FastCodec(), self._random
        size = pick.choice((4, 4, 16))
        source, destination = pick.randbytes(size), pick.randbytes(size)
        if size == 4 and pick.random() < 0.3:
            message = IcmpMessage(pick.choice((0, 3, 8, 11, 13)), pick.randint(0, 15), pick.getrandbits(32), pick.randbytes(56))
            return codec.encode_ip(IPPacket(source, destination, ICMP, codec.encode_icmp(message)))
        if size == 16 and pick.random() < 0.3:
            message = IcmpMessage(pick.choice((1, 2, 3, 4, 128, 135, 136)), 0, pick.getrandbits(32), pick.randbytes(56))
            octets = codec.encode_icmpv6(message, source, destination)
            return codec.encode_ip(IPPacket(source, destination, ICMPV6, octets, extension_headers=self._extension_headers()))
        segment = codec.encode_tcp(self.segment(), source, destination)
        options = pick.randbytes(4 * pick.choice((0, 0, 0, 1, 10))) if size == 4 else b""
        headers = self._extension_headers() if size == 16 else ()
        return codec.encode_ip(IPPacket(source, destination, TCP, segment, options=options, extension_headers=headers))

    def _extension_headers(self) -> tuple[ExtensionHeader, ...]:
        pick = self._random
        headers = [ExtensionHeader(HOP_BY_HOP, _sized(b"\x05\x02\0\0\x01\x00"))] if pick.random() < 0.3 else []
        for _ in range(pick.choice((0, 0, 1, 8 - len(headers)))):
            option = bytes((pick.randrange(64), 12)) + pick.randbytes(12)
            odd = (ExtensionHeader(DESTINATION_OPTIONS, _sized(option)), ExtensionHeader(ROUTING, _sized(bytes(14))))
            headers.append(pick.choice((*odd, fragment_header(0, False, pick.getrandbits(32)))))
        return tuple(headers)


def _sized(rest: bytes) -> bytes:
    """The body of an extension header, from its length field on."""
    return bytes(((2 + len(rest)) // 8 - 1,)) + rest


def _packet6(
    pair: tuple[bytes, bytes],
    protocol: int,
    payload: bytes,
    octets: tuple[int, int],
    headers: tuple[ExtensionHeader, ...],
    fragment: tuple[int, bool, int] | None,
) -> IPPacket:
    packet = IPPacket(*pair, protocol, payload, *octets, extension_headers=headers)
    for header in headers:
        if header.kind == FRAGMENT:
            packet.identification = int.from_bytes(header.body[3:], "big")
    if fragment is not None and fragment[:2] != (0, False):
        packet.fragment_offset, packet.more_fragments, packet.identification = fragment
        packet.extension_headers = (*headers[:7], fragment_header(*fragment))
        packet.payload = payload[: len(payload) & ~7] if packet.more_fragments else payload
    return packet


def _fit_options(options: list[Option], early_end: bool) -> tuple[Option, ...]:
    fitting: list[Option] = []
    room = 40
    for option in options:
        size = 1 if option.kind == NOP else 2 + len(option.data)
        if size <= room:
            fitting.append(option)
            room -= size
    if room % 4 or (early_end and room):
        fitting.append(Option(EOL))
    return tuple(fitting)


def _repair_transport(data: bytearray, start: int, end: int, protocol: int, address_octets: bytes) -> None:
    body = data[start:end]
    if protocol == TCP and len(body) >= 18:
        pseudo = address_octets + bytes((0, TCP)) + len(body).to_bytes(2, "big")
        _write_checksum(data, start + 16, pseudo, body[:16], bytes(2), body[18:])
    elif protocol == ICMPV6 and len(body) >= 4 and len(address_octets) == 32:
        pseudo = address_octets + bytes((0, ICMPV6)) + len(body).to_bytes(2, "big")
        _write_checksum(data, start + 2, pseudo, body[:2], bytes(2), body[4:])
    elif protocol == ICMP and len(body) >= 4:
        _write_checksum(data, start + 2, body[:2], bytes(2), body[4:])


def _upper_layer(data: bytearray) -> tuple[int, int]:
    """Where in an IPv6 packet the upper layer seems to begin, and its protocol."""
    at, protocol = 40, data[6]
    while protocol in EXTENSION_HEADERS and at + 8 <= len(data):
        size = 8 if protocol == FRAGMENT else 8 + 8 * data[at + 1]
        protocol, at = data[at], at + size
    return at, protocol


def _write_checksum(data: bytearray, at: int, *buffers: bytes | bytearray) -> None:
    data[at : at + 2] = internet_checksum(*buffers).to_bytes(2, "big")


def _flip(octets: bytes, pick: random.Random) -> bytes:
    if not octets:
        return octets
    # Headers are where the parsers are.
    at = pick.randrange(len(octets) if pick.random() < 0.2 else min(len(octets), 64))
    return octets[:at] + bytes((octets[at] ^ (1 << pick.randrange(8)),)) + octets[at + 1 :]


def _overwrite(octets: bytes, pick: random.Random) -> bytes:
    at = pick.randint(0, min(len(octets), 64))
    new = bytes(pick.choice((0, 1, 2, 3, 4, 5, 8, 0x45, 0x50, 0xF0, 0xFF, pick.randrange(256))) for _ in range(pick.randint(1, 4)))
    return octets[:at] + new + octets[at + len(new) :]


def _cut(octets: bytes, pick: random.Random) -> bytes:
    return octets[: pick.randint(0, len(octets) if pick.random() < 0.5 else min(len(octets), 64))]


def _insert(octets: bytes, pick: random.Random) -> bytes:
    at = pick.choice((pick.randint(0, min(len(octets), 64)), len(octets)))
    return octets[:at] + bytes(pick.randrange(256) for _ in range(pick.randint(1, 9))) + octets[at:]


def _double(octets: bytes, pick: random.Random) -> bytes:
    start = pick.randint(0, min(len(octets), 64))
    end = start + pick.randint(0, 16)
    return octets[:end] + octets[start:end] + octets[end:]


def _wrap(octets: bytes, pick: random.Random) -> bytes:
    """Put an extension header more in front of what an IPv6 packet carries."""
    if len(octets) < 40 or octets[0] >> 4 != 6:
        return octets
    header = bytes((octets[6], 0)) + pick.choice((bytes(6), b"\1\4" + bytes(4), pick.randbytes(6)))
    return octets[:6] + bytes((pick.choice((0, 43, 44, 60, 60)),)) + octets[7:40] + header + octets[40:]


_TELLING = (0, 1, 2, 3, 4, 5, 8, 0x45, 0x50, 0xF0, 0xFF)
"""Octets that mean something in a header: option kinds, small lengths, header lengths."""
_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flip, _flip, _overwrite, _overwrite),
    *(_cut, _insert, _double, _wrap),
)
