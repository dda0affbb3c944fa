"""``userstack doctor``: is this machine ready, and if not, what mends it."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from userstack.cli.checks import Finding, run_checks
from userstack.cli.guard import guarded, run_async


@guarded("doctor")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON object.")] = False) -> None:
    """Check devices, privileges, routes, firewall, netcat and libraries, and say what mends each failure.

    Exit code 0 when everything required is there, else 1.
    """
    raise typer.Exit(run_async(_examine(as_json=as_json)))


async def _examine(*, as_json: bool) -> int:
    """Check all and tell it. Gives the exit code."""
    findings = []
    for finding in run_checks():
        findings.append(finding)
        await asyncio.sleep(0)  # only here, where nothing is held, does a signal end it
    ready = all(finding.ok for finding in findings if finding.required)
    if as_json:
        print(json.dumps({"ok": ready, "checks": [asdict(finding) for finding in findings]}, indent=2))
    else:
        _show(findings, ready=ready)
    return 0 if ready else 1


def _show(findings: list[Finding], *, ready: bool) -> None:
    console = Console(highlight=False)
    for finding in findings:
        word, style = _verdict(finding)
        console.print(Text.assemble((f"{word:<8}", style), (f"{finding.name:<10} ", "bold"), finding.detail), soft_wrap=True)
        if finding.ok is not True and finding.mend:
            console.print(Text.assemble((f"{'':8}{'':10} mend: ", "dim"), finding.mend), soft_wrap=True)
    console.print(
        "ready" if ready else "not ready: what is marked as missing is needed", style="bold green" if ready else "bold red"
    )


def _verdict(finding: Finding) -> tuple[str, str]:
    if finding.ok is None:
        return "unknown", "yellow"
    if finding.ok:
        return "ok", "green"
    return ("missing", "bold red") if finding.required else ("warning", "yellow")
