"""Who reads which descriptor: a loop knows one reader of each, and the second would take it from the first without a word."""

import asyncio
import errno
from collections.abc import Callable
from weakref import WeakValueDictionary

from userstack.errors import CallerError, InvalidArgument
from userstack.runtime.device import PacketDevice

_claims: "WeakValueDictionary[int, Claim]" = WeakValueDictionary()


class Claim:
    """The right to a device's descriptor, until it is given back, its loop is closed, or nobody holds it any more.

    Args:
        device: whose descriptor.
        loop: which watches it.
        lose: called with the reason where the device was closed while it was claimed, and its number is claimed for another.

    Raises:
        InvalidArgument: the device is closed.
        CallerError: with EBUSY, it is claimed already.
    """

    __slots__ = ("__weakref__", "_device", "_loop", "_lose", "descriptor")

    def __init__(self, device: PacketDevice, loop: asyncio.AbstractEventLoop, lose: Callable[[OSError], None]) -> None:
        self.descriptor = device.fileno()
        self._device = device
        self._loop = loop
        self._lose = lose
        if self.descriptor < 0:
            raise InvalidArgument(f"the device {device.name} is closed")
        other = _claims.get(self.descriptor)
        if other is not None and not other._loop.is_closed():
            if other._device.fileno() == self.descriptor:
                raise CallerError(errno.EBUSY, f"the device {device.name} serves a stack already: each needs a device of its own")
            if other._loop is loop:  # the number is new, and the loop must not take it for the old
                other._lose(OSError(errno.EBADF, "it was closed while a stack ran on it"))
        _claims[self.descriptor] = self

    def give_back(self) -> bool:
        """Let others have it. False: the number is another device's by now."""
        if _claims.get(self.descriptor) is not self:
            return False
        del _claims[self.descriptor]
        return True
