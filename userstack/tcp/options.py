"""What the options of a SYN mean (RFC 9293 3.2, RFC 7323 2.2, 3.2); their octets are the codec's business."""

from dataclasses import dataclass
from typing import Final

from userstack.tcp.fastopen import Cookie, read_cookie, write_cookie
from userstack.tcp.layout import LAYOUTS
from userstack.tcp.timestamps import encode, read_timestamps
from userstack.wire.tcp import EOL, EXPERIMENT, FAST_OPEN, MSS, NOP, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE, Option, option_of

_FAST_OPEN: Final = (FAST_OPEN, EXPERIMENT)
_SACK_PERMITTED: Final = Option(SACK_PERMITTED)
_PADDING: Final = Option(EOL), Option(NOP)
DEFAULT_MSS_IPV4: Final = 536
DEFAULT_MSS_IPV6: Final = 1220


def default_mss(address: bytes) -> int:
    """What a peer that names no MSS is taken to accept (MUST-15), in octets."""
    return DEFAULT_MSS_IPV4 if len(address) == 4 else DEFAULT_MSS_IPV6


def header_size(address: bytes) -> int:
    """The fixed IP and TCP headers, in octets."""
    return 40 if len(address) == 4 else 60


@dataclass(slots=True, init=False)
class SynOptions:
    """What a SYN says beside its header; None where it does not say."""

    mss: int | None
    window_scale: int | None
    """As it stands in the option, above 14 too."""
    timestamps: tuple[int, int] | None
    """TSval and TSecr."""
    sack_permitted: bool
    fast_open: Cookie | None
    """RFC 7413 4.1.1."""

    def __init__(  # written out for mypyc, as that of TcpSegment
        self,
        mss: int | None = None,
        window_scale: int | None = None,
        timestamps: tuple[int, int] | None = None,
        sack_permitted: bool = False,
        fast_open: Cookie | None = None,
    ) -> None:
        self.mss = mss
        self.window_scale = window_scale
        self.timestamps = timestamps
        self.sack_permitted = sack_permitted
        self.fast_open = fast_open


def read_syn(options: tuple[Option, ...]) -> SynOptions:
    """The options of a SYN. One of a wrong length, or an MSS of zero, is passed over; of two of a kind the last counts.

    Note: no RFC says which does; Linux and FreeBSD let the last overwrite the one before.
    """
    found = SynOptions()
    for kind, data in options:
        if kind == MSS:
            if len(data) == 2:
                found.mss = int.from_bytes(data, "big") or found.mss
        elif kind == TIMESTAMPS:
            found.timestamps = read_timestamps(options)
        elif kind == SACK_PERMITTED:
            found.sack_permitted |= not data
        elif kind == WINDOW_SCALE:
            if len(data) == 1:
                found.window_scale = data[0]
        elif kind in _FAST_OPEN:
            found.fast_open = read_cookie(options)
    return found


def write_syn(syn: SynOptions, layout: str) -> tuple[Option, ...]:
    """The options of a SYN in the order that the layout of that name has for them."""
    found: dict[int, Option] = {}
    if syn.mss is not None:
        found[MSS] = option_of((MSS, min(syn.mss, 0xFFFF).to_bytes(2, "big")))
    if syn.window_scale is not None:
        found[WINDOW_SCALE] = option_of((WINDOW_SCALE, bytes((syn.window_scale,))))
    if syn.timestamps is not None:
        found[TIMESTAMPS] = encode(*syn.timestamps)
    if syn.sack_permitted:
        found[SACK_PERMITTED] = _SACK_PERMITTED
    options = tuple([found[kind] if kind > NOP else _PADDING[kind] for kind in LAYOUTS[layout][frozenset(found)]])
    if syn.fast_open is None:
        return options
    return tuple(option for option in options if option.kind != EOL) + write_cookie(syn.fast_open)  # both systems have it last
