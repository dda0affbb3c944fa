"""The TCP header and its payload as a value, every number as it stands on the wire (RFC 9293 3.1)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

from userstack.wire.ip import Buffer

FIN = 0x001
SYN = 0x002
RST = 0x004
PSH = 0x008
ACK = 0x010
URG = 0x020
ECE = 0x040
CWR = 0x080
AE = 0x100
"""Accurate ECN (RFC 9768), the former NS bit."""

FLAG_NAMES = (
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
EOL = 0
NOP = 1
MSS = 2
WINDOW_SCALE = 3
SACK_PERMITTED = 4
SACK = 5
TIMESTAMPS = 8
MD5 = 19
FAST_OPEN = 34
EXPERIMENT = 254
FAST_OPEN_MAGIC = b"\xf9\x89"
"""What tells the experimental Fast Open option from others of kind 254 (RFC 7413 4.1.1, 9)."""


class Option(NamedTuple):
    """One option: its kind, and the octets after kind and length. EOL and NOP have no data (MUST-68)."""

    kind: int
    data: bytes = b""


option_of: Callable[[tuple[int, bytes]], Option] = partial(tuple.__new__, Option)
"""Makes one of both, for the data path: not by the function in Python that every NamedTuple has for that."""


@dataclass(slots=True)
class TcpSegment:
    """A TCP segment. ``options`` stand in their order on the wire; an EOL, where there is one, is the last of them."""

    source_port: int
    destination_port: int
    seq: int
    ack: int = 0
    flags: int = 0
    window: int = 0
    urgent_pointer: int = 0
    options: tuple[Option, ...] = ()
    payload: Buffer = b""
    reserved: int = 0
    """The three bits between the data offset and AE."""
    bad_options: bool = False
    """An option's length was illegal (below 2, or past the header): those before it stand in ``options`` (MUST-7). Not written."""
    ecn: int = 0
    """The ECN field of the IP header that it came in, or is to go out in (RFC 3168 5). Not written: that is IP's part."""
    header: int = field(default=0, compare=False)
    """Octets of the header that it came in, options and whatever pads them included; 0: it did not come from a wire."""
    more: tuple[Buffer, ...] = ()
    """What follows ``payload``, where a text is sent that lies in several pieces."""
    gso_size: int = 0
    """Octets of text in each of the segments into which the device is to cut it; 0: it is one segment. Not written."""


@lru_cache(1 << 9)
def flag_names(flags: int) -> str:
    """``"SYN,ACK"``: the control bits as RFC 9293 writes them; ``"none"`` where no bit is set."""
    return ",".join(name for bit, name in FLAG_NAMES if flags & bit) or "none"
