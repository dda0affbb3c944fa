"""``userstack ss``: what the running stacks of this user are doing, asked over their control sockets."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, NamedTuple, NoReturn

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from userstack.api.control import RunningStack, query, running
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


def _report(wish: _Wish) -> Iterator[str]:
    """The parts of all stacks, an empty line between them."""
    told = [part for stack in running() if (part := _part(stack, wish))]
    if not told:
        raise SetupError("no stack is running: start one, for example with userstack nc -l 8080")
    for number, part in enumerate(told):
        yield from ["", *part] if number else part


def _part(stack: RunningStack, wish: _Wish) -> list[str]:
    """What one stack tells; nothing where it has ended meanwhile."""
    try:
        if wish.counters:
            return [_head(stack), *format_counters(query(stack.path, "counters"), zeros=wish.zeros)]
        rows = query(stack.path, "connections")
        head = [_head(stack), format_summary(rows)]
    except SetupError as error:
        return [str(error)] if stack.path.exists() else []
    if wish.summary:
        return head
    lines = ((format_row(row, as_ss=wish.options), format_info(row) if wish.info else "") for row in rows)
    return [*head, HEADER, *(line for pair in lines for line in pair if line)]


def _head(stack: RunningStack) -> str:
    told = query(stack.path, "info")
    return f"userstack {', '.join(told['addresses'])} on {told['device']} (process {told['pid']}, {told['codec']} codec)"
