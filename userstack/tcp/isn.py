"""Initial sequence numbers after RFC 6528: ISN = M + F(local, remote, secret) (MUST-8, MUST-9, SHLD-1)."""

import hashlib
from collections.abc import Callable
from typing import Final

from userstack.address import Endpoint
from userstack.config import MICROSECOND
from userstack.tcp.seq import MASK

IsnGenerator = Callable[[Endpoint, Endpoint, int], int]
"""(local, remote, now in ns) -> 32 bits."""

_TICK: Final = 4 * MICROSECOND


class SecretIsn:
    """M counts four-microsecond ticks; F is keyed BLAKE2s, which nobody without the secret can compute."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:32]

    def __call__(self, local: Endpoint, remote: Endpoint, now: int) -> int:
        """The ISN of a connection between these sockets that opens now."""
        ports = local.port.to_bytes(2, "big") + remote.port.to_bytes(2, "big")
        digest = hashlib.blake2s(local.address + remote.address + ports, digest_size=4, key=self._secret).digest()
        return (now // _TICK + int.from_bytes(digest, "big")) & MASK
