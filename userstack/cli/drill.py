"""``userstack drill``: packetdrill scripts against the stack, in virtual time."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from userstack.cli.console import make_console
from userstack.cli.drillreport import DrillReport
from userstack.cli.guard import guarded
from userstack.drill.junit import write_junit
from userstack.drill.outcome import Verdict
from userstack.drill.settings import Variant
from userstack.drill.suite import PROFILES, Case, Manner, Result, find, run_suite

VARIANTS = {"ipv4": Variant.IPV4, "ipv6": Variant.IPV6, "ipv4-mapped": Variant.MAPPED}


@guarded("drill")
def drill(
    scripts: Annotated[list[Path], typer.Argument(metavar="SCRIPT|DIRECTORY...", help="Scripts, or directories of *.pkt files.")],
    *,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(PROFILES), help="Whose habits the stack has; without it the script's own sysctl names choose."
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar=",".join(VARIANTS), help="The IP versions to run each script over; without it the script's own."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Data must be cut into segments just as the script has it.")] = False,
    define: Annotated[list[str] | None, typer.Option("-D", "--define", metavar="NAME=VALUE", help="Give a symbol a value.")] = None,
    jobs: Annotated[int, typer.Option("-j", "--jobs", min=1, help="Scripts at once.")] = len(os.sched_getaffinity(0)),
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit's XML too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as one JSON object.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the ladder of every script, not only of those that fail.")
    ] = False,
) -> None:
    """Run packetdrill scripts against the stack, in virtual time: no device, no privilege, no waiting.

    A script passes, fails, or is skipped with the reason: it needs what userstack does not have. Exit code 0 only if none failed.
    Like packetdrill, it runs the Python of a script's %{ }% blocks: take scripts from people you trust. Shell commands are never
    run, only read for the sysctls that they set.
    """
    if profile is not None and profile not in PROFILES:
        raise typer.BadParameter(f"--profile is one of {', '.join(PROFILES)}, not {profile!r}")
    manner = Manner(profile, strict, _read_defines(define or []))
    variants = _read_variants(variant)
    cases = [Case(path, one) for path in find(scripts) for one in variants]
    results = _run(cases, manner, jobs, quiet=as_json, verbose=verbose)
    if junit is not None:
        write_junit(results, junit)
    if as_json:
        print(json.dumps(_as_json(results), indent=2), flush=True)
    raise typer.Exit(1 if any(result.outcome.verdict is Verdict.FAILED for result in results) else 0)


def _read_variants(text: str | None) -> Sequence[Variant | None]:
    if text is None:
        return [None]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in VARIANTS:
            raise typer.BadParameter(f"--variant takes {', '.join(VARIANTS)}, not {name!r}")
    return [VARIANTS[name] for name in dict.fromkeys(names)]


def _read_defines(words: Iterable[str]) -> dict[str, str]:
    defines = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not (separator and name.isidentifier()):
            raise typer.BadParameter(f"-D takes NAME=VALUE, not {word!r}")
        defines[name] = value
    return defines


def _run(cases: Sequence[Case], manner: Manner, jobs: int, *, quiet: bool, verbose: bool) -> list[Result]:
    """The results in the order of the cases; on a terminal a bar shows how far they are, and what fails is told at once."""
    console = make_console(sys.stdout)
    report = DrillReport(console, verbose=verbose)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results: dict[Case, Result] = {}
    with (
        Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress,
        closing(run_suite(cases, manner, jobs)) as suite,
    ):
        task = progress.add_task("scripts", total=len(cases))
        for result in suite:
            results[result.case] = result
            progress.advance(task)
            if not quiet:
                report.show(result)
    in_order = [results[case] for case in dict.fromkeys(cases)]
    if not quiet:
        report.sum_up(in_order)
    return in_order


def _as_json(results: Sequence[Result]) -> dict[str, Any]:
    counts = Counter(result.outcome.verdict for result in results)
    reasons = Counter(result.outcome.message for result in results if result.outcome.verdict is Verdict.SKIPPED)
    return {
        **{verdict.value: counts[verdict] for verdict in Verdict},
        "reasons": dict(reasons.most_common()),
        "scripts": [_one_as_json(result) for result in results],
    }


def _one_as_json(result: Result) -> dict[str, Any]:
    outcome = result.outcome
    told: dict[str, Any] = {
        "script": str(result.case.path),
        "variant": result.case.variant.value if result.case.variant else None,
        "verdict": outcome.verdict.value,
        "seconds": round(result.seconds, 3),
    }
    if outcome.message:
        told["message"] = outcome.message
    if outcome.place is not None:
        told |= {"line": outcome.place.line, "column": outcome.place.column}
    if outcome.difference is not None:
        told |= {"expected": outcome.difference.expected, "got": outcome.difference.got}
    return told
