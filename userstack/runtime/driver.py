"""The loop around the sans-I/O host. Law: take in a whole batch, then send; one reader and one timer serve every connection.

Receiving a batch before anything is sent is what RFC 9293 asks for (MUST-58, MUST-59): one ACK answers many segments. A packet that
the device did not take is kept, and nothing further is built until it went out, so that the core never believes sent what was not.
"""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, cast

from userstack.config import SECOND
from userstack.errors import ConnectionAborted, NetworkError
from userstack.net.addresses import Addresses
from userstack.net.listener import Listener
from userstack.runtime.busy_poll import BusyPoll
from userstack.runtime.claim import Claim
from userstack.runtime.clock import Clock
from userstack.runtime.device import OffloadDevice, PacketDevice
from userstack.runtime.driven import DrivenHost
from userstack.runtime.heap import keep_what_is_freed
from userstack.runtime.waiters import T, Waiter, Waiters, go_on
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.offload import Outbound

BATCH, BATCH_OCTETS = 128, 1 << 20
"""Packets, and about so many octets, read before anything is sent: with more the rest of the loop would wait too long."""
ALONE = 8
"""A packet that is taken in by itself, and may be answered by itself, counts for so many that are taken in as one."""
BURST = 256
"""Packets sent before the loop gets its turn: a device as fast as TUN takes everything, and who waits would wait for all of it."""


