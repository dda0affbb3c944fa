"""Which port an active open gets: double-hash port selection, RFC 6056 3.3.4 (algorithm 4), as Linux has it.

Towards one remote socket the ports follow each other, so that one is used again as late as can be and a TIME-WAIT there is in
nobody's way; where they begin for another remote socket only the secret tells.
"""

import hashlib
from array import array
from collections.abc import Callable
from typing import Final

from userstack.address import Endpoint
from userstack.errors import AddressNotAvailable

_TABLE: Final = 1024
"""Counters. RFC 6056 3.3.4: the more, the less one destination tells of how often others are connected to."""


class EphemeralPorts:
    """The counters of one host. ``ports``: the first and the last port."""

    __slots__ = ("_counters", "_ports", "_secret")

    def __init__(self, secret: bytes, ports: tuple[int, int]) -> None:
        self._secret = secret[:32]
        self._ports = ports
        self._counters = array("Q", bytes(8 * _TABLE))

    def choose(self, address: bytes, remote: Endpoint, is_free: Callable[[int], bool]) -> int:
        """A port that ``is_free`` for a connection from ``address`` to ``remote``.

        Raises:
            AddressNotAvailable: there is none.
        """
        first, last = self._ports
        size = last - first + 1
        offset, index = self._hashes(address, remote)
        for _ in range(size):
            port = first + (offset + self._counters[index]) % size
            self._counters[index] += 1
            if is_free(port):
                return port
        raise AddressNotAvailable(f"every ephemeral port from {first} to {last} is in use")

    def _hashes(self, address: bytes, remote: Endpoint) -> tuple[int, int]:
        """F and G of 3.3.4: the keys of both are one secret and the halves of a digest."""
        data = address + remote.address + remote.port.to_bytes(2, "big")
        digest = hashlib.blake2s(data, digest_size=16, key=self._secret, person=b"port").digest()
        return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big") % _TABLE
