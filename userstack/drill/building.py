"""From the tree that the grammar gives to the value of a script."""

import re
from collections.abc import Mapping
from pathlib import Path

from lark import Token, v_args
from lark.tree import Meta
from lark.visitors import Discard

from userstack.drill import literals
from userstack.drill.call_rules import CallRules
from userstack.drill.packet_rules import PacketRules
from userstack.drill.script import Action, Base, CodeBlock, Command, Event, PacketEvent, Place, Script, SystemCall, When
from userstack.drill.wrong import Foreign, Wrong

AT_ANY_TIME = "*"
FOREIGN_PACKETS = {
    "udp": "UDP packets",
    "udplite": "UDP-Lite packets",
    "sctp": "SCTP packets",
    "dccp": "DCCP packets",
    "raw": "raw IP packets",
    "gre": "GRE packets",
    "mpls": "MPLS packets",
    "ipv4": "packets in IPv4 packets",
    "ipv6": "packets in IPv6 packets",
}


@v_args(inline=True)
class Builder(PacketRules, CallRules):
    """One script being built: a method for each rule of the grammar; ``defines`` are names with a meaning before the script's own.

    They raise ``Wrong`` and ``Foreign``, which lark wraps in its VisitError.
    """

    def __init__(self, path: Path, text: str, defines: Mapping[str, str]) -> None:
        super().__init__(defines)
        self._path = path
        self._text = text
        self._options: dict[str, str] = {}

    def start(self, *parts: Command | Event) -> Script:
        """The whole script."""
        first = next(index for index, part in enumerate(parts) if isinstance(part, Event))
        events = tuple(part for part in parts if isinstance(part, Event))
        initial = tuple(part for part in parts[:first] if isinstance(part, Command))
        final = tuple(part for part in parts[first:] if isinstance(part, Command))
        return Script(self._path, events, self._options, self._defines, initial, final)

    def option(self, word: Token) -> object:
        """``--ip_version=ipv4``, ``--dry_run``."""
        name, _, value = word.removeprefix("--").partition("=")
        self._options[name.strip()] = _unquoted(value.strip())
        return Discard

    def define(self, word: Token) -> object:
        """``-D NAME=VALUE``, ``--define=NAME=VALUE``; what follows in the script knows it."""
        text = word.removeprefix("-D") if word.startswith("-D") else word.partition("=")[2]
        name, _, value = text.strip().partition("=")
        self._defines[name] = _unquoted(value)
        return Discard

    def command(self, word: Token) -> Command:
        """A command in backquotes; escapes in it are the shell's."""
        return Command(str(word[1:-1]))

    def foreign(self, *parts: object) -> object:
        """What is not TCP's, as the last of ``parts``."""
        word = parts[-1]
        assert isinstance(word, Token)
        name = re.split(r"\W", word.lstrip("/ \t\n"), maxsplit=1)[0]
        if word.type == "FOREIGN_TAIL":
            raise Foreign(word, "TCP in UDP packets")
        if word.type == "FOREIGN_OPTION":
            raise Foreign(word, f"the TCP option {name}" if name in ("ao", "TARR") else "the options of MPTCP")
        raise Foreign(word, FOREIGN_PACKETS[name])

    @v_args(meta=True, inline=True)
    def packet_event(self, meta: Meta, when: Token, packet: PacketEvent) -> Event:
        """``+0 > . 1:1(0) ack 1``."""
        return self._event(meta, when, packet)

    @v_args(meta=True, inline=True)
    def call_event(self, meta: Meta, when: Token, end: Token | None, call: SystemCall) -> Event:
        """``+0 close(3) = 0``, ``+0...0.2 connect(3, ..., ...) = 0``."""
        if end is None:
            return self._event(meta, when, call)
        until = _nanoseconds(end, end.removeprefix("...").strip())
        if until < _when(when).start:
            raise Wrong(end, "the call ends before it begins")
        return self._event(meta, when, SystemCall(call.name, call.arguments, call.result, call.errno, blocking=True, end=until))

    @v_args(meta=True, inline=True)
    def code_event(self, meta: Meta, when: Token, block: Token) -> Event:
        """``+0 %{ assert tcpi_snd_cwnd == 10 }%``."""
        first = (block.line or 1) + bool(re.match(r"%\{[ \t\r]*\n", block))
        return self._event(meta, when, CodeBlock(literals.code(block, block.column or 1), first))

    @v_args(meta=True, inline=True)
    def command_event(self, meta: Meta, when: Token, command: Command) -> Event:
        """A command in backquotes at its time."""
        return self._event(meta, when, command)

    def _event(self, meta: Meta, word: Token, action: Action) -> Event:
        when = _when(word)
        goes_out = isinstance(action, PacketEvent) and not action.inbound
        if not goes_out and (when.base is Base.ANY or when.end is not None):
            raise Wrong(word, "only a packet that goes out can have a range of times or *")
        return Event(Place(self._path, meta.line, meta.column), when, action, self._text[meta.start_pos : meta.end_pos])


def _when(word: Token) -> When:
    """``*``, ``0.1``, ``+.1``, ``0.1~0.2``, ``+0~+.2``."""
    if word == AT_ANY_TIME:
        return When(Base.ANY)
    first, tilde, last = (part.strip() for part in word.partition("~"))
    relative = first.startswith("+")
    if tilde and last.startswith("+") != relative:
        raise Wrong(word, "both ends of a range count from the event before (+), or both from the start")
    start = _nanoseconds(word, first.removeprefix("+").strip())
    end = _nanoseconds(word, last.removeprefix("+").strip()) if tilde else None
    if end is not None and end < start:
        raise Wrong(word, "the range ends before it begins")
    return When(Base.RELATIVE if relative else Base.ABSOLUTE, start, end)


def _nanoseconds(word: Token, text: str) -> int:
    try:
        return literals.nanoseconds(text)
    except ValueError as error:
        raise Wrong(word, str(error)) from None


def _unquoted(value: str) -> str:
    return value[1:-1] if value.startswith('"') else value
