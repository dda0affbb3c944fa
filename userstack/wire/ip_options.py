"""The options of the IPv4 header (RFC 791 3.1): one that is not understood is passed over (RFC 1122 3.2.1.8, RFC 9293 MUST-50).

Record Route and Timestamp (MAY-10, MAY-11) are among those: they are for people who look at paths, routers have long stopped to
fill them in (RFC 7126 4.6, 4.7), and no call of TCP's could hand on what they hold.
"""

from typing import Final, NamedTuple

from userstack.wire.codec import ParameterProblem
from userstack.wire.ip import Buffer

END: Final = 0
NOP: Final = 1
LOOSE_SOURCE_ROUTE: Final = 131
STRICT_SOURCE_ROUTE: Final = 137

_FIXED: Final = 20
"""Octets of the header before its options: what the pointer of a parameter problem counts from the beginning of."""


class IpOption(NamedTuple):
    """An option with a length: its type, its octets after the length, and where in the header it stands."""

    kind: int
    data: bytes
    at: int


def split_ip_options(octets: Buffer) -> list[IpOption]:
    """The options in their order, without NOP and END.

    Raises:
        ParameterProblem: one has a length that cannot be; its source is to be told (RFC 1122 3.2.2.5).
    """
    at, end = 0, len(octets)
    found = []
    while at < end and octets[at] != END:
        if octets[at] == NOP:
            at += 1
            continue
        after = at + octets[at + 1] if at + 1 < end else 0
        if not at + 2 <= after <= end:
            raise bad_option("an IP option whose length cannot be", _FIXED + at)
        found.append(IpOption(octets[at], bytes(octets[at + 2 : after]), _FIXED + at))
        at = after
    return found


def bad_option(message: str, pointer: int) -> ParameterProblem:
    """What is told the source of a packet with an option that is wrong at the octet ``pointer`` of its header."""
    return ParameterProblem("IpInHdrErrors", message, code=0, pointer=pointer)
