"""From the octets of a SYN straight to those of the SYN,ACK with a cookie, for floods: nothing is made in between.

Law: only what the long way has answered is answered here. The first SYN of a kind goes through ``Host`` and ``PassiveOpens``, which
alone read options, agree to them and lay them out; what it got is kept as a pattern, and the next of its kind gets the same with
other numbers. Whatever is unusual, and whatever a cookie is not the answer to, goes the long way: nothing is decided twice.
"""

import struct
from typing import Final, NamedTuple

from userstack.address import Endpoint
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net import octets
from userstack.net.arrival import Arrival
from userstack.net.interface import Interface, is_valid_source
from userstack.net.listener import Listener
from userstack.net.syncookies import SynCookies, carrying
from userstack.net.synqueue import gets_cookie
from userstack.net.table import ConnectionTable
from userstack.tcp import seq
from userstack.tcp.timestamps import CARRIED, OffsetGenerator, read_timestamps
from userstack.tcp.windowscale import MAX_SHIFT
from userstack.wire.checksum import word_sum
from userstack.wire.encodable import option_octets
from userstack.wire.fast_codec import FastCodec
from userstack.wire.ip import TCP, Buffer
from userstack.wire.tcp import MSS, NOP, SACK_PERMITTED, SYN, TIMESTAMPS, WINDOW_SCALE, Option, TcpSegment

_IPV4: Final = struct.Struct("!BBHxxHBBxx4s4sHHIxxxxH")
"""Version and IHL, type of service, total length, fragment, TTL, protocol, addresses, ports, SEQ, data offset and flags."""
_IPV6: Final = struct.Struct("!IHBB16s16sHHIxxxxH")
"""Version, class and label; payload length, next header, hop limit; then as above."""
_LEAST4: Final = 40
_LEAST6: Final = 60
_FRAGMENT: Final = 0x3FFF
_STAMP_HEAD: Final = bytes((TIMESTAMPS, 10))
_STAMPS: Final = 8
"""Octets of TSval and TSecr."""
_KNOWN: Final = {MSS: 2, SACK_PERMITTED: 0, WINDOW_SCALE: 1, TIMESTAMPS: _STAMPS}
"""The options that a SYN with a pattern may have, and the octets of what they say."""
_KINDS: Final = 256
"""Patterns that are kept. The stacks of this world have a few dozen; whoever makes more up gains that they are learned anew."""

_codec: Final = FastCodec()

Kind = tuple[bytes, int, int, bytes]
"""Local address and port; data offset and flags of the SYN; its options, but for what its MSS and timestamps say."""


class Pattern(NamedTuple):
    """What SYNs of one kind are answered with, but for the numbers."""

    listener: Listener
    config: StackConfig
    """The listener's when the pattern was made: with another one it is good for nothing."""
    local: Endpoint
    min_ttl: int
    head: int
    """The header of IPv4 up to its addresses, without identification and checksum; or that of IPv6."""
    head_words: int
    """The sum of the former, and of the local address."""
    bits: int
    """Data offset and flags."""
    window: int
    words: int
    """The sum of what does not change in the segment and its pseudo header."""
    options: bytes
    """Those up to TSval, or all."""
    rest: bytes
    """Those after TSecr."""
    carried: int | None
    """What the lowest bits of TSval say of the SYN; None: there are no timestamps."""
    layout: struct.Struct


