"""The TCP options of a script's packets from their words."""

from collections.abc import Mapping, Sequence

from lark import Token, Transformer, v_args

from userstack.drill import literals
from userstack.drill.script import OptionSpec, Script
from userstack.drill.wrong import Foreign, Wrong
from userstack.wire.tcp import (
    EOL,
    EXPERIMENT,
    FAST_OPEN,
    FAST_OPEN_MAGIC,
    MD5,
    MSS,
    NOP,
    SACK,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
)

ACCURATE_ECN = {"e0b": 172, "e1b": 174}
"""The kinds of the AccECN option, by the counter that comes first (RFC 9768 3.2.3)."""
U8, U16, U24, U32 = 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF
MAX_OPTIONS = 40
"""Octets of options that a TCP header holds (RFC 9293 3.1)."""


@v_args(inline=True)
class OptionRules(Transformer[Token, Script]):
    """A method for each option of the grammar; ``defines`` gives names of octets their meaning."""

    def __init__(self, defines: Mapping[str, str]) -> None:
        super().__init__()
        self._defines = dict(defines)

    def options(self, opening: Token, *options: OptionSpec | None) -> tuple[Token, tuple[OptionSpec, ...] | None]:
        """``<mss 1460,nop,wscale 7>``: where they begin, and they themselves."""
        return opening, tuple(option for option in options if option is not None)

    def any_options(self, opening: Token, _: Token) -> tuple[Token, tuple[OptionSpec, ...] | None]:
        """``<...>``."""
        return opening, None

    def nop(self) -> OptionSpec:
        """``nop``."""
        return OptionSpec(NOP)

    def eol(self) -> OptionSpec:
        """``eol``."""
        return OptionSpec(EOL)

    def mss(self, word: Token) -> OptionSpec:
        """``mss 1460``."""
        return _of_numbers(MSS, word, limit=U16, what="an MSS")

    def wscale(self, word: Token) -> OptionSpec:
        """``wscale 7``."""
        return _of_numbers(WINDOW_SCALE, word, limit=U8, what="a window scale")

    def sack_permitted(self) -> OptionSpec:
        """``sackOK``."""
        return OptionSpec(SACK_PERMITTED)

    def sack(self, *blocks: Token) -> OptionSpec:
        """``sack 2001:3001 4001:5001``."""
        edges = tuple(int(edge) for block in blocks for edge in block.split(":"))
        if max(edges) > U32:
            raise Wrong(blocks[0], f"a sequence number is at most {U32}")
        return OptionSpec(SACK, edges)

    def timestamps(self, value: Token, echo: Token) -> OptionSpec:
        """``TS val 100 ecr 0``."""
        return _of_numbers(TIMESTAMPS, value, echo, limit=U32, what="a timestamp")

    def md5(self, word: Token | None) -> OptionSpec:
        """``md5 000102030405060708090a0b0c0d0e0f``."""
        return self._of_octets(MD5, word)

    def fast_open(self, word: Token | None) -> OptionSpec:
        """``FO``, ``FO abcd1234``, ``FO TFO_COOKIE``."""
        return self._of_octets(FAST_OPEN, word)

    def fast_open_experiment(self, word: Token | None) -> OptionSpec:
        """``FOEXP``, ``FOEXP abcd1234``."""
        return self._of_octets(EXPERIMENT, word, FAST_OPEN_MAGIC)

    def experiment(self, word: Token) -> OptionSpec:
        """``exp 0xf9891122``: what follows kind 254 and its length."""
        return self._of_octets(EXPERIMENT, word)

    def accurate_ecn(self, *words: Token) -> OptionSpec:
        """``ECN e0b 1 ceb 0 e1b 1``: counters of 24 bits, in either of the two orders."""
        names = [str(name) for name in words[::2]]
        order = ["e0b", "ceb", "e1b"] if names[:1] == ["e0b"] else ["e1b", "ceb", "e0b"]
        if names != order[: len(names)]:
            raise Wrong(words[0], "the counters of AccECN stand in the order e0b ceb e1b or e1b ceb e0b")
        counters = [at_most(U24, word, "a counter of AccECN") for word in words[1::2]]
        return OptionSpec(ACCURATE_ECN[order[0]], data=b"".join(counter.to_bytes(3, "big") for counter in counters))

    def unknown_option(self, kind: Token, word: Token | None) -> OptionSpec:
        """``253 0x0102``, ``99``."""
        return self._of_octets(at_most(U8, kind, "the kind of an option"), word)

    def _of_octets(self, kind: int, word: Token | None, before: bytes = b"") -> OptionSpec:
        if word is None:
            return OptionSpec(kind, data=before)
        try:
            data = literals.octets(self._defines.get(word, word))
        except ValueError as error:
            raise Wrong(word, str(error)) from None
        if data is None:
            raise Foreign(word, f"the octets of {word}, which no -D defines")
        return OptionSpec(kind, data=before + data)


def _of_numbers(kind: int, *words: Token, limit: int, what: str) -> OptionSpec:
    """``*`` and ``...`` are any number."""
    return OptionSpec(kind, tuple(None if word in ("*", "...") else at_most(limit, word, what) for word in words))


def at_most(limit: int, word: Token, what: str) -> int:
    """The number that ``word`` is.

    Raises:
        Wrong: it is above ``limit``.
    """
    value = int(literals.number(word))
    if value > limit:
        raise Wrong(word, f"{what} is at most {limit}")
    return value


def check_options(options: Sequence[OptionSpec], opening: Token, inbound: bool) -> None:
    """Refuse what no header can hold: packetdrill does not pad options itself.

    Raises:
        Wrong: at ``opening``, with the reason.
    """
    if inbound and any(None in option.values for option in options):
        raise Wrong(opening, "an option of a packet that comes in needs its numbers")
    size = sum(map(_size, options))
    if size > MAX_OPTIONS:
        raise Wrong(opening, f"the options take {size} octets, and a TCP header has room for {MAX_OPTIONS}")
    if size % 4:
        raise Wrong(opening, f"the options take {size} octets, which nop or eol must pad to a multiple of 4")


def _size(option: OptionSpec) -> int:
    if option.kind in (EOL, NOP):
        return 1
    if option.data is not None:
        return 2 + len(option.data)
    widths = {MSS: 2, WINDOW_SCALE: 1, SACK: 4, TIMESTAMPS: 4}
    return 2 + widths.get(option.kind, 0) * len(option.values)
