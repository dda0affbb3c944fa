"""The errors that only the sockets can give; the rest stands in ``userstack.errors``."""

import errno
import os

from userstack.errors import CallerError


class Busy(CallerError):
    """Another task is already in this call on the same connection: whose bytes they were would be left to chance."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EALREADY, message)


class ClosedHandle(CallerError):
    """The program has closed this connection or listener (the kernel's EBADF)."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EBADF, message)


class NoSuchOption(CallerError):
    """A socket option that this stack does not have."""

    def __init__(self) -> None:
        super().__init__(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
