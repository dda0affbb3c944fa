"""What the words of a script mean: times, numbers, strings, octets, code. A wrong one is a ``ValueError`` in plain words."""

import ast
import re
import textwrap

from userstack.config import SECOND

_DECIMALS = len(str(SECOND)) - 1
_MOST_DIGITS = 6
"""Of whole seconds: a script's own times are minutes, and those of TCP's timers hours."""
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_NAMED_ESCAPES = {"a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, **{char: ord(char) for char in "\\'\"?"}}


def nanoseconds(text: str) -> int:
    """``"0.5"`` seconds in nanoseconds; no float stands between."""
    whole, _, fraction = text.partition(".")
    if len(whole.lstrip("0")) > _MOST_DIGITS:
        raise ValueError("a time is less than a million seconds")
    return int(whole or "0") * SECOND + int(fraction[:_DECIMALS].ljust(_DECIMALS, "0"))


def number(text: str) -> int | float:
    """``1460``, ``-1``, ``0x2``, ``.5``. Note: a leading 0 makes no octal number; packetdrill reads its integers with atoll(3)."""
    if "x" in text or "X" in text:
        return int(text, 16)
    return float(text) if "." in text else int(text)


def string(literal: str) -> bytes:
    """The octets of a string in quotes, with the escapes of C."""
    octets = bytearray()
    body = literal[1:-1]
    position = 0
    for match in _ESCAPE.finditer(body):
        octets += body[position : match.start()].encode(errors="surrogateescape")
        octets.append(_escaped(match[1]))
        position = match.end()
    return bytes(octets) + body[position:].encode(errors="surrogateescape")


def _escaped(code: str) -> int:
    if code[0] == "x" and len(code) > 1:
        return int(code[1:], 16)
    if code[0] in "01234567":
        if int(code, 8) > 0xFF:
            raise ValueError(f"\\{code} is no octet")
        return int(code, 8)
    if code not in _NAMED_ESCAPES:
        raise ValueError(f"C knows no escape \\{code}")
    return _NAMED_ESCAPES[code]


def octets(text: str) -> bytes | None:
    """``0f1e`` or ``[0x0f, 30]``; None where it is a name."""
    if text.startswith("["):
        try:
            return bytes(int(number(item)) for item in re.split(r"[\s,]+", text[1:-1].strip()) if item)
        except ValueError:
            raise ValueError("octets in brackets are numbers from 0 to 255") from None
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if not re.fullmatch(r"[0-9A-Fa-f]+", digits):
        return None
    if len(digits) % 2:
        raise ValueError("octets take two hexadecimal digits each, and this is an odd number of digits")
    return bytes.fromhex(digits)


def code(block: str, column: int) -> str:
    """The Python of a ``%{ ... }%`` block that stands at ``column``, without the indentation that it has in common.

    The first line may stand behind the opening braces, and scripts line up those below it with it, or with the margin: it is read
    in the way that makes it Python; where none does, as if lined up.
    """
    body = block.removeprefix("%{").removesuffix("}%").rstrip()
    first, _, rest = body.partition("\n")
    if not rest.strip():
        return first.strip()
    rest = rest.expandtabs()
    if not first.strip():
        return textwrap.dedent(rest)
    aligned = textwrap.dedent(" " * (column + len("%{") - 1) + first.expandtabs() + "\n" + rest)
    margin = first.strip() + "\n" + textwrap.dedent(rest)
    nested = first.strip() + "\n" + textwrap.indent(textwrap.dedent(rest), "    ")
    return next((source for source in (aligned, margin, nested) if _is_python(source)), aligned)


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
