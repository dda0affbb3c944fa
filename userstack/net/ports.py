"""Who uses which local port (RFC 9293 3.9.1.1), and how an unused one is chosen (RFC 6056).

Two uses of a port get along when both allow reuse (SO_REUSEADDR) and none listens, or when their addresses differ. What waits in
TIME-WAIT gives way to whoever allows reuse, as socket(7) has it: only a listener is in the way then. The ports of both families are
one set: ``::`` stands for every IPv4 address too, unless it is bound for IPv6 alone (IPV6_V6ONLY, RFC 3493 5.3).
"""

from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from userstack.address import Endpoint, is_unspecified
from userstack.errors import AddressInUse, AddressNotAvailable, InvalidArgument


class Kind(StrEnum):
    """What a port is used for."""

    BOUND = "bound"
    LISTENING = "listening"
    CONNECTED = "connected"
    TIME_WAIT = "time-wait"


class Use(NamedTuple):
    """One way in which a port is used; equal uses are counted together."""

    address: bytes
    reuse_address: bool
    kind: Kind
    v6only: bool = False
    """Of the address ``::`` alone: it leaves the IPv4 addresses to others."""


@lru_cache(1024)
def use_of(address: bytes, reuse_address: bool, kind: Kind) -> Use:
    """That of a connection: those between the same address and any peer have one and the same."""
    return Use(address, reuse_address, kind)


class Binding:
    """A local socket that a program has bound."""

    __slots__ = ("local", "use", "used_up")

    def __init__(self, local: Endpoint, use: Use) -> None:
        self.local = local
        self.use = use
        self.used_up = False
        """It has become a connection, or was given back."""

    @property
    def both_families(self) -> bool:
        """Bound to ``::`` for IPv4 and IPv6 alike."""
        return len(self.local.address) == 16 and is_unspecified(self.local.address) and not self.use.v6only

    def check(self) -> None:
        """Raise ``InvalidArgument`` where it is used up."""
        if self.used_up:
            raise InvalidArgument(f"the binding of {self.local} is used up: bind again")


class PortTable:
    """The uses of every port, counted."""

    __slots__ = ("_random", "_range", "_uses")

    def __init__(self, ephemeral: tuple[int, int], random: Callable[[int], int]) -> None:
        self._range = ephemeral
        self._random = random
        self._uses: dict[int, dict[Use, int]] = {}

    def bind(self, local: Endpoint, *, reuse_address: bool, v6only: bool = False) -> Binding:
        """Take ``local``; port 0 takes an unused one. ``v6only`` keeps ``::`` off IPv4.

        Raises:
            AddressInUse: another use of the port does not get along with it.
            AddressNotAvailable: no ephemeral port is free.
        """
        use = Use(local.address, reuse_address, Kind.BOUND, v6only and is_unspecified(local.address) and len(local.address) == 16)
        if not local.port:
            local = local._replace(port=self.choose(lambda port: port not in self._uses))
        elif not all(_get_along(use, other) for other in self._uses.get(local.port, ())):
            raise AddressInUse(f"{local} is in use")
        self.add(local.port, use)
        return Binding(local, use)

    def choose(self, is_free: Callable[[int], bool]) -> int:
        """An ephemeral port that ``is_free``, from a random place on (RFC 6056 3.3.1).

        Raises:
            AddressNotAvailable: there is none.
        """
        first, last = self._range
        size = last - first + 1
        start = self._random(size)
        for step in range(size):
            port = first + (start + step) % size
            if is_free(port):
                return port
        raise AddressNotAvailable(f"every ephemeral port from {first} to {last} is in use")

    def is_bound(self, port: int) -> bool:
        """True where a program has bound the port or listens on it."""
        return any(use.kind in {Kind.BOUND, Kind.LISTENING} for use in self._uses.get(port, ()))

    def listens(self, binding: Binding) -> bool:
        """True where some listener's address overlaps with that of ``binding``."""
        uses = self._uses.get(binding.local.port, ())
        return any(use.kind is Kind.LISTENING and _overlap(use, binding.use) for use in uses)

    def change(self, binding: Binding, kind: Kind) -> None:
        """The bound socket is used for something else now."""
        self.remove(binding.local.port, binding.use)
        binding.use = binding.use._replace(kind=kind)
        self.add(binding.local.port, binding.use)

    def release(self, binding: Binding) -> None:
        """The bound socket is gone, or has become something that counts by itself."""
        binding.check()
        binding.used_up = True
        self.remove(binding.local.port, binding.use)

    def add(self, port: int, use: Use) -> None:
        """Count one more use."""
        uses = self._uses.get(port)
        if uses is None:
            uses = self._uses[port] = {}
        uses[use] = uses.get(use, 0) + 1

    def remove(self, port: int, use: Use) -> None:
        """Count one use less."""
        uses = self._uses[port]
        uses[use] -= 1
        if not uses[use]:
            del uses[use]
        if not uses:
            del self._uses[port]


def _overlap(one: Use, other: Use) -> bool:
    """True where some packet could be for both, as Linux judges it (ipv6_rcv_saddr_equal)."""
    if len(one.address) == len(other.address):
        return one.address == other.address or is_unspecified(one.address) or is_unspecified(other.address)
    six = one if len(one.address) == 16 else other
    return is_unspecified(six.address) and not six.v6only


def _get_along(new: Use, old: Use) -> bool:
    if not _overlap(new, old):
        return True
    if not new.reuse_address or old.kind is Kind.LISTENING:
        return False
    return old.reuse_address or old.kind is Kind.TIME_WAIT
