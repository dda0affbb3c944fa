"""``userstack bench``: how fast userstack is, beside the kernel, a bare loop and other stacks on the same machine."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from userstack.cli.guard import complain, guarded

SECONDS, QUICK_SECONDS = 2.0, 0.3
REPEAT, QUICK_REPEAT = 5, 3
IDLE, QUICK_IDLE = 10_000, 1000
SYNS, QUICK_SYNS = 1_000_000, 10_000


class LoopName(StrEnum):
    """What runs userstack's program."""

    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


@guarded("bench")
def bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything, in under two minutes; no peers.")] = False,
    peers: Annotated[bool, typer.Option("--peers", help="Measure the other stacks too.")] = False,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Measure this contender alone; may be repeated.")] = None,
    repeat: Annotated[
        int | None, typer.Option(min=1, help=f"Repetitions, interleaved; {REPEAT}, or {QUICK_REPEAT} with --quick.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help=f"Of each measure; {SECONDS:g}, or {QUICK_SECONDS:g} with --quick.")
    ] = None,
    loop: Annotated[LoopName, typer.Option(help="The event loop that userstack runs on.")] = LoopName.ASYNCIO,
    compiled: Annotated[
        Path | None,
        typer.Option(metavar="PYTHON", help="Measure the compiled userstack of this interpreter, and the pure one beside it."),
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures as JSON too.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the figures into this directory too.")] = None,
) -> None:
    """Measure userstack, a bare loop and the kernel, and with --peers other stacks, with one client program for all.

    Everything happens in network namespaces that are made for it and removed afterwards. Medians, with least and most, go to
    standard output as Markdown. Give it the machine to itself: it uses two processors, and whatever else runs is measured too.
    """
    from userstack.bench import plot as pictures
    from userstack.bench.contenders import choose, is_compiled, peers_over_tun
    from userstack.bench.machine import describe
    from userstack.bench.measures import Plan
    from userstack.bench.ratios import ratios
    from userstack.bench.report import to_json, to_markdown
    from userstack.bench.run import run

    if quick and peers:
        raise typer.BadParameter("--quick measures no peers: leave out one of --quick and --peers")
    if compiled is not None and not is_compiled(compiled):
        raise typer.BadParameter(f"the userstack of {compiled} is not compiled: install it there with USERSTACK_COMPILE=1")
    chosen = choose(loop=loop, peers=peers, only=only or [], compiled=compiled)
    _check_targets(json, plot)
    if plot is not None:
        pictures.require()
    machine = describe()
    if quick:
        plan = Plan(seconds or QUICK_SECONDS, QUICK_IDLE, growth=(100, 1000), syns=QUICK_SYNS, once=("growth", "flood"))
    else:
        plan = Plan(seconds or SECONDS, IDLE, syns=SYNS)
    results = run(chosen, plan, repeat=repeat or (QUICK_REPEAT if quick else REPEAT), tell=_tell)
    summaries, compared = results.summaries(), ratios(results, peers_over_tun())
    if json is not None:
        json.write_text(to_json(summaries, compared, machine), encoding="utf-8")
    if plot is not None:
        pictures.draw(summaries, plot)
    descriptions = {name: contender.description for name, (contender, _) in chosen.items()}
    print(to_markdown(summaries, compared, machine, descriptions=descriptions, notes=results.notes), end="")
    for note in results.notes:
        complain("bench", f"not measured: {note}")
    if not summaries:
        raise typer.Exit(1)


def _check_targets(json: Path | None, plot: Path | None) -> None:
    """Refuse what could not be written in the end, before anything is measured.

    Raises:
        OSError: the file or the directory cannot be made.
    """
    if json is not None:
        json.open("a").close()
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
