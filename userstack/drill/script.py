"""A packetdrill script as a value: what the parser gives and the runner takes.

Times are in nanoseconds. Sequence numbers, acknowledgements and windows stand as the script has them: relative to the first SYN of
their direction, unscaled.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path


class Place:
    """Where something stands in a script; lines and columns begin with 1."""

    __slots__ = ("column", "line", "path")

    def __init__(self, path: Path, line: int, column: int) -> None:
        self.path = path
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


# --- values of arguments and results ---


@dataclass(frozen=True, slots=True)
class Number:
    """``1460``, ``0x2``, ``-1``, ``0.5``."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text:
    """A string in quotes: the octets meant."""

    value: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """``SOCK_STREAM``: a constant, or a name that ``-D``/``--define`` gives."""

    name: str


@dataclass(frozen=True, slots=True)
class Anything:
    """``...``: whatever it may be."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``a|b``, and the rare others: ``operator`` is its text, ``operands`` are one or two."""

    operator: str
    operands: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class Sequence:
    """``[1, 2]``: an array, or the place that a pointer argument points at."""

    items: "tuple[Value, ...]"


@dataclass(frozen=True, slots=True)
class Structure:
    """``{fd=3, events=POLLIN}`` or, without names, ``{"abc", 3}`` (names are then None); ``msg_iov(1)=...`` has the count 1."""

    fields: "tuple[Field, ...]"

    def get(self, name: str) -> "Value | None":
        """The value of the field of that name; None where it is not there."""
        return next((one.value for one in self.fields if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a structure."""

    name: str | None
    value: "Value"
    count: "Value | None" = None


@dataclass(frozen=True, slots=True)
class Call:
    """``htons(8080)``, ``inet_addr("192.0.2.1")``: a function within an argument."""

    name: str
    arguments: "tuple[Value, ...]"


Value = Number | Text | Symbol | Anything | Operation | Sequence | Structure | Call


# --- when ---


class Base(Enum):
    """What a time counts from."""

    ABSOLUTE = auto()
    """The start of the script: ``0.1``."""
    RELATIVE = auto()
    """The event before: ``+0.1``."""
    ANY = auto()
    """``*``: at no time in particular."""


@dataclass(frozen=True, slots=True)
class When:
    """When an event happens: at ``start``; with ``end`` anywhere from ``start`` to ``end`` (``+0~+0.1``)."""

    base: Base
    start: int = 0
    end: int | None = None


# --- packets ---


@dataclass(frozen=True, slots=True)
class IpFields:
    """What stands in brackets before the flags. None is not said: inbound it is the default, outbound anything."""

    ecn: int | None = None
    """The two ECN bits: 0 noecn, 1 ect1, 2 ect0, 3 ce."""
    any_ect: bool = False
    """``[ect01]``: outbound, one of ect0 and ect1."""
    tos: int | None = None
    ttl: int | None = None
    flow_label: int | None = None


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """A TCP option: ``kind`` as on the wire.

    ``values`` by kind: MSS (2) and window scale (3): one number; SACK (5): the edges, left and right in turn, relative to the
    script's numbers; timestamps (8): value and echo; the others ``data``. A None among ``values`` is any number.
    """

    kind: int
    values: tuple[int | None, ...] = ()
    data: bytes | None = None
    """The octets after kind and length of an option given by them: FO, FOEXP (kind 254 with its magic), md5, unknown ones."""


@dataclass(frozen=True, slots=True)
class TcpSpec:
    """``S. 0:0(0) ack 1 win 5792 urg 3 <mss 1460>``."""

    flags: int
    """The bits of ``userstack.wire.tcp``; -1: any."""
    seq: int
    end: int
    length: int
    """Octets of payload, as the parentheses say; ``end - seq`` where the script is right."""
    ack: int | None = None
    window: int | None = None
    urgent: int | None = None
    options: tuple[OptionSpec, ...] | None = ()
    """None: ``<...>``, any options at all. Empty: no options."""
    payload: bytes | None = None
    """Octets given in the script; None: whatever was written (outbound), zeros (inbound)."""
    absolute_seq: bool = False
    """The numbers are taken as they are, with no initial sequence number added."""
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True, slots=True)
class IcmpSpec:
    """``icmp unreachable frag_needed mtu 1200 [1:1461(1460)]``; the names are those of the IP version."""

    type_name: str
    code_name: str | None
    mtu: int | None = None
    quoted: TcpSpec | None = None
    """The segment that the message quotes; only SEQ, length and, where given, ports and ACK matter."""


@dataclass(frozen=True, slots=True)
class PacketEvent:
    """A packet that comes in (``<``) or must go out (``>``)."""

    inbound: bool
    content: TcpSpec | IcmpSpec
    ip: IpFields = IpFields()


# --- other events ---


@dataclass(frozen=True, slots=True)
class SystemCall:
    """``connect(3, ..., ...) = -1 EINPROGRESS``; it blocks where ``end`` says when it returns (``+0...0.2``)."""

    name: str
    arguments: tuple[Value, ...]
    result: Value
    errno: str | None = None
    blocking: bool = False
    end: int | None = None
    """When a call that blocks returns, on the base of the event's own time; None where it does not block."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """``%{ ... }%``: Python, dedented."""

    source: str
    line: int = field(default=1, compare=False)
    """That of the script which is the first of ``source``."""


@dataclass(frozen=True, slots=True)
class Command:
    """What stands in backquotes: a shell command."""

    text: str


Action = PacketEvent | SystemCall | CodeBlock | Command


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the script."""

    place: Place
    when: When
    action: Action
    text: str = ""
    """As it stands in the script, for messages."""


@dataclass(frozen=True, slots=True)
class Script:
    """A whole script.

    ``options`` are the ``--name=value`` lines: a bare ``--name`` has the value ``""``, the last of a name counts. ``defines`` are
    the ``--define=NAME=VALUE`` ones and those of the command line.
    """

    path: Path
    events: tuple[Event, ...]
    options: dict[str, str] = field(default_factory=dict)
    defines: dict[str, str] = field(default_factory=dict)
    initial: tuple[Command, ...] = ()
    """Commands before the first event, which have no time."""
    final: tuple[Command, ...] = ()
    """Commands after the last one."""
