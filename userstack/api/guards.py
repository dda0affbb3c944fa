"""Checks of what a program passes in. Law: each failure is one clear line that names the value and what it could be."""

import operator

from userstack.api.errors import Busy
from userstack.errors import InvalidArgument


def busy(what: str) -> Busy:
    """One task at a time may be in a call on one connection; the second gets this at once instead of a share of the bytes."""
    return Busy(f"another task is already in {what}")


def parse_port(port: int) -> int:
    """A port as the core takes it.

    Raises:
        InvalidArgument: the number is not in 0 to 65535.
        TypeError: it is no integer.
    """
    number = operator.index(port)
    if not 0 <= number <= 65535:
        raise InvalidArgument(f"a port is 0 to 65535, not {number}")
    return number


def check_timeout(timeout: float | None) -> None:
    """Refuse a negative timeout; None means for ever.

    Raises:
        InvalidArgument: it is below 0, or not a number.
    """
    if timeout is not None and not timeout >= 0:
        raise InvalidArgument(f"a timeout is a number of seconds from 0 up, or None, not {timeout}")