class SynPath:
    """The short way for SYNs that get a cookie."""

    __slots__ = ("_config", "_cookies", "_counters", "_interfaces", "_offset", "_table", "patterns")

    def __init__(
        self,
        table: ConnectionTable,
        cookies: SynCookies,
        interfaces: tuple[Interface, ...],
        timestamp_offset: OffsetGenerator,
        config: StackConfig,
        counters: Counters,
    ) -> None:
        self._table = table
        self._interfaces = interfaces
        self._config = config
        self._counters = counters
        self._cookies = cookies
        self._offset = timestamp_offset
        self.patterns: dict[Kind, Pattern] = {}
        """Empty where no cookie was needed yet; whoever closes a listener clears it."""

    def answer(self, data: Buffer, identification: int, now: int, *, vouched: bool) -> bytes | None:
        """The packet that answers this one; None, and nothing has happened, where it has to go the long way."""
        size = len(data)
        if size < _LEAST4:
            return None
        if data[0] == 0x45:
            _, tos, length, fragment, ttl, protocol, source, destination, port, here, number, bits = _IPV4.unpack_from(data)
            transport = 20
            if fragment & _FRAGMENT or int.from_bytes(data[:20], "big") % 0xFFFF:
                return None
        elif size >= _LEAST6 and data[0] >> 4 == 6:
            first, length, protocol, ttl, source, destination, port, here, number, bits = _IPV6.unpack_from(data)
            tos, length, transport = first >> 20 & 0xFF, length + 40, 40
        else:
            return None
        if not bits & SYN or length != size or protocol != TCP:
            return None
        options = bytes(data[transport + 20 :])
        unchanging, at = _unchanging(options)
        pattern = self.patterns.get((destination, here, bits, unchanging))
        flow = bytes(data[transport - 2 * len(source) : transport + 4])
        if pattern is None or not port or ttl < pattern.min_ttl or not self._gets_cookie(pattern.listener, pattern, flow, source):
            return None
        # There is no text, or no pattern would fit: an even number of octets.
        words = int.from_bytes(data[transport:], "big") + int.from_bytes(flow[:-4], "big") + size - transport + TCP
        if not vouched and words % 0xFFFF:
            return None
        cookie = self._cookies.make(flow, number, int.from_bytes(options[2:4], "big"), now)
        if cookie is None:
            return None
        pattern.listener.cookie_sent_at = now
        self._count(transport == 40, tos, size)
        stamps = b"" if pattern.carried is None else self._stamps(pattern, source, port, options[at : at + 4], now)
        return _fill_in(pattern, source, port, identification, cookie, seq.wrap(number + 1), stamps)

    def learn(self, listener: Listener, arrival: Arrival, answer: TcpSegment) -> None:
        """Keep what a SYN got as the pattern for what the others of its kind will get."""
        syn, local = arrival.segment, arrival.local
        if not _are_known(syn.options):
            return
        header = _codec.encode_tcp(syn, arrival.remote.address, local.address)
        if len(self.patterns) >= _KINDS:
            self.patterns.clear()
        bits = int.from_bytes(header[12:14], "big")
        self.patterns[local.address, local.port, bits, _unchanging(header[20:])[0]] = self._pattern(listener, arrival, answer)

    def _gets_cookie(self, listener: Listener, pattern: Pattern, flow: bytes, source: bytes) -> bool:
        return (
            gets_cookie(listener)
            and listener.config is pattern.config
            and not listener.md5_keys.keys
            and flow not in self._table.flows
            and self._table.live < self._config.max_connections
            and is_valid_source(source, self._interfaces)
        )

    def _stamps(self, pattern: Pattern, source: bytes, port: int, tsval: bytes, now: int) -> bytes:
        """TSval and TSecr, the peer's."""
        assert pattern.carried is not None
        ticks = carrying(pattern.carried, now // pattern.config.timestamp_clock)
        return seq.wrap(ticks + self._offset(pattern.local, Endpoint(source, port))).to_bytes(4, "big") + tsval

    def _count(self, version_6: bool, tos: int, size: int) -> None:
        counters = self._counters
        octets.count_delivered(counters, version_6, tos, 1, size)
        counters["TcpExtTCPReqQFullDoCookies"] += 1
        counters["TcpOutSegs"] += 1
        counters["TcpExtSyncookiesSent"] += 1

    def _pattern(self, listener: Listener, arrival: Arrival, answer: TcpSegment) -> Pattern:
        config, local, remote = listener.config, arrival.local.address, arrival.remote.address
        ttl, tos, whole = config.ttl_for(local), config.tos_for(local), config.path_mtu_discovery
        both = _codec.encode_headers(answer, local, remote, ttl=ttl, tos=tos, identification=0, dont_fragment=whole)
        addresses, transport = (12, 20) if len(local) == 4 else (8, 40)
        head, segment = both[: addresses - 2] + bytes(2) if len(local) == 4 else both[:addresses], both[transport:]
        stamps, place = read_timestamps(answer.options), _place_of_stamps(answer.options) or len(segment) - 20
        carried = None if stamps is None else stamps[0] - self._offset(arrival.local, arrival.remote) & CARRIED
        room = 0 if stamps is None else _STAMPS
        options, rest = segment[20 : 20 + place], segment[20 + place + room :]
        bits = int.from_bytes(segment[12:14], "big")
        return Pattern(
            listener,
            config,
            arrival.local,
            config.min_ttl_for(local),
            int.from_bytes(head, "big"),
            word_sum(head) + int.from_bytes(local, "big"),
            bits,
            answer.window,
            TCP + len(segment) + bits + answer.window + word_sum(options) + word_sum(rest) + word_sum(local) + arrival.local.port,
            options,
            rest,
            carried,
            struct.Struct(f"!{addresses}s{len(local)}s{len(local)}sHHIIHHHH{len(options)}s{room}s{len(rest)}s"),
        )


def _fill_in(pattern: Pattern, source: bytes, port: int, identification: int, cookie: int, ack: int, stamps: bytes) -> bytes:
    """The answer to a SYN from ``source`` and ``port``."""
    address = int.from_bytes(source, "big")
    if len(source) == 4:
        words = pattern.head_words + identification + address
        head = (pattern.head | identification << 48 | -words % 0xFFFF).to_bytes(12, "big")
    else:
        head = pattern.head.to_bytes(8, "big")
    words = pattern.words + address + port + cookie + ack + int.from_bytes(stamps, "big")
    return pattern.layout.pack(
        head,
        pattern.local.address,
        source,
        pattern.local.port,
        port,
        cookie,
        ack,
        pattern.bits,
        pattern.window,
        -words % 0xFFFF,
        0,
        pattern.options,
        stamps,
        pattern.rest,
    )


def _unchanging(options: bytes) -> tuple[bytes, int]:
    """What tells the kind of a SYN by the octets of its options, and where among them TSval stands, 0 for nowhere.

    The MSS, which is to come first, and the timestamps are left out. Of the options of a pattern no others look like their head.
    """
    at = options.find(_STAMP_HEAD, 4) + len(_STAMP_HEAD)
    if at < len(_STAMP_HEAD):
        return options[:2] + options[4:], 0
    return options[:2] + options[4:at] + options[at + _STAMPS :], at


def _are_known(options: tuple[Option, ...]) -> bool:
    """An MSS comes first, each is there once and says as much as it should, and no scale is too large."""
    kinds = [kind for kind, _ in options if kind > NOP]
    if not options or options[0].kind != MSS or len(set(kinds)) < len(kinds):
        return False
    return all(
        kind <= NOP or (_KNOWN.get(kind) == len(data) and (kind != WINDOW_SCALE or data[0] <= MAX_SHIFT)) for kind, data in options
    )


def _place_of_stamps(options: tuple[Option, ...]) -> int:
    """Where in the octets of these options TSval stands; 0: nowhere."""
    at = 0
    for option in options:
        if option.kind == TIMESTAMPS:
            return at + len(_STAMP_HEAD)
        at += option_octets((option,))
    return 0
