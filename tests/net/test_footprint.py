"""What a connection costs in memory while nothing happens, before it is established, and what is left of it in TIME-WAIT."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from tests.net.bench import HERE, ISS, PORT, Bench
from userstack.address import Endpoint
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, FIN, SYN

SEVERAL = 200


def bytes_each(make: Callable[[int], object]) -> float:
    """Of what ``make`` leaves behind; the first of them also fills what all of them share."""
    kept = [make(5000)]
    gc.collect()
    tracemalloc.start()
    try:
        kept += [make(5001 + number) for number in range(SEVERAL)]
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / SEVERAL
    finally:
        tracemalloc.stop()


@pytest.mark.once
def test_an_idle_connection_takes_no_more_than_2300_bytes() -> None:
    bench = Bench()
    listener = bench.listen(HERE[4])

    def make(port: int) -> Connection:
        connection = bench.established(4, listener, port=port)
        bench.trace.clear()
        bench.host.touched()
        return connection

    assert bytes_each(make) <= 2300


@pytest.mark.once
def test_a_half_open_connection_takes_no_more_than_2400_bytes() -> None:
    bench = Bench()
    bench.host.listen(bench.host.bind(Endpoint(HERE[4], PORT)), backlog=2 * SEVERAL, now=bench.now)

    def make(port: int) -> None:
        bench.arrives(4, SYN, seq=100, port=port)
        assert [segment.flags for segment in bench.pull()] == [SYN | ACK]
        bench.trace.clear()
        bench.host.touched()

    assert bytes_each(make) <= 2400


@pytest.mark.once
def test_time_wait_takes_no_more_than_900_bytes() -> None:
    bench = Bench()
    listener = bench.listen(HERE[4])

    def make(port: int) -> None:
        connection = bench.established(4, listener, port=port)
        connection.release(now=bench.now)
        bench.host.touch(connection)
        bench.pull()
        bench.arrives(4, FIN | ACK, seq=101, ack=ISS + 2, port=port)
        bench.pull()
        assert connection.state is State.TIME_WAIT
        bench.trace.clear()
        bench.host.touched()

    assert bytes_each(make) <= 900
