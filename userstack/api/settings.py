"""What every way of making a stack can be told."""

from typing import TypedDict

from userstack.config import StackConfig
from userstack.packetio.impairment import Impairment
from userstack.runtime.clock import Clock
from userstack.tcp.isn import IsnGenerator
from userstack.trace import Tracer


class Settings(TypedDict, total=False):
    """Keyword arguments that ``tun``, ``veth``, ``tap``, ``interface``, ``memory`` and ``link`` share; all may be left out."""

    config: StackConfig | None
    """Times, sizes, limits; None for the defaults."""
    codec: str
    """``fast`` (the default), or ``scapy``: every packet goes through scapy's layers."""
    trace: Tracer | None
    """Is told of every packet, transition and timer."""
    impairment: Impairment | None
    """Makes the link bad in both directions; not for ``link``, whose device is the caller's to wrap."""
    secret: bytes | None
    """Where initial sequence numbers come from (RFC 6528), at least 16 bytes; None for one that nobody knows."""
    seed: int | None
    """Makes ports and, without ``secret``, initial sequence numbers repeatable. For tests: who knows it can guess them."""
    isn: IsnGenerator | None
    """Takes the place of RFC 6528 altogether. For tests."""
    clock: Clock | None
    """The time; None for the machine's monotonic clock."""
