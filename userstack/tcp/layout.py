"""In which order a SYN carries its options, and how they are padded: what tells one stack's SYN from another's.

The names are tcpdump's. A layout has one line for each set of options beside the MSS, which a SYN always names (SHLD-5).
"""

from typing import Final

from userstack.wire.tcp import EOL, MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE

_KINDS: Final = {"mss": MSS, "wscale": WINDOW_SCALE, "sackOK": SACK_PERMITTED, "TS": TIMESTAMPS, "nop": NOP, "eol": EOL}

_LINES: Final = {
    "linux": (
        "mss",
        "mss nop wscale",
        "mss nop nop sackOK",
        "mss nop nop sackOK nop wscale",
        "mss nop nop TS",
        "mss nop nop TS nop wscale",
        "mss sackOK TS",
        "mss sackOK TS nop wscale",
    ),
    "freebsd": (
        "mss",
        "mss nop wscale",
        "mss sackOK eol",
        "mss nop wscale sackOK eol",
        "mss nop nop TS",
        "mss nop wscale nop nop TS",
        "mss sackOK TS",
        "mss nop wscale sackOK TS",
    ),
}


def _kinds(line: str) -> tuple[int, ...]:
    return tuple(_KINDS[name] for name in line.split())


LAYOUTS: Final = {
    name: {frozenset(kind for kind in _kinds(line) if kind > NOP): _kinds(line) for line in lines} for name, lines in _LINES.items()
}
"""By name of the layout and set of options: the kinds in their order, padding included."""
