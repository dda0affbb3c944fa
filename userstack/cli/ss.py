"""``userstack ss``: what the running stacks of this user are doing, asked over their control sockets."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from userstack.api.control import query, running
from userstack.cli.guard import guarded
from userstack.cli.table import HEADER, format_counters, format_info, format_row, format_summary
from userstack.errors import SetupError

INTERVAL = 1.0
"""Seconds between two looks of ``--watch``."""


@guarded("ss")
def ss(
    *,
    summary: Annotated[bool, typer.Option("-s", "--summary", help="Only how many connections are in which state.")] = False,
    counters: Annotated[bool, typer.Option("--counters", help="What was counted, under the names of nstat.")] = False,
    zeros: Annotated[bool, typer.Option("-z", "--zeros", help="With --counters: those that are 0, too.")] = False,
    info: Annotated[bool, typer.Option("-i", "--info", help="Add what TCP_INFO tells, as ss -tin prints it.")] = False,
    options: Annotated[bool, typer.Option("-o", "--options", help="The timers as ss -o prints them.")] = False,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Look again every second, until Ctrl-C.")] = False,
) -> None:
    """Show the connections of every running stack of yours, as ss shows the kernel's.

    Every userstack nc and userstack demo can be looked at, and so can a program that serves Stack.control().
    """

    def look() -> list[str]:
        return list(_report(_Wish(summary=summary, counters=counters, zeros=zeros, info=info, options=options)))

    if watch:
        _watch(look)
    print("\n".join(look()))


def _watch(look: Callable[[], list[str]]) -> NoReturn:
    """On a terminal each look takes the place of the one before; elsewhere it follows it."""
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            if console.is_terminal:
                live.update(Group(*(Text(line, no_wrap=True) for line in look())), refresh=True)
            else:
                print("\n".join([*look(), ""]), flush=True)
            time.sleep(INTERVAL)


class _Wish(NamedTuple):
    """What is asked for."""

    summary: bool
    counters: bool
    zeros: bool
    info: bool
    options: bool


class _Answering(NamedTuple):
    """A stack that has told what it is."""

    path: Path
    info: dict[str, Any]

    @property
    def host(self) -> tuple[object, ...]:
        """What is the same for the workers of ``userstack.run``, which are one host. A stack of an older version has none."""
        worker = self.info.get("worker")
        return (self.path,) if worker is None else (worker["parent"], self.info["device"])


def _report(wish: _Wish) -> Iterator[str]:
    """The parts of all hosts, an empty line between them."""
    told = [part for part in _parts(wish) if part]
    if not told:
        raise SetupError("no stack is running: start one, for example with userstack nc -l 8080")
    for number, part in enumerate(told):
        yield from ["", *part] if number else part


def _parts(wish: _Wish) -> Iterator[list[str]]:
    """What each host tells, and first the complaints about stacks that do not answer."""
    hosts: dict[tuple[object, ...], list[_Answering]] = {}
    for stack in running():
        try:
            answering = _Answering(stack.path, query(stack.path, "info"))
        except SetupError as error:
            yield _complaint(error, stack.path)
        else:
            hosts.setdefault(answering.host, []).append(answering)
    for stacks in hosts.values():
        yield _part(stacks, wish)


def _part(stacks: list[_Answering], wish: _Wish) -> list[str]:
    """What the stacks of one host tell together; nothing where they have ended meanwhile."""
    head, complaints = [_head(stacks)], []
    rows: list[dict[str, Any]] = []
    counters: Counter[str] = Counter()
    for stack in stacks:
        try:
            if wish.counters:
                counters.update(query(stack.path, "counters"))
            else:
                rows += query(stack.path, "connections")
        except SetupError as error:
            complaints.append(_complaint(error, stack.path))
    told = [line for complaint in complaints for line in complaint]
    if len(complaints) == len(stacks):
        return told
    head += told
    if wish.counters:
        return [*head, *format_counters(counters, zeros=wish.zeros)]
    head.append(format_summary(rows))
    if wish.summary:
        return head
    lines = ((format_row(row, as_ss=wish.options), format_info(row) if wish.info else "") for row in rows)
    return [*head, HEADER, *(line for pair in lines for line in pair if line)]


def _complaint(error: SetupError, path: Path) -> list[str]:
    return [str(error)] if path.exists() else []


def _head(stacks: list[_Answering]) -> str:
    info = stacks[0].info
    worker = info.get("worker")
    process = f"process {info['pid']}" if worker is None else f"process {worker['parent']}, {_count(stacks, worker['workers'])}"
    return f"userstack {', '.join(info['addresses'])} on {info['device']} ({process}, {info['codec']} codec)"


def _count(stacks: list[_Answering], count: int) -> str:
    """How many of the workers there are answer."""
    workers = "worker" if count == 1 else "workers"
    return f"{count} {workers}" if len(stacks) == count else f"{len(stacks)} of {count} {workers}"
