"""The Timestamps option of one connection (RFC 7323 3 to 5): what is sent, what is echoed, and which segments are too old.

TSval and TS.Recent are unwrapped, as sequence numbers are (see ``seq``).
"""

import hashlib
from collections.abc import Callable
from struct import Struct
from typing import Final

from userstack.address import Endpoint
from userstack.config import SECOND
from userstack.tcp import seq
from userstack.wire.tcp import NOP, TIMESTAMPS, Option, option_of

OffsetGenerator = Callable[[Endpoint, Endpoint], int]
"""(local, remote) -> 32 bits that the timestamp clock is ahead on connections between these sockets."""

OPTION_OCTETS: Final = 12
"""What the option takes in every segment, its two NOPs included."""

CARRIED: Final = 0b111111
"""The bits of a TSval that a SYN cookie has for the options of the SYN (see ``net/syncookies``), as in Linux."""

_OUTDATED: Final = 24 * 86_400 * SECOND
"""RFC 7323 5.5: after so much idle time TS.Recent says nothing any more."""

_NOP: Final = Option(NOP)
_NONE_CACHED: Final[tuple[int, int, tuple[Option, ...]]] = (-1, -1, ())
_VALUES: Final = Struct("!II")
_pack: Callable[[int, int], bytes] = _VALUES.pack
_unpack: Callable[[bytes], tuple[int, int]] = _VALUES.unpack


class SecretOffset:
    """RFC 7323 5.4: the function of RFC 6528 with another key.

    The same sockets get the same offset, so that PAWS and RFC 6191 hold from one incarnation to the next.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:32]

    def __call__(self, local: Endpoint, remote: Endpoint) -> int:
        """The offset of connections between these sockets."""
        ports = local.port.to_bytes(2, "big") + remote.port.to_bytes(2, "big")
        digest = hashlib.blake2s(local.address + remote.address + ports, digest_size=4, key=self._secret, person=b"TSval")
        return int.from_bytes(digest.digest(), "big")


def encode(tsval: int, tsecr: int) -> Option:
    """The option with these two values."""
    return option_of((TIMESTAMPS, _pack(tsval & seq.MASK, tsecr & seq.MASK)))


def read_timestamps(options: tuple[Option, ...]) -> tuple[int, int] | None:
    """TSval and TSecr as they stand in a segment's options, of two the last; None where there is none of the right length."""
    for kind, data in reversed(options):
        if kind == TIMESTAMPS and len(data) == 8:
            return _unpack(data)
    return None


class Timestamps:
    """One connection's clock and TS.Recent. ``tick`` is the nanoseconds of one step of the clock."""

    __slots__ = ("_cached", "_tick", "last_ack_sent", "offset", "recent", "recent_at")

    def __init__(self, tick: int, offset: int) -> None:
        self._tick = tick
        self.offset = offset
        """How far the clock is ahead, in ticks."""
        self.recent: int | None = None
        """TS.Recent: what is echoed; None before the peer's SYN."""
        self.recent_at = 0
        """When it was set."""
        self.last_ack_sent = 0
        """Last.ACK.sent."""
        self._cached: tuple[int, int, tuple[Option, ...]] = _NONE_CACHED
        """The last options, behind the tick and TS.Recent that they tell of."""

    def value(self, now: int) -> int:
        """TSval at that time."""
        return now // self._tick + self.offset

    def option(self, now: int) -> Option:
        """What a segment with an ACK carries; before there is anything to echo TSecr is 0."""
        return encode(self.value(now), self.recent or 0)

    def padded(self, now: int) -> tuple[Option, ...]:
        """The option with the NOPs that align it. Segments of the same tick share it."""
        ticks, recent, options = self._cached
        if ticks != now // self._tick or recent != (self.recent or 0):
            options = (_NOP, _NOP, self.option(now))
            self._cached = now // self._tick, self.recent or 0, options
        return options

    def carry(self, bits: int, now: int) -> None:
        """Set the clock back, by less than 64 ticks, until its lowest six bits say ``bits``: for a SYN,ACK that is not kept."""
        ticks = now // self._tick
        self.offset -= ticks - bits & CARRIED

    def begin(self, tsval: int, now: int) -> None:
        """The peer's SYN is here: its timestamp is the first TS.Recent."""
        self.recent, self.recent_at = tsval, now

    def is_old(self, tsval: int, now: int) -> bool:
        """R1 of RFC 7323 5.3: SEG.TSval < TS.Recent, and TS.Recent is valid (5.5)."""
        return self.recent is not None and seq.unwrap(tsval, self.recent) < self.recent and now - self.recent_at <= _OUTDATED

    def older_by(self, tsval: int) -> int:
        """TS.Recent - SEG.TSval, in ticks of the peer's clock."""
        return 0 if self.recent is None else self.recent - seq.unwrap(tsval, self.recent)

    def age(self, now: int) -> int:
        """How long ago, in ns, TS.Recent was set."""
        return now - self.recent_at

    def is_recent(self, tsval: int) -> bool:
        """SEG.TSval = TS.Recent."""
        return self.recent is not None and seq.unwrap(tsval, self.recent) == self.recent

    def is_newer(self, tsval: int) -> bool:
        """SEG.TSval > TS.Recent."""
        return self.recent is not None and seq.unwrap(tsval, self.recent) > self.recent

    def update(self, tsval: int, first: int, now: int) -> None:
        """R3 of RFC 7323 5.3 for an acceptable segment with SEG.SEQ = ``first``; an old one leaves TS.Recent as it is."""
        if first > self.last_ack_sent or self.recent is None:
            return
        value = seq.unwrap(tsval, self.recent)
        if value >= self.recent or now - self.recent_at > _OUTDATED:
            self.recent, self.recent_at = value, now

    def sent_by(self, tsecr: int, now: int) -> int:
        """Until when, in ns, a segment may have gone out that carried ``tsecr`` as its TSval."""
        return (seq.unwrap(tsecr, self.value(now)) - self.offset + 1) * self._tick

    def elapsed(self, tsecr: int, now: int) -> int | None:
        """RFC 7323 4.1: nanoseconds since ``tsecr`` was sent as a TSval, at least one tick; None where it never was.

        Note: 0 is what a peer sends that has nothing to echo.
        """
        value = self.value(now)
        ticks = value - seq.unwrap(tsecr, value)
        return max(ticks, 1) * self._tick if tsecr and ticks >= 0 else None
