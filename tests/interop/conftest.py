"""What the kernel says as peer does not depend on the version of Python: these tests run on the first one alone.

``userstack nc`` and the demo meet the kernel on every one of them (tests/cli).
"""

from pathlib import Path

import pytest

HERE = f"{Path(__file__).parent}/"


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The hook is asked for the items of every directory."""
    for item in items:
        if str(item.path).startswith(HERE):
            item.add_marker(pytest.mark.once)
