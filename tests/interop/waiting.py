"""Waiting for what another process or the kernel does: a condition is asked again and again, for so long and no longer."""

import asyncio
import time
from collections.abc import Callable

STEP = 0.01
"""Seconds between two looks."""
PATIENCE = 30.0
"""Seconds after which a condition that does not hold is a failure: far more than any takes, on any machine."""


def eventually(condition: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Return once ``condition`` holds, for a test that has no event loop."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience} s in vain: {what}"
        time.sleep(STEP)


async def becomes(condition: Callable[[], bool], what: str, *, patience: float = PATIENCE) -> None:
    """Return once ``condition`` holds; the stack on this event loop goes on meanwhile."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience} s in vain: {what}"
        await asyncio.sleep(STEP)
