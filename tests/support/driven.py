"""A host and a device that only write down what a driver does with them."""

import os
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from tests.support.stacks import virtual_loop
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.net.listener import Listener
from userstack.runtime.driver import Driver
from userstack.tcp.connection import Connection
from userstack.wire.ip import Buffer


class ScriptedDevice:
    """Holds packets to read; ``refusals`` says how many writes in a row find it full. A context manager."""

    name = "scripted"
    mtu = 1500
    mac: bytes | None = None
    level = 3

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.arriving: deque[bytes] = deque()
        self.refusals = 0
        self.failure: OSError | None = None
        self.deadline: int | None = None
        self._event = os.eventfd(0, os.EFD_NONBLOCK)

    def fileno(self) -> int:
        return self._event

    def arrive(self, *packets: bytes) -> None:
        self.arriving.extend(packets)
        os.eventfd_write(self._event, 1)

    def fail(self, error: OSError) -> None:
        self.failure = error
        os.eventfd_write(self._event, 1)

    def read(self) -> tuple[bytes, bool] | None:
        if self.failure is not None:
            raise self.failure
        if not self.arriving:
            self.log.append("read nothing")
            os.eventfd_write(self._event, 1)
            os.eventfd_read(self._event)
            return None
        return self.arriving.popleft(), True

    def write(self, packet: bytes) -> bool:
        if self.failure is not None:
            raise self.failure
        if self.refusals:
            self.refusals -= 1
            self.log.append("full")
            return False
        self.log.append(f"write {packet.decode()}")
        return True

    def next_deadline(self, now: int) -> int | None:
        return self.deadline

    def __enter__(self) -> "ScriptedDevice":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._event)


class ScriptedHost:
    """Sends what stands in ``leaving``, and raises what ``bugs`` has for a call, once."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.config = StackConfig()
        self.counters = Counters()
        self.leaving: deque[bytes] = deque()
        self.changed: set[Any] = set()
        self.deadline: int | None = None
        self.bugs: dict[str, Exception] = {}
        self.lasting: Exception | None = None
        """What every ``poll_transmit`` raises."""

    def deliver(self, data: Buffer, *, now: int, checksum_ok: bool = False, more: bool = False) -> bool:
        self._fail("deliver")
        self.log.append(f"deliver {bytes(data).decode()}")
        return bytes(data).startswith(b"held")

    def settle(self, *, now: int) -> None:
        self._fail("settle")

    def poll_transmit(self, *, now: int) -> bytes | None:
        self._fail("poll_transmit")
        if self.lasting is not None:
            raise self.lasting
        if self.leaving:
            return self.leaving.popleft()
        self.log.append("transmit done")
        return None

    def advance(self, *, now: int) -> None:
        self._fail("advance")
        self.log.append(f"advance {now}")
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None

    def next_deadline(self) -> int | None:
        return self.deadline

    def touch(self, connection: object) -> None:
        self.changed.add(connection)

    def touched(self) -> set[Any]:
        changed, self.changed = self.changed, set()
        return changed

    def _fail(self, call: str) -> None:
        error = self.bugs.pop(call, None)
        if error is not None:
            raise error


class Scene:
    """A driver between a ``ScriptedHost`` and a ``ScriptedDevice`` on the running virtual loop, with their common log."""

    def __init__(self, device: ScriptedDevice, now: Callable[[], int] | None = None) -> None:
        self.log = device.log
        self.device = device
        self.host = ScriptedHost(self.log)
        self._now = now or virtual_loop().clock.now
        self.driver = Driver(self.host, device, self)
        self.subject = cast("Connection | Listener", object())

    def now(self) -> int:
        return self._now()
