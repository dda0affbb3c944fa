"""A command starts without what only the others need: each of those takes a tenth of a second or more to import."""

import subprocess
import sys

import pytest

from tests.cli.running import ROOT, userstack

LOADED = """\
import sys
from userstack.cli.app import run
run([sys.argv[1], "--help"])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"lark", "pyroute2", "scapy"}), file=sys.stderr)
"""


@pytest.mark.parametrize(("command", "heavy"), [("ss", []), ("drill", ["lark"]), ("nc", ["pyroute2", "scapy"])])
def test_a_command_loads_what_it_needs(command: str, heavy: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"userstack {command} [OPTIONS]" in done.stdout
    assert done.stderr.split() == heavy


def test_the_help_knows_every_command() -> None:
    shown = userstack("--help").stdout.decode()
    places = [shown.index(f"│ {command} ") for command in ("demo", "nc", "ss", "drill", "doctor")]
    assert places == sorted(places)