class Driver:
    """Pumps packets between a host and its device on the running event loop, and wakes whoever waits for the outcome.

    Args:
        host: the sans-I/O stack.
        device: where its packets come from and go to.
        clock: the time that the host is told.

    Raises:
        InvalidArgument: the device is closed.
        CallerError: with EBUSY, another driver has it.
    """

    def __init__(self, host: DrivenHost, device: PacketDevice, clock: Clock) -> None:
        self.host = host
        self.device = device
        self.now = clock.now
        """The stack's time, in nanoseconds."""
        self.running = True
        """False once the device is gone or ``stop`` was called: nothing moves any more."""
        self._loop = asyncio.get_running_loop()
        self._claim = Claim(device, self._loop, self._lose)
        self._waiters = Waiters(self._loop)
        self._write = cast("Callable[[Outbound], bool]", device.write)  # for which the host builds whole packets
        if isinstance(device, OffloadDevice) and device.offload:
            self._write = device.write_offloaded
        self._held: Outbound | None = None
        self._flushing: asyncio.Handle | None = None
        self._goes_on = False
        """Those who waited do what they waited for, and output is seen to as soon as they are through."""
        self._busy_poll = BusyPoll(self._loop)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_deadline = 0
        keep_what_is_freed()
        self._loop.add_reader(self._claim.descriptor, self._on_readable)

    @property
    def waiting(self) -> int:
        """How many coroutines wait in ``until``."""
        return len(self._waiters)

    def check(self) -> None:
        """Refuse what would never leave.

        Raises:
            NetworkError: the device is gone.
            ConnectionAborted: the stack was closed.
        """
        if self._waiters.failure is not None:
            raise self._waiters.failure()

    def flush(self) -> None:
        """Have output, wake-ups and the timer seen to in this turn of the loop, once however many calls ask for it."""
        if self._flushing is None and self.running and not self._goes_on:
            self._flushing = self._loop.call_soon(self._flush)

    def touch(self, connection: Connection) -> None:
        """Say that a call was made on ``connection``, whose output and timers may follow from it."""
        self.host.touch(connection)
        self.flush()

    def abandon(self, connection: Connection) -> None:
        """Release a connection that no program holds any more. For finalizers: from any thread, and after the end of the loop."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._release, connection)

    def until(self, subject: Connection | Listener | Addresses, ready: Callable[[], bool]) -> Coroutine[Any, Any, None]:
        """Wait until ``ready()`` holds, asked whenever the host says that ``subject`` may have changed.

        Raises:
            NetworkError: the device is gone.
            ConnectionAborted: the stack was closed.
        """
        return self._waiters.until(subject, ready)

    def enter(self, subject: Connection, ready: Callable[[T], bool], whom: T) -> Waiter:
        """What ``until`` awaits as long as ``ready(whom)`` does not hold; see ``Waiters.enter``."""
        return self._waiters.enter(subject, ready, whom)

    def wake(self, subject: Connection | Listener) -> None:
        """Have those who wait for ``subject`` look again, after a call that the host does not know of."""
        self._waiters.wake((subject,))

    def interrupt(self, subject: Connection | Listener, make_error: Callable[[], OSError]) -> None:
        """Raise an error in those who wait for ``subject``."""
        self._waiters.interrupt(subject, make_error)

    def stop(self) -> None:
        """Send what is owed as far as the device takes it, then leave no reader, writer, timer or waiter behind.

        Who waits, or tries to later, gets ``ConnectionAborted``.
        """
        while self.running and self._held is None and self._transmit():
            pass
        self._pump()
        self._end(lambda: ConnectionAborted("the stack was closed"))

    def _release(self, connection: Connection) -> None:
        if connection.state is not State.CLOSED:
            connection.release(now=self.now())
            self.touch(connection)

    def _on_readable(self) -> None:
        """Take in a batch. Who waits for text reads it, and answers, before anything goes out: one ACK, or none but the answer.

        What ends a handshake, and a FIN, are acknowledged at once: whoever hears of them may speak or close in the same breath, and
        what is one segment then would be two steps of the protocol.
        """
        self._take_in(self.now())
        if not self.running:
            return
        free = self._waiters.let_go(self.host.touched())
        try:
            if self._held is None and not all(_reads(waiter.subject) for waiter in free):
                self._transmit()
        finally:  # whatever a device raises
            self._let_go_on(free)
        if self.running:
            self._busy_poll.extend()

    def _let_go_on(self, free: list[Waiter]) -> None:
        """Have tasks do what they waited for, then see to their output."""
        self._goes_on = True
        try:
            go_on(free)
        finally:
            self._goes_on = False
            self._pump()

    def _take_in(self, now: int) -> None:
        read, deliver = self.device.read, self.host.deliver
        room, octets = BATCH, BATCH_OCTETS
        try:
            while room > 0 and octets > 0:
                arrived = read()
                if arrived is None:
                    break
                packet, vouched = arrived
                octets -= len(packet)
                room -= 1
                try:
                    if not deliver(packet, now=now, checksum_ok=vouched, more=True):
                        room -= ALONE - 1
                except Exception as error:  # whatever a packet holds, this is ours
                    self._report("taking in a packet", error)
        except OSError as error:
            self._lose(error)
        try:
            self.host.settle(now=now)
        except Exception as error:
            self._report("taking in a batch", error)

    def _flush(self) -> None:
        self._flushing = None
        self._pump()

    def _on_timer(self) -> None:
        # The loop's clock is coarser than ours and may call early: then nothing is due yet, and the timer is armed for the rest.
        self._timer = None
        now = self.now()
        try:
            self.host.advance(now=now)
        except Exception as error:
            self._report("serving timers", error)
        self._take_in(now)
        self._pump()

    def _pump(self) -> None:
        if not self.running:
            return
        if self._held is None and self._transmit():
            self.flush()
        if self.running:
            self._waiters.wake(self.host.touched())
            self._arm()

    def _transmit(self) -> bool:
        """Send a burst; True where there may be more to send. One of nothing but bugs is the last: none may keep the loop."""
        now = self.now()
        poll, write = self.host.poll_transmit, self._write
        sent = False
        try:
            for _ in range(BURST):
                try:
                    packet = poll(now=now)
                except Exception as error:  # there may be others
                    self._report("building a packet", error)
                    continue
                if packet is None:
                    return False
                if not write(packet):
                    self._held = packet
                    self._loop.add_writer(self._claim.descriptor, self._on_writable)
                    return False
                sent = True
        except OSError as error:
            self._lose(error)
            return False
        return sent

    def _on_writable(self) -> None:
        packet = self._held
        assert packet is not None
        try:
            if not self._write(packet):
                return
        except OSError as error:
            self._lose(error)
            return
        self._held = None
        self._loop.remove_writer(self._claim.descriptor)
        self._pump()

    def _arm(self) -> None:
        now = self.now()
        deadline, other = self.host.next_deadline(), self.device.next_deadline(now)
        if other is not None and (deadline is None or other < deadline):
            deadline = other
        if deadline is None or (self._timer is not None and self._timer_deadline <= deadline):
            return  # one that fires too early is armed anew then: deadlines move away far more often than they come nearer
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._loop.time() + max(0, deadline - now) / SECOND, self._on_timer)
        self._timer_deadline = deadline

    def _report(self, doing: str, error: Exception) -> None:
        """A bug of ours: one packet or timer is lost to it, the other connections go on, and the loop's handler tells about it."""
        self.host.counters.add("UserstackBugs")
        self._loop.call_exception_handler({"message": f"userstack: a bug while {doing}", "exception": error})

    def _lose(self, error: OSError) -> None:
        number, reason = error.errno or errno.ENETDOWN, f"the device {self.device.name} is gone: {error.strerror or error}"
        self._end(lambda: NetworkError(number, reason))

    def _end(self, make_error: Callable[[], OSError]) -> None:
        if not self.running:
            return
        if self._claim.give_back():
            self._loop.remove_reader(self._claim.descriptor)
            self._loop.remove_writer(self._claim.descriptor)
        for handle in (self._flushing, self._timer):
            if handle is not None:
                handle.cancel()
        self._flushing = self._timer = None
        self._busy_poll.stop()
        self.running = False
        self._waiters.fail(make_error)


def _reads(subject: object) -> bool:
    """Who waited for it has text to read, and hears of nothing else."""
    return isinstance(subject, Connection) and subject.has_text and not subject.fin_received
