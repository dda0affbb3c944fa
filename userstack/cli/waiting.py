"""Waiting for what tells nobody when it happens: another process, the kernel."""

import asyncio
from collections.abc import Callable

LOOK = 0.005
"""Seconds between two looks."""


async def until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds()``, by looking again and again."""
    while not holds():  # noqa: ASYNC110 # there is no event to wait for
        await asyncio.sleep(LOOK)
