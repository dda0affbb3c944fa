"""What is left behind. Law: everything is counted at the end as it was at the beginning; nothing is assumed to be gone."""

import asyncio
import os
from collections.abc import Collection

from userstack.api.stack import Stack
from userstack.host.links import list_devices
from userstack.host.netns import list_namespaces

Leaks = dict[str, int]
"""How many of each kind are left that were not there before; all 0 where nothing is."""


class Baseline:
    """The descriptors and tasks of this process now."""

    def __init__(self) -> None:
        self._descriptors = _descriptors()
        self._tasks = set(asyncio.all_tasks())

    def compare(self, *, devices: Collection[str], namespaces: Collection[str]) -> Leaks:
        """What has been added since; of devices and namespaces those with the names given (others come and go by themselves)."""
        return {
            "tasks": len(asyncio.all_tasks() - self._tasks),
            "descriptors": max(_descriptors() - self._descriptors, 0),
            "devices": len(set(devices) & set(list_devices())),
            "namespaces": len(set(namespaces) & set(list_namespaces())),
        }


def stack_leaks(stack: Stack) -> Leaks:
    """What a stack still holds though nobody uses it."""
    return {"tcbs": len(stack.connections()), "timers": len(stack.host.transport.table.wheel)}


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 # names are enough
