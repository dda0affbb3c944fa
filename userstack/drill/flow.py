"""One connection of the script: where its packets live, and how the script's numbers become those on the wire.

Law: the numbers of the script's side (what comes in) are used as they stand; those of the system are moved by its initial sequence
number and the origin of its timestamps, which are learnt from its first packets.
"""

from collections import deque
from dataclasses import dataclass, field

from userstack.address import Endpoint
from userstack.drill.outstanding import Outstanding
from userstack.drill.system import DrillSocket
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import TcpSegment

MODULUS = 1 << 32
_PERIOD = 251
_PATTERN = bytes(range(_PERIOD)) * 266
"""Octets that nobody gave: a prime period, so that no segment's worth of them looks like another."""


def filler(offset: int, size: int) -> bytes:
    """The octets of a stream from ``offset`` on, where the script does not give them."""
    first = offset % _PERIOD
    parts = []
    while size > 0:
        part = _PATTERN[first : first + size]
        parts.append(part)
        size -= len(part)
        first = 0
    return b"".join(parts)


@dataclass(slots=True)
class Sent:
    """A packet of the system that no line of the script has claimed yet; what a line claims of its text is cut off."""

    time: int
    ip: IPPacket
    segment: TcpSegment
    again: bool = False
    """All of it had been sent before."""
    whole: bool = True
    """Nothing was cut off."""


@dataclass(slots=True)
class TimestampMap:
    """The system's TSval, script's to live and back: a line through the first pair, and the pairs themselves."""

    script: int | None = None
    live: int = 0
    pairs: dict[int, int] = field(default_factory=dict)

    def learn(self, script: int, live: int) -> None:
        """An outbound packet showed what the script's value is on the wire."""
        if self.script is None:
            self.script, self.live = script, live
        self.pairs[script] = live

    def to_live(self, script: int) -> int:
        """What the wire has for the script's value; the value itself before any is known."""
        if script in self.pairs:
            return self.pairs[script]
        # RFC 7323 3.2: zero is no echo, but that of nothing.
        return script if self.script is None or not script else (script - self.script + self.live) % MODULUS

    def to_script(self, live: int) -> int:
        """The script's value for one of the wire."""
        return live if self.script is None else (live - self.live + self.script) % MODULUS


@dataclass(slots=True)
class Flow:
    """A connection as the script sees it."""

    local: Endpoint
    remote: Endpoint
    active: bool
    """The system opened it."""
    script_ports: tuple[int, int] | None = None
    """(remote, local) as the script names them in its packets."""
    socket: DrillSocket | None = None
    """The descriptor's socket; None until the connection is accepted."""
    local_origin: int | None = None
    """What to add to the script's number for one of the system's; None until its SYN was seen."""
    script_isn: int = 0
    """The number that the script gives to the system's SYN."""
    remote_isn: int | None = None
    """The number of the script's own SYN."""
    reopening: int | None = None
    """The number of another SYN: of another connection, should the system answer with a SYN of its own."""
    timestamps: TimestampMap = field(default_factory=TimestampMap)
    written: bytearray = field(default_factory=bytearray)
    """All that the script's calls wrote."""
    writing: bool = False
    """A call sleeps that has more to write."""
    read: int = 0
    """Octets that the script's calls have read."""
    plain: bool = True
    """All that came in is ``filler``, with nothing urgent: what is read can be checked."""
    sent: deque[Sent] = field(default_factory=deque)
    outstanding: Outstanding = field(default_factory=Outstanding)

    def local_seq(self, script: int) -> int:
        """A number of the system's direction, as it is on the wire."""
        return (script + (self.local_origin or 0)) % MODULUS

    def script_seq(self, live: int) -> int:
        """A number of the system's direction, as the script has it."""
        return (live - (self.local_origin or 0)) % MODULUS

    def note_syn(self, isn: int) -> None:
        """The script's side sends a SYN: where its stream begins."""
        if self.remote_isn is None:
            self.remote_isn = isn % MODULUS
        elif self.remote_isn != isn % MODULUS:
            self.reopening = isn % MODULUS

    def learn_syn(self, live: int, script: int) -> None:
        """The system sent a SYN with the number ``live``, where the script has ``script``: where its stream begins."""
        if self.reopening is not None:
            self.remote_isn, self.reopening = self.reopening, None
            self.local_origin, self.socket = None, None
            self.written.clear()
            self.read = 0
        if self.local_origin is None:
            self.script_isn = script
            self.local_origin = (live - script) % MODULUS

    def inbound_offset(self, seq: int) -> int:
        """Where in the stream that comes in an octet stands; the first one follows the SYN."""
        return signed(seq - (self.remote_isn or 0) - 1)

    def outbound_offset(self, script_seq: int) -> int:
        """Where in what was written an octet stands, by the script's number, which is 1 for the first one."""
        return signed(script_seq - self.script_isn - 1)


def signed(number: int) -> int:
    """The difference of two sequence numbers, as the shorter way round."""
    return (number + MODULUS // 2) % MODULUS - MODULUS // 2
