"""TCP options as people write them, in tcpdump's words."""

from collections.abc import Iterable

from userstack.wire import tcp
from userstack.wire.tcp import Option

_NAMES = {tcp.EOL: "eol", tcp.NOP: "nop", tcp.MD5: "md5", tcp.EXPERIMENT: "exp"}


def describe_option(option: Option) -> str:
    """``mss 1460``, ``sackOK``, ``TS val 5 ecr 0``, ``wscale 7``; an option of the wrong length or unknown kind as its octets."""
    kind, data = option
    text = _octets(kind, data)
    match kind, len(data):
        case tcp.MSS, 2:
            text = f"mss {int.from_bytes(data, 'big')}"
        case tcp.WINDOW_SCALE, 1:
            text = f"wscale {data[0]}"
        case tcp.SACK_PERMITTED, 0:
            text = "sackOK"
        case tcp.TIMESTAMPS, 8:
            text = f"TS val {int.from_bytes(data[:4], 'big')} ecr {int.from_bytes(data[4:], 'big')}"
        case tcp.SACK, size if size and size % 8 == 0:
            text = f"sack {_edges(data)}"
        case tcp.FAST_OPEN, _:
            text = f"tfo {data.hex() or 'cookiereq'}"
        case _:
            pass
    return text


def describe_options(options: Iterable[Option]) -> tuple[str, ...]:
    """All of them in their order on the wire."""
    return tuple(describe_option(option) for option in options)


def window_scale(options: Iterable[Option]) -> int | None:
    """The shift that a SYN offers (RFC 7323 2.3: above 14 it counts as 14); None where it offers none."""
    for kind, data in options:
        if kind == tcp.WINDOW_SCALE and len(data) == 1:
            return min(data[0], 14)
    return None


def _edges(data: bytes) -> str:
    numbers = [int.from_bytes(data[at : at + 4], "big") for at in range(0, len(data), 4)]
    return "".join(f"{{{left}:{right}}}" for left, right in zip(numbers[::2], numbers[1::2], strict=True))


def _octets(kind: int, data: bytes) -> str:
    return " ".join(filter(None, (_NAMES.get(kind, f"opt-{kind}"), data.hex())))
