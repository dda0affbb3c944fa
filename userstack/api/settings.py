"""What every way of making a stack can be told. Law: a mistake is told before anything of the machine is touched."""

from typing import TypedDict

from userstack.config import StackConfig
from userstack.errors import InvalidArgument
from userstack.packetio.impairment import Impairment
from userstack.runtime.clock import Clock
from userstack.tcp.isn import IsnGenerator
from userstack.trace import Tracer
from userstack.wire.codec import make_codec

SECRET_BYTES = 16
"""The least that keeps initial sequence numbers from being guessed (RFC 6528)."""


class Settings(TypedDict, total=False):
    """Keyword arguments that ``tun``, ``veth``, ``tap``, ``interface``, ``memory`` and ``link`` share; all may be left out."""

    config: StackConfig | None
    """Times, sizes, limits; None for the defaults."""
    codec: str
    """``fast`` (the default), or ``scapy``: every packet goes through scapy's layers."""
    trace: Tracer | None
    """Is told of every packet, transition and timer. What it raises goes to the loop's exception handler."""
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


def check_settings(settings: Settings) -> None:
    """Refuse what is no setting, which a type checker sees and a running program does not, and what cannot be one's value.

    Raises:
        TypeError: there is no setting of that name.
        InvalidArgument: the codec or the secret cannot be.
    """
    unknown = settings.keys() - Settings.__annotations__.keys()
    if unknown:
        raise TypeError(f"there is no setting {', '.join(sorted(unknown))}: there are {', '.join(Settings.__annotations__)}")
    make_codec(settings.get("codec", "fast"))
    secret = settings.get("secret")
    if secret is not None and len(secret) < SECRET_BYTES:
        raise InvalidArgument(f"secret must be at least {SECRET_BYTES} bytes, not {len(secret)}")
