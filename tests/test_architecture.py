"""The laws of the house, read from the source itself: which way imports run, what the core may import, how long things may be."""

import ast
import graphlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "userstack"

# From top to bottom; modules that share a line may import each other, as long as no cycle comes of it.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"bench"},
    {"__init__"},
    {"api"},
    {"observe"},
    {"runtime"},
    {"drill"},
    {"sim"},
    {"packetio"},
    {"host"},
    {"net"},
    {"tcp"},
    {"wire"},
    {"errors", "config", "trace", "counters", "address"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

CORE = ("net", "tcp", "wire", *LAYERS[-1])
# What would let I/O, a clock, a task or chance into the core: all of these are injected.
IMPURE = {
    *("asyncio", "asyncore", "concurrent", "contextvars", "multiprocessing", "queue", "sched", "selectors", "signal", "subprocess"),
    *(
        "_socket",
        "_thread",
        "fcntl",
        "io",
        "mmap",
        "os",
        "pathlib",
        "select",
        "shutil",
        "socket",
        "socketserver",
        "ssl",
        "tempfile",
    ),
    *("threading", "datetime", "time", "random", "secrets", "uuid", "logging"),
}
# Beside the standard library: who may import what. Anything that is not named here is nobody's.
THIRD_PARTY = {
    "scapy": {"cli", "api", "observe", "drill", "sim", "packetio"},
    "pyroute2": {"host"},
    "lark": {"drill"},
    "rich": {"cli", "observe"},
    "typer": {"cli"},
    "uvloop": {"cli", "bench", "runtime"},
    "matplotlib": {"cli", "bench", "observe"},
}
MAX_FUNCTION = 60
MAX_MEDIAN_FUNCTION = 12
MAX_FILE = 500


class Module(NamedTuple):
    """One source file: its dotted name, whether it is a package's ``__init__``, and its syntax tree."""

    name: str
    is_package: bool
    tree: ast.Module

    @property
    def layer(self) -> str:
        """The part of the house that it stands in."""
        return layer_of(self.name)


def layer_of(name: str) -> str:
    """``userstack.tcp.state`` -> ``tcp``; the package's own ``__init__`` is a layer too, since it is the public face."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def parse(path: Path) -> Module:
    """Read one file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), is_package, ast.parse(path.read_text(), str(path)))


def imports(module: Module, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Every module that an import statement names, anywhere in the file, with its line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.name.split(".")
                parents = parents[: len(parents) - node.level + module.is_package]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in known else base


def objections(module: Module, known: frozenset[str]) -> list[str]:
    """What the laws have against the imports of one module."""
    found = []
    for line, target in imports(module, known):
        reason = objection(module, target)
        if reason:
            found.append(f"{module.name}:{line} imports {target}: {reason}")
    return found


def objection(module: Module, target: str) -> str | None:
    """Why ``module`` may not import ``target``; None where it may."""
    top = target.split(".", maxsplit=1)[0]
    if top == "userstack":
        above = RANK[layer_of(target)] < RANK[module.layer]
        return f"{layer_of(target)} stands above {module.layer}" if above else None
    if top in sys.stdlib_module_names:
        impure = top in IMPURE and module.layer in CORE and module.name != "userstack.errors"  # os.strerror
        return "the core is handed time, chance and packets, it fetches nothing" if impure else None
    if module.name == "userstack.wire.scapy_codec" and top == "scapy":
        return None
    return None if module.layer in THIRD_PARTY.get(top, ()) else f"{module.layer} does not import {top}"


@cache
def modules() -> tuple[Module, ...]:
    """Those of the package; read when the first test asks, not by everyone who collects the tests."""
    return tuple(parse(path) for path in sorted(PACKAGE.rglob("*.py")))


@cache
def known() -> frozenset[str]:
    """Their names."""
    return frozenset(module.name for module in modules())


def test_every_module_stands_in_a_layer() -> None:
    assert [module.name for module in modules() if module.layer not in RANK] == []


def test_imports_run_downwards_and_the_core_imports_nothing_impure() -> None:
    assert [text for module in modules() for text in objections(module, known())] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module.name: {target for _, target in imports(module, known()) if target in known()} - {module.name} for module in modules()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle (TYPE_CHECKING is no way out, a Protocol is): {' -> '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("userstack.wire.tcp", "from userstack.tcp import state", "tcp stands above wire"),
        ("userstack.wire.tcp", "from ..tcp.state import State", "tcp stands above wire"),
        ("userstack.tcp.rtt", "if TYPE_CHECKING:\n    import userstack.net.host", "net stands above tcp"),
        ("userstack.net.host", "def f():\n    import userstack", "__init__ stands above net"),
        ("userstack.errors", "from userstack.wire.ip import Buffer", "wire stands above errors"),
        ("userstack.tcp.rtt", "import time", "the core is handed"),
        ("userstack.net.host", "from os import urandom", "the core is handed"),
        ("userstack.wire.fast_codec", "import scapy.all", "wire does not import scapy"),
        ("userstack.runtime.driver", "import pyroute2", "runtime does not import pyroute2"),
        ("userstack.cli.main", "import requests", "cli does not import requests"),
    ],
)
def test_the_laws_object(name: str, source: str, reason: str) -> None:
    names = known() | {"userstack.tcp.state", "userstack.net.host", "userstack.wire.ip"}
    [text] = objections(Module(name, False, ast.parse(source)), names)
    assert reason in text


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("userstack.wire.scapy_codec", "from scapy.layers.inet import TCP"),
        ("userstack.tcp.rtt", "from userstack.wire.tcp import TcpSegment\nfrom . import state\nimport enum, struct"),
        ("userstack.host.netns", "import os, pyroute2"),
        ("userstack.trace", "from userstack.address import Endpoint"),
    ],
)
def test_the_laws_let_pass(name: str, source: str) -> None:
    assert objections(Module(name, False, ast.parse(source)), known()) == []


def test_importing_the_core_loads_no_event_loop_scapy_or_pyroute2() -> None:
    """Import statements are not all: whatever is loaded on the way counts too, in a fresh interpreter."""
    names = [module.name for module in modules() if module.layer in CORE and module.name != "userstack.wire.scapy_codec"]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'asyncio', 'pyroute2', 'rich', 'scapy', 'typer'}))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def functions() -> Iterator[tuple[str, int]]:
    """Every function of the package, and how many lines it takes from ``def`` to its end."""
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{module.name}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def test_functions_are_short() -> None:
    assert {name: length for name, length in functions() if length > MAX_FUNCTION} == {}
    assert statistics.median(length for _, length in functions()) <= MAX_MEDIAN_FUNCTION


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE} == {}


def variables(module: Module) -> list[str]:
    """The names in capitals that ``module`` binds without ``Final``."""
    found = []
    for node in module.tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
        final = isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).startswith("Final")
        names = [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        found += [name for name in names if name.isupper() and not final]
    return found


def test_constants_of_the_core_are_final() -> None:
    """What mypyc compiles looks every other name up in the dictionary of its module, each time anew."""
    law = Module("userstack.tcp.x", False, ast.parse("A = 1\nB: int = 2\nC, _D = 3, 4\nE: Final = 5\nf = 6\nG: Final[int] = 7"))
    assert variables(law) == ["A", "B", "C", "_D"]
    assert {module.name: names for module in modules() if module.layer in CORE and (names := variables(module))} == {}
