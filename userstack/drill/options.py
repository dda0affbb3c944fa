"""TCP options of the script to those of the wire and back (RFC 9293 3.2, 7323, 2018)."""

from collections.abc import Callable

from userstack.drill.script import OptionSpec
from userstack.wire.ip import Buffer
from userstack.wire.tcp import EOL, MSS, NOP, SACK, TIMESTAMPS, WINDOW_SCALE, Option

_WIDTH = {MSS: 2, WINDOW_SCALE: 1, SACK: 4, TIMESTAMPS: 4}
"""Octets of each number of the options that are made of numbers."""
_FIXED, _OFFSET = 20, 12
"""Octets of a TCP header without options, and where in it the octet stands that says how long it is with them."""


def encode(spec: OptionSpec) -> Option:
    """The option as it goes on the wire, its numbers being live ones already; a number that is anything becomes 0."""
    if spec.data is not None:
        return Option(spec.kind, spec.data)
    width = _WIDTH.get(spec.kind, 0)
    return Option(spec.kind, b"".join(((value or 0) % (1 << 8 * width)).to_bytes(width, "big") for value in spec.values))


def decode(option: Option) -> OptionSpec:
    """The option as the script writes it; its octets where their number is not what its kind wants."""
    width = _WIDTH.get(option.kind)
    if width is None:
        return OptionSpec(option.kind, data=option.data or None)
    if not option.data or len(option.data) % width:
        return OptionSpec(option.kind, data=option.data)
    numbers = (int.from_bytes(option.data[at : at + width], "big") for at in range(0, len(option.data), width))
    return OptionSpec(option.kind, tuple(numbers))


def padding(header: Buffer, options: tuple[Option, ...]) -> tuple[OptionSpec, ...]:
    """What follows the EOL in a TCP header, octet by octet: options have ended there, and a script has them to the header's end."""
    if not options or options[-1].kind != EOL:
        return ()
    listed = sum(1 if option.kind in (EOL, NOP) else 2 + len(option.data) for option in options)
    return tuple(OptionSpec(octet) for octet in bytes(header[_FIXED + listed : (header[_OFFSET] >> 4) * 4]))


def mapped(options: tuple[OptionSpec, ...], numbers: dict[int, Callable[[int, int], int]]) -> tuple[OptionSpec, ...]:
    """The options with the numbers of some kinds changed: each function gets a number and its place in the option."""
    changed = []
    for option in options:
        change = numbers.get(option.kind)
        if change is None or option.data is not None:
            changed.append(option)
        else:
            values = (None if value is None else change(value, at) for at, value in enumerate(option.values))
            changed.append(OptionSpec(option.kind, tuple(values)))
    return tuple(changed)


def matches(expected: tuple[OptionSpec, ...], got: tuple[OptionSpec, ...]) -> bool:
    """The same options in the same order; a number that is anything matches any."""
    return len(expected) == len(got) and all(_same(one, other) for one, other in zip(expected, got, strict=True))


def _same(expected: OptionSpec, got: OptionSpec) -> bool:
    if expected.kind != got.kind or (expected.data or None) != (got.data or None) or len(expected.values) != len(got.values):
        return False
    return all(value is None or value == seen for value, seen in zip(expected.values, got.values, strict=True))
