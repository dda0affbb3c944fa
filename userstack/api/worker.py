"""Which of several workers a stack belongs to."""

from typing import NamedTuple


class Worker(NamedTuple):
    """One of the processes that ``userstack.run`` has started. They are one host to everybody else."""

    number: int
    """From 0 on."""
    workers: int
    """How many there are."""
    parent: int
    """The id of the process that called ``run``."""
