"""Every counter that the source raises stands in the table, and the other way round."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from userstack.counters import MEANINGS, Counters, in_order
from userstack.net import icmp, icmpv6

ROOT = Path(__file__).parent.parent / "userstack"
NAME = re.compile(r"(IpExt|Ip6|Ip|Icmp6|Icmp|TcpExt|Tcp|Ethernet|Arp|Nd|Userstack)[A-Z][A-Za-z0-9]*")
HALVES = {"ip": ("Ip", "Ip6"), "name": ("Ip", "Ip6"), "self._protocol": ("Arp", "Nd")}
"""What stands before a name that is put together, by the variable that has it."""
NO_COUNTERS = {"UserstackError", "Icmp6In", "IcmpIn", "IcmpMsgInType"}
"""Words that only look so."""
BY_TYPE = {icmp.counter_of(kind) for kind in range(256)} | {icmpv6.counter_of(kind) for kind in range(256)}
UNNAMED = re.compile(r"(IcmpMsgInType|Icmp6InType)\d+")


@cache
def counted() -> set[str]:
    found: set[str] = set()
    for path in ROOT.rglob("*.py"):
        if path.name != "counters.py":
            for node in ast.walk(ast.parse(path.read_text())):
                found.update(names_in(node))
    return found - NO_COUNTERS | {name for name in BY_TYPE if not UNNAMED.fullmatch(name)}


def names_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)) if NAME.fullmatch(text):
            yield text
        case ast.BinOp(left=ast.Name(id=half), op=ast.Add(), right=ast.Constant(value=str(text))) if half in HALVES:
            yield from (first + text for first in HALVES[half])
        case ast.JoinedStr(values=[ast.FormattedValue(value=half), ast.Constant(value=str(text))]) if text.isalnum():
            yield from (first + text for first in HALVES.get(ast.unparse(half), ()))


def test_what_is_counted_has_a_meaning() -> None:
    assert sorted(counted() - MEANINGS.keys()) == []


def test_what_has_a_meaning_is_counted() -> None:
    assert sorted(MEANINGS.keys() - counted()) == []


def test_every_name_is_looked_for() -> None:
    assert [name for name in MEANINGS if not NAME.fullmatch(name)] == []


def test_they_are_told_in_the_order_of_the_table() -> None:
    assert in_order(["TcpOutSegs", "IpInReceives", "Other", "TcpInSegs"]) == ["IpInReceives", "TcpInSegs", "TcpOutSegs", "Other"]


def test_a_gauge_that_is_back_at_nothing_is_not_told() -> None:
    counters = Counters()
    counters.add("TcpCurrEstab")
    assert counters.snapshot() == {"TcpCurrEstab": 1}
    counters.add("TcpCurrEstab", -1)
    assert counters.snapshot() == {}
