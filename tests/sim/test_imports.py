"""Virtual time is nobody else's time: ``sim`` imports no loop and no clock, and of ``socket`` only constants and an error class."""

import ast
from pathlib import Path

import pytest

import userstack.sim

FILES = sorted(Path(userstack.sim.__file__).parent.glob("*.py"))
FORBIDDEN = {"asyncio", "time", "select", "selectors", "threading", "scapy", "pyroute2"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_loop_no_clock_no_real_socket(path: Path) -> None:
    tree = ast.parse(path.read_text())
    modules = {alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    sources = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    modules |= {str(node.module).partition(".")[0] for node in sources}
    assert not modules & FORBIDDEN

    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket"
    }
    used |= {alias.name for node in sources if node.module == "socket" for alias in node.names}
    assert all(name.isupper() or name == "gaierror" for name in used)
