"""System calls of a script, their arguments and results, from their words."""

from lark import Token, Transformer, v_args

from userstack.drill import literals
from userstack.drill.packet_rules import text_octets
from userstack.drill.script import (
    Anything,
    Call,
    Field,
    Number,
    Operation,
    Script,
    Sequence,
    Structure,
    Symbol,
    SystemCall,
    Text,
    Value,
)

LEVELS = (("<<", ">>"), ("&",), ("^",), ("|",))
"""The binary operators as in C, those that bind most first."""

Values = tuple[Value, ...]


@v_args(inline=True)
class CallRules(Transformer[Token, Script]):
    """A method for each rule about calls and values."""

    def system_call(self, name: Token, arguments: Values | None, result: Value, errno: Token | None, _: Token | None) -> SystemCall:
        """``read(3, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)``."""
        return SystemCall(str(name), arguments or (), result, None if errno is None else str(errno))

    def result(self, *items: Value) -> Value:
        """``0x2``, ``O_RDWR|O_NONBLOCK``."""
        value, *rest = items
        for item in rest:
            value = Operation("|", (value, item))
        return value

    def values(self, *values: Value) -> Values:
        """``3, ..., 1000``."""
        return values

    def anything(self, _: Token) -> Value:
        """``...``."""
        return Anything()

    def plain_number(self, word: Token) -> Value:
        """``1000``."""
        return Number(literals.number(word))

    def text(self, word: Token, *_: Token) -> Value:
        """``"abc"``, ``"abc"...``."""
        return Text(text_octets(word))

    def symbol(self, word: Token) -> Value:
        """``SOCK_STREAM``."""
        return Symbol(str(word))

    def complement(self, value: Value) -> Value:
        """``~O_NONBLOCK``."""
        return Operation("~", (value,))

    def operation(self, *parts: "Value | Token") -> "Value | Token":
        """``1|2``: operands with an operator between each two of them."""
        flat = list(parts)
        for level in LEVELS:
            index = 1
            while index < len(flat):
                if flat[index] in level:
                    flat[index - 1 : index + 2] = [_binary(*flat[index - 1 : index + 2])]
                else:
                    index += 2
        return flat[0]

    def sequence(self, items: Values | None) -> Value:
        """``[1, 2]``."""
        return Sequence(items or ())

    def structure(self, *fields: Field | None) -> Value:
        """``{fd=3, events=POLLIN}``."""
        return Structure(tuple(one for one in fields if one is not None))

    def call(self, name: Token, arguments: Values | None) -> Call:
        """``htons(8080)``."""
        return Call(str(name), arguments or ())

    def unnamed_field(self, value: Value) -> Field:
        """``1000`` in ``{..., 1000}``."""
        return Field(None, value)

    def named_field(self, name: Token, value: Value) -> Field:
        """``fd=3``."""
        return Field(str(name), value)

    def counted_field(self, counted: Call, value: Value) -> Field:
        """``msg_iov(1)=[{..., 1000}]``."""
        return Field(counted.name, value, counted.arguments[0] if counted.arguments else None)


def _binary(left: "Value | Token", operator: "Value | Token", right: "Value | Token") -> Operation:
    assert isinstance(operator, Token)
    assert not isinstance(left, Token)
    assert not isinstance(right, Token)
    return Operation(str(operator), (left, right))
