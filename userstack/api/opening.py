"""Waiting for an active open to succeed. Law: an open that does not succeed, for whatever reason, leaves nothing behind."""

import asyncio

from userstack.api.connection import Connection
from userstack.errors import ConnectionRefused, ConnectionTimedOut
from userstack.runtime.driver import Driver
from userstack.tcp import connection as tcp
from userstack.tcp.state import State
from userstack.wire.ip import Buffer

OPENING = frozenset({State.SYN_SENT, State.SYN_RECEIVED})
"""Where an active open can be before it is established; SYN-RECEIVED when both ends open at once."""


async def establish(core: tcp.Connection, driver: Driver, timeout: float | None) -> None:  # noqa: ASYNC109
    """Wait until ``core`` is connected.

    Args:
        core: in SYN-SENT.
        driver: what moves its packets.
        timeout: seconds after which to give up; None leaves it to the stack (R2, RFC 9293 3.8.3).

    Raises:
        ConnectionRefusedError: a RST answered.
        TimeoutError: nothing answered in time.
        OSError: whatever else ended it: unreachable, the device gone, the stack closed.
    """
    driver.touch(core)
    try:
        async with asyncio.timeout(timeout):
            await driver.until(core, lambda: core.state not in OPENING)
    except BaseException as error:
        # Note: whoever is cancelled may have become established in the same turn of the loop.
        if core.state is not State.CLOSED:
            core.abort(now=driver.now())
            driver.touch(core)
        if isinstance(error, TimeoutError) and not error.errno:  # that of asyncio.timeout, not the stack's own
            raise ConnectionTimedOut(f"{core.remote} did not answer within {timeout} s") from None
        raise
    if core.state is State.CLOSED:
        raise core.error or ConnectionRefused


async def send_first(connection: Connection, data: Buffer) -> None:
    """Send what an open was to bring along and the SYN did not; who gives up meanwhile has no connection.

    Raises:
        OSError: as ``Connection.send``.
    """
    if not len(data):
        return
    try:
        await connection.send(data)
    except BaseException:
        connection.abort()
        raise
