"""What happened, as values. Law: nothing here draws or prints; ladder, JSON lines and verdict all read these same records.

Times are nanoseconds since the observation began. ``local`` is always this stack's end, ``remote`` the other one.
"""

from dataclasses import dataclass
from enum import StrEnum

from userstack.address import Endpoint

UNKNOWN = "?"
"""A state that could not be read. It is shown as it is: no state is ever guessed."""

PREVIEW = 48


class Mark(StrEnum):
    """What is remarkable about a segment, seen from the wire alone."""

    RETRANSMISSION = "retransmission"
    OUT_OF_ORDER = "out of order"
    DUPLICATE_ACK = "duplicate ACK"
    ACKED_AGAIN = "acknowledged again"
    ZERO_WINDOW = "zero window"


class Phase(StrEnum):
    """Which step of the handshake (RFC 9293 3.5) or of the close (3.6) a segment is."""

    SYN = "1/3"
    SYN_ACK = "2/3"
    HANDSHAKE_ACK = "3/3"
    CROSSED_SYN = "crossed"
    FIRST_FIN = "1/4"
    FIRST_FIN_ACK = "2/4"
    SECOND_FIN = "3/4"
    MERGED_FIN = "2+3/4"
    SECOND_FIN_ACK = "4/4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """One TCP segment between the two ends, and the state of both once it was dealt with."""

    time: int
    local: Endpoint
    remote: Endpoint
    sent: bool
    """True for one of ours, False for one that came in."""
    flags: int
    seq: int
    """Relative: the SYN of this direction has 0. It never wraps."""
    ack: int | None
    """Relative to the other direction's SYN; None where the ACK bit is not set."""
    wire_seq: int
    wire_ack: int
    length: int
    """Octets of payload."""
    window: int
    """In octets, scaled where both ends have agreed to."""
    options: tuple[str, ...]
    ours: str
    """This stack's state after the segment was sent or processed."""
    peer: str
    """The other end's state as its kernel told it, or ``UNKNOWN``."""
    phase: Phase | None = None
    marks: tuple[Mark, ...] = ()
    note: str = ""
    lost: bool = False
    """It was taken off the link on purpose and never arrived."""
    urgent_pointer: int | None = None
    """As the field has it; None without URG."""
    preview: bytes = b""
    """The first octets of the payload, at most ``PREVIEW``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A transition of ours."""

    time: int
    local: Endpoint
    remote: Endpoint | None
    old: str
    new: str
    cause: str
    clause: str
    """``RFC 9293 3.10.7.2``, always with the RFC's name."""
    spent: int | None
    """Nanoseconds in the old state; None where its beginning was not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A timer of a connection of ours fired."""

    time: int
    local: Endpoint
    remote: Endpoint | None
    timer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The last record of a connection of ours is gone."""

    time: int
    local: Endpoint
    remote: Endpoint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """A packet came in and was thrown away, counted under ``counter``."""

    time: int
    counter: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A run of plain data and acknowledgements that is told in one line."""

    time: int
    """Of the last of them."""
    local: Endpoint
    remote: Endpoint
    segments_sent: int
    segments_received: int
    bytes_sent: int
    bytes_received: int


Step = Arrow | Move | Alarm | Release | Discard | Folded
