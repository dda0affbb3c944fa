"""The workers around a host: hands on what is theirs, and takes in what they hand on. Law: a packet is taken in by one of them."""

import asyncio
from collections.abc import Callable

from userstack.counters import Counters
from userstack.net.sharing import Sharing, Stop
from userstack.packetio.mesh import Letter, Mesh
from userstack.wire.ip import Buffer

BATCH = 16
"""Letters read before anything is sent, as of packets."""


class Siblings:
    """Reads this worker's inbox on the running event loop until it is closed.

    Args:
        mesh: the inboxes, this worker's taken.
        sharing: who gets what.
        deliver: takes a frame in here, and whether its TCP checksum is known to be right.
        counters: where it counts.
    """

    def __init__(self, mesh: Mesh, sharing: Sharing, *, deliver: Callable[[Buffer, bool], None], counters: Counters) -> None:
        self._mesh = mesh
        self._sharing = sharing
        self._deliver = deliver
        self._counters = counters
        self._me, count = sharing.share
        self._others = [number for number in range(count) if number != self._me]
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(mesh.fileno(), self._on_readable)

    def close(self) -> None:
        """Read no more; the mesh stays the caller's."""
        self._loop.remove_reader(self._mesh.fileno())

    def elsewhere(self, frame: Buffer, vouched: bool) -> bool:
        """Show a frame that the kernel has given to this worker; True where another one gets it instead."""
        if self._sharing.is_known(frame):
            return False
        if self._sharing.is_for_all(frame):
            for number in self._others:
                self._send(number, Letter(self._me, 0, frame, vouched, for_all=True))
            return False
        return self._passed_on(Letter(self._me, 0, frame, vouched))

    def _passed_on(self, letter: Letter) -> bool:
        following = self._sharing.next_stop(letter.frame, Stop(letter.origin, letter.seen))
        if following is None:
            return False
        worker, stop = following
        self._counters.add("UserstackPassedOn")
        self._send(worker, letter._replace(seen=stop.seen))
        return True

    def _send(self, worker: int, letter: Letter) -> None:
        if not self._mesh.send(worker, letter):
            self._counters.add("UserstackPassedOnDrops")

    def _on_readable(self) -> None:
        for _ in range(BATCH):
            letter = self._mesh.receive()
            if letter is None:
                return
            if letter.for_all or not self._passed_on(letter):
                self._deliver(letter.frame, letter.vouched)
