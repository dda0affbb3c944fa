"""The five arguments that every contender's program is started with, and the words that it answers with."""

import ipaddress
from dataclasses import dataclass

from userstack.bench.contender import Mode

ECHO, DISCARD, CHARGEN = 7, 9, 19
"""The ports of the three services (RFC 862, 863, 864)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender serves."""

    device: str
    mode: Mode
    address: ipaddress.IPv4Interface
    """The contender's own."""
    kernel: ipaddress.IPv4Address
    """The kernel's at the other end."""
    mtu: int

    @classmethod
    def parse(cls, words: list[str]) -> "Place":
        """Read DEVICE MODE ADDRESS/PREFIX KERNEL_ADDRESS MTU.

        Raises:
            SystemExit: they are something else; its text is one line.
        """
        try:
            device, mode, address, kernel, mtu = words
            return cls(device, Mode(mode), ipaddress.IPv4Interface(address), ipaddress.IPv4Address(kernel), int(mtu))
        except ValueError as error:
            raise SystemExit(f"arguments are DEVICE MODE ADDRESS/PREFIX KERNEL_ADDRESS MTU: {error}") from None


def say(word: str) -> None:
    """Tell the harness how far we are: ``device`` or ``ready``."""
    print(word, flush=True)
