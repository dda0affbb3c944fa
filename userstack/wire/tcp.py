"""The TCP header and its payload as a value, every number as it stands on the wire (RFC 9293 3.1)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final, NamedTuple

from userstack.wire.ip import Buffer

FIN: Final = 0x001
SYN: Final = 0x002
RST: Final = 0x004
PSH: Final = 0x008
ACK: Final = 0x010
URG: Final = 0x020
ECE: Final = 0x040
CWR: Final = 0x080
AE: Final = 0x100
"""Accurate ECN (RFC 9768), the former NS bit."""

FLAG_NAMES: Final = (
    (SYN, "SYN"),
    (FIN, "FIN"),
    (RST, "RST"),
    (PSH, "PSH"),
    (ACK, "ACK"),
    (URG, "URG"),
    (ECE, "ECE"),
    (CWR, "CWR"),
    (AE, "AE"),
)

# Option kinds of RFC 9293 3.2 and the IANA registry.
EOL: Final = 0
NOP: Final = 1
MSS: Final = 2
WINDOW_SCALE: Final = 3
SACK_PERMITTED: Final = 4
SACK: Final = 5
TIMESTAMPS: Final = 8
MD5: Final = 19
FAST_OPEN: Final = 34
EXPERIMENT: Final = 254
FAST_OPEN_MAGIC: Final = b"\xf9\x89"
"""What tells the experimental Fast Open option from others of kind 254 (RFC 7413 4.1.1, 9)."""


class Option(NamedTuple):
    """One option: its kind, and the octets after kind and length. EOL and NOP have no data (MUST-68)."""

    kind: int
    data: bytes = b""


option_of: Callable[[tuple[int, bytes]], Option] = partial(tuple.__new__, Option)
"""Makes one of both, for the data path: not by the function in Python that every NamedTuple has for that."""


@dataclass(slots=True, init=False)
class TcpSegment:
    """A TCP segment. ``options`` stand in their order on the wire; an EOL, where there is one, is the last of them."""

    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent_pointer: int
    options: tuple[Option, ...]
    payload: Buffer
    reserved: int
    """The three bits between the data offset and AE."""
    bad_options: bool
    """An option's length was illegal (below 2, or past the header): those before it stand in ``options`` (MUST-7). Not written."""
    ecn: int
    """The ECN field of the IP header that it came in, or is to go out in (RFC 3168 5). Not written: that is IP's part."""
    header: int = field(compare=False)
    """Octets of the header that it came in, options and whatever pads them included; 0: it did not come from a wire."""
    more: tuple[Buffer, ...]
    """What follows ``payload``, where a text is sent that lies in several pieces."""
    gso_size: int
    """Octets of text in each of the segments into which the device is to cut it; 0: it is one segment. Not written."""

    # Written out, for mypyc leaves that of ``dataclass`` to the interpreter: it would be a third of what decoding a segment takes.
    def __init__(  # noqa: PLR0917 # the fields
        self,
        source_port: int,
        destination_port: int,
        seq: int,
        ack: int = 0,
        flags: int = 0,
        window: int = 0,
        urgent_pointer: int = 0,
        options: tuple[Option, ...] = (),
        payload: Buffer = b"",
        reserved: int = 0,
        bad_options: bool = False,
        ecn: int = 0,
        header: int = 0,
        more: tuple[Buffer, ...] = (),
        gso_size: int = 0,
    ) -> None:
        self.source_port = source_port
        self.destination_port = destination_port
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.window = window
        self.urgent_pointer = urgent_pointer
        self.options = options
        self.payload = payload
        self.reserved = reserved
        self.bad_options = bad_options
        self.ecn = ecn
        self.header = header
        self.more = more
        self.gso_size = gso_size


@lru_cache(1 << 9)
def flag_names(flags: int) -> str:
    """``"SYN,ACK"``: the control bits as RFC 9293 writes them; ``"none"`` where no bit is set."""
    return ",".join(name for bit, name in FLAG_NAMES if flags & bit) or "none"
