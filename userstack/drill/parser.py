"""From the text of a packetdrill script to its value."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NoReturn

from lark import Lark, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken, VisitError

from userstack.drill.building import Builder
from userstack.drill.errors import NotSupported, ScriptError
from userstack.drill.script import Place, Script
from userstack.drill.wrong import Foreign, Wrong

WORDS = {
    "OPTION": "an option like --ip_version=ipv4",
    "COMMAND": "a command in backquotes",
    "WHEN": "a time like 0.1, +0.1 or *",
    "UNTIL": "the end of a blocking call like ...0.2",
    "ARROW": "a packet (< or >)",
    "CODE": "a code block %{ }%",
    "PORTS": "ports like 8080 > 1234",
    "FLAGS": "TCP flags like S. or P.",
    "ICMP": "icmp",
    "SEQUENCE": "sequence numbers like 1:1001(1000)",
    "ECN": "ect0, ect1, ect01, ce or noecn",
    "IP_NAME": "tos, ttl or flowlabel",
    "OPENING": "options in <>",
    "ICMP_NAME": "a name of ICMP",
    "SACK_BLOCK": "a block like 1001:2001",
    "OCTETS": "octets in hexadecimal",
    "ECN_COUNTER": "e0b, ceb or e1b",
    "KIND": "a TCP option (mss, wscale, sackOK, sack, TS, nop, eol, md5, FO, FOEXP, ECN, exp or the number of its kind)",
    "COUNT": "a number that is not negative",
    "STAR": "*",
    "ELLIPSIS": "...",
    "NUMBER": "a number",
    "STRING": "a string",
    "NAME": "a name",
    "ERRNO": "an errno like EAGAIN",
    "NOTE": "a note in parentheses",
    "OPERATOR": "an operator",
    "$END": "the end of the script",
}
"""What each terminal is for a reader; those of punctuation and keywords stand for themselves, the others are not worth naming."""
VALUE = frozenset({"NUMBER", "STRING", "ELLIPSIS", "NAME", "LSQB", "LBRACE", "LPAR", "TILDE"})
"""What a value can begin with: together, these are one thing."""
OPTION_NAMES = frozenset({"NOP", "EOL", "MSS", "WSCALE", "SACKOK", "SACK", "TS", "MD5", "FO", "FOEXP", "ECN", "EXP"})
"""The words for KIND name them all."""
SILENT = frozenset({"DEFINE", "FOREIGN_PACKET", "FOREIGN_OPTION", "FOREIGN_TAIL"})
"""What may stand there and would not help whoever reads."""
SHOWN = 120
"""Characters of a line in a message: a file that is no text may be one line."""
UNCLOSED = (
    (re.compile(r'"(?:\\.|[^"\\])*\Z', re.DOTALL), "this string has no end"),
    (re.compile(r"`(?:\\.|[^`\\])*\Z", re.DOTALL), "this command has no end"),
    (re.compile(r"%\{(?:(?!\}%).)*\Z", re.DOTALL), "this code block has no end (}%)"),
    (re.compile(r"/\*(?:(?!\*/).)*\Z", re.DOTALL), "this comment has no end (*/)"),
)
"""What begins and goes on to the end of the script."""


def load(path: Path, defines: Mapping[str, str] | None = None) -> Script:
    """Read a script from its file.

    Raises:
        OSError: the file cannot be read.
        ScriptError, NotSupported: as ``parse`` does.
    """
    return parse(path.read_bytes().decode("utf-8-sig", "surrogateescape"), path, defines)


def parse(text: str, path: Path = Path("script"), defines: Mapping[str, str] | None = None) -> Script:
    """Read a script; ``defines`` are names with their meanings, as ``-D`` gives them, of which a script's own go first.

    Raises:
        ScriptError: it is none: where, what was expected there and what was found, and below it the line with a caret.
        NotSupported: it is one, of packets that are not TCP's.
    """
    source = Source(text, path)
    try:
        tree = _grammar().parse(text)
        return Builder(path, text, defines or {}).transform(tree)
    except UnexpectedInput as error:
        source.refuse(error)
    except VisitError as error:
        source.object(error)
    except RecursionError:
        raise source.wrong(len(text), "values are nested too deeply") from None


class Source:
    """A script's text, to point into."""

    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self._path = path

    def place(self, position: int) -> Place:
        """Line and column of the character at ``position``."""
        line_start = self._text.rfind("\n", 0, position) + 1
        return Place(self._path, self._text.count("\n", 0, position) + 1, position - line_start + 1)

    def _position(self, line: int, column: int) -> int:
        return len("\n".join([*self._text.split("\n")[: line - 1], ""])) + column - 1

    def wrong(self, position: int, message: str) -> ScriptError:
        """The error for what stands at ``position``, the line and a caret under it."""
        place = self.place(position)
        whole = self._text[position - place.column + 1 :].partition("\n")[0]
        first = max(place.column - 1 - SHOWN // 2, 0) if len(whole) > SHOWN else 0
        line = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in whole[first : first + SHOWN])
        margin = "".join("\t" if char == "\t" else " " for char in line[: place.column - 1 - first])
        return ScriptError(place, f"{message}\n  {line}\n  {margin}^" if line else message)

    def object(self, found: VisitError) -> NoReturn:
        """Say what contradicts itself."""
        error = found.orig_exc
        if isinstance(error, Foreign):
            raise NotSupported(str(error), self.place(error.word.start_pos or 0)) from None
        if isinstance(error, Wrong):
            raise self.wrong(error.word.start_pos or 0, str(error)) from None
        if isinstance(error, ValueError) and isinstance(found.obj, Tree):  # Python reads no more than 4300 digits
            raise self.wrong(found.obj.meta.start_pos, "a number here has far too many digits") from None
        raise error

    def refuse(self, error: UnexpectedInput) -> NoReturn:
        """Say what the grammar expected."""
        at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        position = len(self._text.rstrip()) if at_end else self._position(error.line, error.column)
        for opening, message in UNCLOSED:
            if opening.match(self._text, position):
                raise self.wrong(position, message) from None
        expected: set[str] = error.interactive_parser.accepts()  # type: ignore[no-untyped-call]
        found = re.compile(r"\w+|\S").match(self._text, position)
        what = repr(found[0]) if found else "the end of the script"
        raise self.wrong(position, f"expected {_in_words(expected)}, not {what}") from None


@cache
def _grammar() -> Lark:
    text = resources.files("userstack.drill").joinpath("grammar.lark").read_text("utf-8")
    return Lark(text, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def _in_words(names: set[str]) -> str:
    """The terminals that may stand somewhere, as a person says it."""
    words = []
    if names >= VALUE:
        names -= VALUE
        words.append("a value")
    if "KIND" in names:
        names -= OPTION_NAMES
    words += [word for name, word in WORDS.items() if name in names]
    words += sorted(repr(_grammar().get_terminal(name).pattern.value) for name in names - WORDS.keys() - SILENT)
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or "nothing more"
