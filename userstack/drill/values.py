"""Arguments of the script's calls as numbers, octets and addresses."""

import errno
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from userstack.address import Endpoint, pack_address
from userstack.drill.errors import NotSupported
from userstack.drill.script import (
    Anything,
    Call,
    Field,
    Number,
    Operation,
    Sequence,
    Structure,
    Symbol,
    Text,
    Value,
)

INT = struct.Struct("@i")


class BadArgument(Exception):
    """The script gives a call something that it does not take; the text says what."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads values; ``constants`` knows the system's symbols, ``defines`` what the command line gave."""

    constants: Callable[[str], int | None]
    defines: Mapping[str, str]

    def number(self, value: Value) -> int:
        """A whole number.

        Raises:
            BadArgument: it is none.
            NotSupported: a symbol is not known.
        """
        match value:
            case Number(int() as number):
                return number
            case Symbol(name):
                return self._symbol(name)
            case Operation(operator, operands):
                return _operate(operator, [self.number(operand) for operand in operands])
            case Call("htons" | "htonl" | "ntohs" | "ntohl", (argument,)):
                # Note: numbers stay as people say them; the host's order is the socket's business.
                return self.number(argument)
            case Sequence((item,)):
                return self.number(item)
            case _:
                raise BadArgument(f"{describe(value)} is no number")

    def _symbol(self, name: str, depth: int = 0) -> int:
        text = self.defines.get(name)
        if text is not None and depth < len(self.defines):
            try:
                return int(text, 0)
            except ValueError:
                return self._symbol(text, depth + 1)
        number = self.constants(name)
        if number is None and name.startswith("E"):
            number = getattr(errno, name, None)
        if number is None:
            raise NotSupported(f"constant {name}")
        return number

    def octets(self, value: Value) -> bytes:
        """An option's value as the kernel gets it: a C int, two of them of a structure, or the characters of a string.

        Raises:
            BadArgument: it is none of these.
        """
        match value:
            case Text(octets):
                return octets
            case Sequence(items):
                return b"".join(self.octets(item) for item in items)
            case Structure(fields):
                return b"".join(self._member(field) for field in fields)
            case _:
                number = self.number(value)
                return (number & 0xFFFFFFFF).to_bytes(INT.size, "little" if INT.pack(1)[0] else "big")

    def _member(self, field: Field) -> bytes:
        """One member of the structures that are made of ints; the two of a timeval are longs."""
        if field.name in {"tv_sec", "tv_usec"}:
            return struct.pack("@l", self.number(field.value))
        return self.octets(field.value)

    def address(self, value: Value, default: Endpoint) -> Endpoint:
        """``{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}``; what is ``...`` of it is the default's.

        Raises:
            BadArgument: it is no such structure.
        """
        if not isinstance(value, Structure):
            raise BadArgument(f"{describe(value)} is no socket address")
        port = value.get("sin_port") or value.get("sin6_port")
        host = value.get("sin_addr") or value.get("sin6_addr")
        if port is None or host is None:
            raise BadArgument("a socket address has a family, a port and an address")
        address = default.address if is_anything(host) else self.host(host)
        number = default.port if is_anything(port) else self.number(port)
        if not 0 <= number <= 65535:
            raise BadArgument(f"{number} is no port")
        return Endpoint(address, number)

    def host(self, value: Value) -> bytes:
        """``inet_addr("192.0.2.1")``, ``inet_pton(AF_INET6, "::1")``, ``INADDR_ANY``: a packed address."""
        match value:
            case Call("inet_addr" | "inet_pton", (*_, Text(text))):
                try:
                    return pack_address(text.decode("ascii", "replace"))
                except ValueError as error:
                    raise BadArgument(str(error)) from None
            case Symbol("in6addr_any" | "IN6ADDR_ANY_INIT"):
                return bytes(16)
            case Structure((Field(value=inner),)):
                return self.host(inner)
            case _:
                return (self.number(value) & 0xFFFFFFFF).to_bytes(4, "big")


def is_anything(value: Value) -> bool:
    """``...``, also as what a pointer points at."""
    return isinstance(value, Anything) or (isinstance(value, Sequence) and len(value.items) == 1 and is_anything(value.items[0]))


def items(value: Value) -> tuple[Value, ...]:
    """The members of an array; one that stands alone is an array of one."""
    return value.items if isinstance(value, Sequence) else (value,)


def describe(value: Value) -> str:
    """The value as a script writes it."""
    match value:
        case Number(number):
            return str(number)
        case Text(octets):
            return '"' + octets.decode("latin-1").encode("unicode_escape").decode("ascii") + '"'
        case Symbol(name):
            return name
        case Anything():
            return "..."
        case Operation(operator, operands):
            return operator.join(map(describe, operands)) if len(operands) > 1 else operator + describe(operands[0])
        case Sequence(members):
            return f"[{', '.join(map(describe, members))}]"
        case Structure(fields):
            return "{" + ", ".join((f"{one.name}=" if one.name else "") + describe(one.value) for one in fields) + "}"
        case Call(name, arguments):
            return f"{name}({', '.join(map(describe, arguments))})"


def _operate(operator: str, operands: list[int]) -> int:
    match operator, operands:
        case "~", [only]:
            return ~only
        case "-", [only]:
            return -only
        case "|", [left, right]:
            return left | right
        case "&", [left, right]:
            return left & right
        case "^", [left, right]:
            return left ^ right
        case "<<", [left, right] if 0 <= right < 64:
            return left << right
        case ">>", [left, right] if 0 <= right < 64:
            return left >> right
        case _:
            raise BadArgument(f"{operator} is no operation on {len(operands)} numbers")
