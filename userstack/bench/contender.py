"""What can be measured, and the contract between it and the harness.

A contender is a program that the harness starts inside a network namespace as

    argv... DEVICE MODE ADDRESS/PREFIX KERNEL_ADDRESS MTU

MODE is ``tun``: the program makes the TUN (or TAP) device DEVICE and prints ``device`` on a line of its own once it exists; then
the harness gives the kernel's end its address, raises it and sets its queue. Or it is ``veth``: DEVICE is there, up and without an
address. Once its three services take connections at ADDRESS, the program prints ``ready`` on a line of its own (both are flushed):

    port 7   echo      sends back what it receives; closes when the peer has
    port 9   discard   reads until the peer's FIN, then closes
    port 19  chargen   sends as fast as it can, until the peer closes or resets

It runs until SIGTERM. Helpers that it starts stay in its process group: their CPU time and memory count as its own.
"""

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class Mode(enum.StrEnum):
    """How a contender's packets reach the kernel."""

    TUN = "tun"
    """A TUN or TAP device that the contender makes."""
    VETH = "veth"
    """One end of a veth pair that the harness makes."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program to measure. With both modes it is measured twice, the second time as ``NAME-veth``."""

    description: str
    """One line for the report: what it is, its version, its language."""
    modes: tuple[Mode, ...]
    command: Callable[[], Sequence[str]]
    """Gives argv without the five arguments of the contract. Raises ``SetupError``, one line: what is missing, how to get it."""
    most_connections: int = 10_000
    """As many as it can hold at once; what needs more is not measured."""
    measures: tuple[str, ...] | None = None
    """The keys of ``measures.MEASURES`` that are asked of it; None for all."""
    own_memory: bool = True
    """Whether a connection's memory is its processes'; of the kernel's sockets it is not."""
