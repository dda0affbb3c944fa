"""Duplicate address detection (RFC 4862 5.4): before an address is used, every node of the link is asked whether it has it.

Note: no random delay goes before the first question (5.4.2, a SHOULD for machines that start up together): a program that opens a
stack waits for it.
"""

from collections.abc import Iterable


class _Probe:
    """An address that is asked about. ``deadline`` is when the wait for an objection is over; None: a question has to go out."""

    __slots__ = ("deadline", "remaining")

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining
        self.deadline: int | None = None


class DuplicateAddressDetection:
    """Asks ``transmits`` times about each of ``addresses``, waiting ``interval`` ns for an objection each time.

    The wait begins when the question leaves, not before: a device that takes nothing does not make an address unique.
    """

    def __init__(self, addresses: Iterable[bytes], *, transmits: int, interval: int) -> None:
        self._probes = {address: _Probe(transmits) for address in addresses}
        self._interval = interval

    def poll(self, *, now: int) -> bytes | None:
        """The next address to ask about; None where there is none at the time."""
        for address, probe in self._probes.items():
            if probe.deadline is None:
                probe.remaining -= 1
                probe.deadline = now + self._interval
                return address
        return None

    def objection(self, address: bytes) -> bool:
        """Somebody else has ``address``, or wants it too; False where it is not asked about."""
        return self._probes.pop(address, None) is not None

    def next_deadline(self) -> int | None:
        """When ``on_deadline`` has something to do (ns)."""
        return min((probe.deadline for probe in self._probes.values() if probe.deadline is not None), default=None)

    def on_deadline(self, *, now: int) -> list[bytes]:
        """The addresses that nobody has objected to; the others whose wait is over are asked about again."""
        unique = []
        for address, probe in list(self._probes.items()):
            if probe.deadline is None or probe.deadline > now:
                continue
            if probe.remaining:
                probe.deadline = None
            else:
                del self._probes[address]
                unique.append(address)
        return unique
