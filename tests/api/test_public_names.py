"""What ``import userstack`` promises."""

import ast
import importlib
from pathlib import Path

import pytest

import userstack


def stub_names() -> dict[str, str]:
    """Each name that type checkers see, with the module that it comes from."""
    stub = Path(userstack.__file__).with_suffix(".pyi")
    imports = (node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name: node.module or "" for node in imports for alias in node.names}


def test_every_public_name_is_there_and_is_what_type_checkers_see() -> None:
    names = stub_names()
    assert sorted(vars(userstack)["__all__"]) == sorted(names)
    assert set(names) <= set(dir(userstack))
    for name, home in names.items():
        assert getattr(userstack, name) is getattr(importlib.import_module(home), name)
        assert getattr(userstack, name).__doc__ or isinstance(getattr(userstack, name), int)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'udp'"):
        getattr(userstack, "udp")  # noqa: B009 # mypy knows that it is not there
