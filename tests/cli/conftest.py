"""What the tests of the command line share."""

from collections.abc import Iterator

import pytest

from userstack.host.netns import temporary_namespace


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace of the test's own, for the kernel's end."""
    with temporary_namespace("ustest-cli") as name:
        yield name
