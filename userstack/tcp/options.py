"""What the options of a segment mean (RFC 9293 3.2); their octets are the codec's business."""

from userstack.wire.tcp import MSS, Option

DEFAULT_MSS_IPV4 = 536
DEFAULT_MSS_IPV6 = 1220


def default_mss(address: bytes) -> int:
    """What a peer that names no MSS is taken to accept (MUST-15), in octets."""
    return DEFAULT_MSS_IPV4 if len(address) == 4 else DEFAULT_MSS_IPV6


def header_size(address: bytes) -> int:
    """The fixed IP and TCP headers, in octets."""
    return 40 if len(address) == 4 else 60


def mss_option(mss: int) -> Option:
    """The MSS option (RFC 9293 3.7.1)."""
    return Option(MSS, min(mss, 0xFFFF).to_bytes(2, "big"))


def read_mss(options: tuple[Option, ...]) -> int | None:
    """The MSS that a SYN names; None where it names none, or one of a wrong length or of zero."""
    for option in options:
        if option.kind == MSS and len(option.data) == 2:
            return int.from_bytes(option.data, "big") or None
    return None
