"""poll and epoll: what is ready, as Linux tells it."""

import errno
from collections.abc import Iterator

from userstack.config import MILLISECOND
from userstack.drill.calls.context import Attempt, Context, Descriptor, Done, Epoll, Interest, Wait, arguments, failure, listed
from userstack.drill.compare import Field
from userstack.drill.script import Number, Structure, SystemCall, Value
from userstack.drill.values import BadArgument, describe, is_anything, items

POLLERR, POLLHUP, POLLNVAL = 0x008, 0x010, 0x020
ALWAYS = POLLERR | POLLHUP
"""What is told whether or not it is asked for."""
EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLWAKEUP = 1 << 31, 1 << 30, 1 << 28, 1 << 29
MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP
ADD, DELETE, MODIFY = 1, 2, 3


class Patience:
    """A call that sleeps until something is ready, or so many milliseconds have passed; negative: for ever."""

    def __init__(self, context: Context, timeout: int) -> None:
        self._until = None if timeout < 0 else context.system.now + timeout * MILLISECOND
        self._context = context

    def wait(self) -> None:
        """Nothing is ready: sleep on, unless the time is up.

        Raises:
            Wait: it is not.
        """
        if self._until is None or self._context.system.now < self._until:
            raise Wait(self._until)


# --- poll ---


def poll(context: Context, call: SystemCall) -> Attempt:
    """``poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 1000) = 1``."""
    array, count, timeout = arguments(call, 3)
    entries = [_entry(context, item) for item in listed(context, array, count)]
    patience = Patience(context, context.reader.number(timeout))

    def attempt() -> Done:
        ready = [_ready(context, number, events) for number, events, _ in entries]
        if not any(ready):
            patience.wait()
        different = []
        for (number, _, expected), got in zip(entries, ready, strict=True):
            if expected is not None and not is_anything(expected) and context.reader.number(expected) != got:
                different.append(Field(f"revents of {number}", describe(expected), hex(got)))
        return Done(sum(map(bool, ready)), tuple(different))

    return attempt


def _entry(context: Context, item: Value) -> tuple[int, int, Value | None]:
    """Descriptor, events, and the expected revents of one pollfd."""
    fd, events = (item.get("fd"), item.get("events")) if isinstance(item, Structure) else (None, None)
    if not isinstance(item, Structure) or fd is None or events is None:
        raise BadArgument(f"{describe(item)} is no pollfd")
    return context.reader.number(fd), context.reader.number(events), item.get("revents")


def _ready(context: Context, number: int, events: int) -> int:
    if number < 0:
        return 0
    descriptor = context.descriptors.get(number)
    if not isinstance(descriptor, Descriptor):
        return POLLNVAL
    return descriptor.socket.poll() & (events | ALWAYS)


# --- epoll ---


def epoll_create(context: Context, call: SystemCall) -> Attempt:
    """``epoll_create(1) = 5``, ``epoll_create1(0) = 5``."""
    arguments(call, 1)
    return lambda: Done(context.install(call, Epoll()))


def epoll_ctl(context: Context, call: SystemCall) -> Attempt:
    """``epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = 0``."""
    number, operation, target, event = arguments(call, 4)
    epoll = _epoll(context, number)
    what, key = context.reader.number(operation), context.reader.number(target)
    descriptor = context.socket(target)

    def attempt() -> Done:
        if (key in epoll.interests) is (what == ADD):
            raise failure(errno.EEXIST if what == ADD else errno.ENOENT)
        if what == DELETE:
            del epoll.interests[key]
        elif what in {ADD, MODIFY}:
            epoll.interests[key] = _interest(context, descriptor, event)
        else:
            raise failure(errno.EINVAL)
        return Done(0)

    return attempt


def epoll_wait(context: Context, call: SystemCall) -> Attempt:
    """``epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1``."""
    number, expected, most, timeout, *_ = arguments(call, *((5, 6) if call.name == "epoll_pwait" else (4, 4)))
    epoll = _epoll(context, number)
    limit = context.reader.number(most)
    patience = Patience(context, context.reader.number(timeout))

    def attempt() -> Done:
        ready = list(_told(epoll))[:limit]
        if not ready:
            patience.wait()
        for interest, _ in ready:
            _tell(interest)
        return Done(len(ready), tuple(_event_differs(context, expected, ready)))

    return attempt


def _epoll(context: Context, value: Value) -> Epoll:
    found = context.descriptors.get(context.reader.number(value))
    if not isinstance(found, Epoll):
        raise failure(errno.EBADF if found is None else errno.EINVAL)
    return found


def _interest(context: Context, descriptor: Descriptor, event: Value) -> Interest:
    if not isinstance(event, Structure) or (events := event.get("events")) is None:
        raise BadArgument(f"{describe(event)} is no epoll_event")
    data = next((one.value for one in event.fields if one.name != "events"), Number(0))
    return Interest(descriptor, context.reader.number(events), data)


def _told(epoll: Epoll) -> Iterator[tuple[Interest, int]]:
    """What is ready and to be told: edge-triggered, only where something has happened since it was told last."""
    for interest in epoll.interests.values():
        if not interest.events & ~MODES:
            continue
        ready = interest.descriptor.socket.poll() & (interest.events & ~MODES | ALWAYS)
        if ready and (not interest.events & EPOLLET or interest.reported != _activity(interest)):
            yield interest, ready


def _tell(interest: Interest) -> None:
    interest.reported = _activity(interest)
    if interest.events & EPOLLONESHOT:
        interest.events &= MODES


def _activity(interest: Interest) -> tuple[object, ...]:
    """What changes with everything that wakes a sleeper of the kernel: text, a state, readiness."""
    info = interest.descriptor.socket.info()
    return info.bytes_received, info.state, interest.descriptor.socket.poll()


def _event_differs(context: Context, expected: Value, ready: list[tuple[Interest, int]]) -> Iterator[Field]:
    for item, (interest, got) in zip(items(expected), ready, strict=False):
        if not isinstance(item, Structure):
            continue
        events = item.get("events")
        if events is not None and not is_anything(events) and context.reader.number(events) != got:
            yield Field("events", describe(events), hex(got))
        data = next((one.value for one in item.fields if one.name != "events"), None)
        if data is not None and not is_anything(data) and context.reader.number(data) != context.reader.number(interest.data):
            yield Field("data", describe(data), describe(interest.data))
