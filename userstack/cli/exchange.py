"""What netcat does with a connection: standard input goes out, what comes in goes to standard output, until both ends are through.

Law: memory stays bounded, since neither direction reads on before what it has read was taken; and no byte that came is left behind.
"""

import asyncio
from contextlib import suppress

from userstack.api.connection import Connection
from userstack.cli.stdio import Input, Output
from userstack.errors import BrokenPipe, NotConnected
from userstack.tcp.state import State

RECEIVE = 256 * 1024


class Exchange:
    """One connection's worth of netcat.

    Args:
        connection: established; it belongs to the caller.
        source: what is sent.
        sink: where to put what comes.
        half_close: send a FIN when the source ends (``-N``).
        linger: when the peer has closed, go on until the source ends; else only as long as it has something at once (``-l``).
        idle: seconds without a byte in either direction after which it is over (``-w``); None for ever.
        deliver: wait until the peer has acknowledged everything; else the stack sees to it while others are served (``-k``).
        time_wait: and then until TIME-WAIT, where this end closed first, is over.
    """

    def __init__(
        self,
        connection: Connection,
        source: Input,
        sink: Output,
        *,
        half_close: bool,
        linger: bool,
        idle: float | None,
        deliver: bool = True,
        time_wait: bool = False,
    ) -> None:
        self._connection = connection
        self._source = source
        self._sink = sink
        self._half_close = half_close
        self._linger = linger
        self._idle = idle
        self._deliver = deliver
        self._time_wait = time_wait
        self._deadline: asyncio.Timeout | None = None

    async def run(self) -> None:
        """Carry bytes until the peer has closed and the source is through, then close.

        Raises:
            OSError: the connection broke, or the sink did. The connection is aborted then.
        """
        self._source.resume()
        try:
            await self._until_idle()
            await self._close()
        except BaseException:
            self._connection.abort()
            raise

    async def _until_idle(self) -> None:
        self._deadline = asyncio.timeout(self._idle)
        try:
            async with self._deadline:
                await self._both_ways()
        except TimeoutError:
            if not self._deadline.expired():  # the connection's own time-out is an error
                raise

    async def _both_ways(self) -> None:
        up, down = asyncio.create_task(self._upload()), asyncio.create_task(self._download())
        try:
            await down
            if not self._linger:
                self._source.finish()
            await up
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _upload(self) -> None:
        # A connection that broke says why to whoever receives; here it is only the end.
        with suppress(BrokenPipe, NotConnected):
            while data := await self._source.read():
                self._stir()
                await self._connection.send(data)
            if self._half_close:
                await self._connection.shutdown()

    async def _download(self) -> None:
        while data := await self._connection.recv(RECEIVE):
            self._stir()
            await self._sink.write(data)

    def _stir(self) -> None:
        """Something moved: the idle time starts anew."""
        if self._idle is not None and self._deadline is not None:
            self._deadline.reschedule(asyncio.get_running_loop().time() + self._idle)

    async def _close(self) -> None:
        await self._connection.close()
        if not self._deliver:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._idle):
                await self._connection.wait_state(State.FIN_WAIT_2, State.TIME_WAIT)
        if self._time_wait:
            await self._connection.wait_closed()
