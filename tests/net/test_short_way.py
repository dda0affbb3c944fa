"""A known connection's bare segments are taken apart once, and judged by what judges those on the long way."""

import pytest

from tests.net.bench import HERE, ISS, Bench
from tests.sim.test_prediction import CountingCodec
from userstack.net.table import Entry
from userstack.tcp.state import State
from userstack.trace import PacketDropped
from userstack.wire.tcp import ACK, FIN, PSH, RST, SYN


@pytest.mark.parametrize("family", [4, 6])
def test_of_a_connection_only_the_syn_goes_the_long_way(family: int) -> None:
    bench = Bench()
    counting = CountingCodec(bench.host)
    listener = bench.listen(HERE[family])
    connection = bench.established(family, listener)
    bench.arrives(family, FIN | ACK, seq=101, ack=ISS + 1)
    assert connection.fin_received
    connection.close(now=bench.now)
    bench.host.touch(connection)
    bench.pull()
    bench.arrives(family, ACK, seq=102, ack=ISS + 2)
    assert connection.state is State.CLOSED
    assert bench.host.counters["TcpInSegs"] == 4
    assert counting.decoded == 1


@pytest.mark.parametrize("flags", [SYN | ACK, RST | ACK, SYN, RST])
def test_what_is_unusual_goes_it(flags: int) -> None:
    bench = Bench()
    bench.established(4, bench.listen(HERE[4]))
    counting = CountingCodec(bench.host)
    bench.arrives(4, flags, seq=101, ack=ISS + 1)
    assert counting.decoded == 1


@pytest.mark.parametrize("flags", [ACK, ACK | FIN, ACK | PSH | FIN])
def test_what_is_thrown_away_is_counted_and_traced(flags: int) -> None:
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.md5_key = b"key"
    counting = CountingCodec(bench.host)
    bench.arrives(4, flags, seq=101, ack=ISS + 1)
    assert counting.decoded == 0
    assert connection.state is State.ESTABLISHED
    assert bench.host.counters["TcpExtTCPMD5NotFound"] == 1
    assert [event.counter for event in bench.trace if isinstance(event, PacketDropped)] == ["TcpExtTCPMD5NotFound"]


def test_what_time_wait_has_left_takes_them_too() -> None:
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.release(now=bench.now)
    bench.host.touch(connection)
    bench.pull()
    bench.arrives(4, FIN | ACK, seq=101, ack=ISS + 2)
    bench.pull()
    (entry,) = bench.host.transport.table.entries.values()
    assert isinstance(entry, Entry)
    assert entry.record is not None
    counting = CountingCodec(bench.host)
    bench.arrives(4, FIN | ACK, seq=101, ack=ISS + 2)
    assert [segment.flags for segment in bench.pull()] == [ACK]
    assert counting.decoded == 0
