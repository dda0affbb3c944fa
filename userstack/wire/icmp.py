"""The ICMP message (RFC 792) as a value; ICMPv6 (RFC 4443) has the same shape."""

from dataclasses import dataclass
from typing import Final

from userstack.wire.ip import Buffer

ECHO_REPLY: Final = 0
DESTINATION_UNREACHABLE: Final = 3
SOURCE_QUENCH: Final = 4
ECHO_REQUEST: Final = 8
TIME_EXCEEDED: Final = 11
PARAMETER_PROBLEM: Final = 12

ERRORS: Final = frozenset({DESTINATION_UNREACHABLE, SOURCE_QUENCH, TIME_EXCEEDED, PARAMETER_PROBLEM})


@dataclass(slots=True)
class IcmpMessage:
    """An ICMP message: ``rest`` is the 32-bit word after the checksum, ``payload`` what follows it."""

    type: int
    code: int
    rest: int = 0
    payload: Buffer = b""
