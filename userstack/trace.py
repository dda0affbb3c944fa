"""What the stack tells those who watch it: one small value for each thing that happened, handed to an injected callable.

The core never prints and never logs. Whoever made it may pass a ``Tracer``; ladder, transition log, capture and tests are all
tracers. Times are the stack's own clock, in nanoseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

from userstack.address import Endpoint


@dataclass(frozen=True, slots=True)
class PacketReceived:
    """An IP packet came in from the link, before anything was checked."""

    time: int
    packet: bytes


@dataclass(frozen=True, slots=True)
class PacketSent:
    """An IP packet was built and handed to the link."""

    time: int
    packet: bytes


@dataclass(frozen=True, slots=True)
class PacketDropped:
    """A packet that came in was thrown away; ``counter`` is the counter that it raised."""

    time: int
    packet: bytes
    counter: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A connection went from one state of RFC 9293 3.3.2 to another."""

    time: int
    local: Endpoint
    remote: Endpoint | None
    old: str
    new: str
    cause: str
    """What made it move: ``segment SYN,ACK``, ``call CLOSE``, ``timer TIME-WAIT``."""
    clause: str
    """The rule that was applied: ``RFC 9293 3.10.7.3 step 4``."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A deadline of a connection came: ``retransmission``, ``persist``, ``FIN-WAIT-2``, ``TIME-WAIT``, ``R2``, ``user timeout``."""

    time: int
    local: Endpoint
    remote: Endpoint | None
    timer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Freed:
    """The last record of a connection (TCB or TIME-WAIT record) is gone."""

    time: int
    local: Endpoint
    remote: Endpoint | None


@dataclass(frozen=True, slots=True)
class AddressAssigned:
    """No other node on the link has this IPv6 address of ours (RFC 4862 5.4): it is used from now on."""

    time: int
    address: bytes
    """Packed."""


@dataclass(frozen=True, slots=True)
class AddressDuplicate:
    """Another node on the link has this IPv6 address of ours, or wants it at the same time (RFC 4862 5.4.5): it is never used."""

    time: int
    address: bytes
    """Packed."""


Event = PacketReceived | PacketSent | PacketDropped | Transition | TimerFired | Freed | AddressAssigned | AddressDuplicate
Tracer = Callable[[Event], None]
