"""The shell commands of a script, read and never run: which settings of the kernel they would have changed.

Law: what is not known for certain to be a setting, or to mean nothing here, is refused, so that no script passes by luck.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from userstack.drill.errors import NotSupported

MAX_DEPTH = 4
"""Scripts that call scripts; deeper is taken for a circle."""
MAX_SCRIPT = 64 * 1024
"""Octets of a called script; those that set sysctls have a hundredth of it."""

_PROC = "/proc/sys/"
_HARMLESS = frozenset({"true", ":", "sync", "set", "export", "umask", "exit", "sleep", "ethtool", "kldload", "modprobe"})
"""Commands that change nothing of what a TCP shows. (Time is virtual: a sleep between two events takes none.)"""

_TOKEN = re.compile(
    r"""
      (?P<space> [ \t\r]+ | \\\r?\n )
    | (?P<comment> \#[^\n]* )
    | (?P<redirection> \d*(?:>>|>|<) (?: &\d | [ \t]* [^\s;&|<>]+ ) | &> [ \t]* [^\s;&|<>]+ )
    | (?P<end> \n | ;;? | && | \|\| | \| | & )
    | (?P<word> (?: \$\(\( [^\n]*? \)\) | \\. | '[^']*' | "(?:\\.|[^"\\])*" | [^\s;&|<>'"\\] )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_ARITHMETIC = re.compile(r"\$\(\(([-+*/%() \t\d<]*)\)\)")
_QUOTED = re.compile(r"'([^']*)'|\"((?:\\.|[^\"\\])*)\"|\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    """One sysctl, by its name with dots."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class _Command:
    """The words of a command, and the file that its output goes to."""

    words: tuple[str, ...]
    output: str | None
    piped: bool


def read_settings(text: str, directory: Path) -> list[Setting]:
    """The settings that ``text`` makes, in their order; scripts that it calls are looked for beside ``directory``.

    Raises:
        NotSupported: a command could do something else than to set a sysctl.
    """
    return list(_read(text, directory, MAX_DEPTH))


def _read(text: str, directory: Path, depth: int) -> Iterator[Setting]:
    for command in _split(text):
        yield from _interpret(command, directory, depth)


def _split(text: str) -> Iterator[_Command]:
    """One command after another."""
    words: list[str] = []
    output: str | None = None
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise NotSupported("shell command that is more than words")
        position = found.end()
        if found["word"]:
            words.append(_unquote(found["word"]))
        elif found["redirection"]:
            output = _redirected(found["redirection"]) or output
        elif found["end"]:
            yield _Command(tuple(words), output, found["end"] == "|")
            words, output = [], None
    yield _Command(tuple(words), output, piped=False)


def _redirected(text: str) -> str | None:
    """The file that standard output goes to, where one is named."""
    number, _, file = text.partition(">")
    return file.lstrip("> \t") if number in ("", "1") and "&" not in text else None


def _unquote(word: str) -> str:
    """The word as the command gets it, with sums worked out."""
    word = _ARITHMETIC.sub(lambda sum_: str(_evaluate(sum_[1])), word)
    quoted = re.sub(r"'[^']*'", "", word)
    if "`" in quoted or "$" in quoted:
        raise NotSupported("shell command with variables")
    return _QUOTED.sub(lambda part: part[1] or part[2] or part[3] or "", word)


def _evaluate(text: str) -> int:
    """The value of ``$((...))``: whole numbers, + - * / % << and parentheses, nothing else."""
    tokens = re.findall(r"\d+|<<|[-+*/%()]", text)
    value, rest = _sum(tokens)
    if rest:
        raise NotSupported("shell arithmetic")
    return value


_LEVELS: tuple[frozenset[str], ...] = (frozenset({"<<"}), frozenset({"+", "-"}), frozenset({"*", "/", "%"}))


def _sum(tokens: list[str], level: int = 0) -> tuple[int, list[str]]:
    """What the operators from ``level`` on make of the first tokens, and the tokens that are left."""
    if level == len(_LEVELS):
        return _atom(tokens)
    value, rest = _sum(tokens, level + 1)
    while rest and rest[0] in _LEVELS[level]:
        right, after = _sum(rest[1:], level + 1)
        value, rest = _apply(rest[0], value, right), after
    return value, rest


def _atom(tokens: list[str]) -> tuple[int, list[str]]:
    if tokens and tokens[0] == "(":
        value, rest = _sum(tokens[1:])
        if rest[:1] == [")"]:
            return value, rest[1:]
    if not tokens or not tokens[0].isdecimal():
        raise NotSupported("shell arithmetic")
    return int(tokens[0]), tokens[1:]


def _apply(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "<<" if right < 64:
            return left << right
        case "/" if right:
            return left // right
        case "%" if right:
            return left % right
        case _:
            raise NotSupported("shell arithmetic")


def _interpret(command: _Command, directory: Path, depth: int) -> Iterator[Setting]:
    """The settings that one command makes."""
    words = list(command.words)
    if words[:1] == ["sudo"]:
        words = words[1:]
    if not words:
        return
    name = PurePosixPath(words[0]).name or words[0]
    if command.output is not None and command.output.startswith(_PROC):
        if name not in ("echo", "printf"):
            raise NotSupported(f"shell command {name} > {command.output}")
        yield Setting(_dotted(command.output), " ".join(word for word in words[1:] if word not in ("-n", "-e")))
    elif name == "sysctl":
        yield from _of_sysctl(words[1:])
    elif name == "set_sysctls.py":
        yield from (_pair(word) for word in words[1:])
    elif name in ("source", ".", "sh", "bash") and len(words) > 1:
        yield from _called(words[1], directory, depth)
    elif words[0].startswith((".", "/")) or name.endswith((".sh", ".py")):
        yield from _called(words[0], directory, depth)
    elif not (name in _HARMLESS or _is_harmless(name, words[1:])) or command.piped:
        raise NotSupported(f"shell command {' '.join([name, *words[1:2]])}")


def _is_harmless(name: str, words: list[str]) -> bool:
    """What only empties caches that a fresh stack does not have, chooses a queue for the device, or writes to the terminal."""
    match name, words:
        case ("ip", ["tcp_metrics", "flush", *_]) | ("echo", _):
            return True
        case ("tc", ["qdisc", "add" | "replace" | "change", "dev", _, "root", "pfifo" | "pfifo_fast" | "fq_codel", *_]):
            return True
        case ("tc", ["qdisc", "del", *_]):
            return True
        case _:
            return False


def _of_sysctl(words: list[str]) -> Iterator[Setting]:
    """``sysctl -w a=b c=d``, ``sysctl -q a=b``, ``sysctl a b=c``: a name without a value is only shown."""
    for word in words:
        if word.startswith("-") and word.strip("-") not in ("w", "q", "e", "n", "qw", "wq", "write", "quiet", "ignore"):
            raise NotSupported(f"sysctl {word}")
        if "=" in word:
            yield _pair(word)


def _pair(word: str) -> Setting:
    name, separator, value = word.partition("=")
    if not separator:
        raise NotSupported(f"setting {word} without a value")
    return Setting(_dotted(name), value.strip())


def _dotted(name: str) -> str:
    """``/proc/sys/net/ipv4/tcp_sack`` and ``net/ipv4/tcp_sack`` by their name with dots."""
    return name.strip().removeprefix(_PROC).strip("/").replace("/", ".")


def _called(name: str, directory: Path, depth: int) -> Iterator[Setting]:
    """The settings of a script beside the one that calls it."""
    path = directory / name
    reason = f"shell script {PurePosixPath(name).name}"
    if depth == 0:
        raise NotSupported(f"{reason}: called from too deep")
    try:
        if path.stat().st_size > MAX_SCRIPT:
            raise NotSupported(f"{reason}: too long")
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise NotSupported(f"{reason}: cannot be read") from None
    first = text.partition("\n")[0]
    if first.startswith("#!") and not re.search(r"\b(ba|da)?sh\b", first):
        raise NotSupported(f"{reason}: no shell script")
    yield from _read(text, directory, depth - 1)  # its paths, too, are those of where the script stands
