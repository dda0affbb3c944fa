"""Path MTUs by destination: shared, remembered, forgotten, bounded (RFC 1191 6, RFC 8201 5.2)."""

import gc

import pytest

from tests.net.bench import CODEC, HERE, ISS, PORT, THERE, Bench
from userstack.address import pack_address
from userstack.config import SECOND, StackConfig
from userstack.counters import Counters
from userstack.net.paths import Paths
from userstack.tcp.connection import Connection
from userstack.tcp.pmtudisc import PmtuDiscovery
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, TcpSegment

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def too_big(bench: Bench, family: int, connection: Connection, mtu: int, *, seq: int = ISS + 1) -> None:
    """A router's message about a segment of the connection's."""
    segment = TcpSegment(PORT, connection.remote.port, seq, 0, ACK, 0) if connection.remote else None
    assert segment is not None
    quote = CODEC.encode_ip(IPPacket(HERE[family], THERE[family], TCP, CODEC.encode_tcp(segment, HERE[family], THERE[family])))
    message = IcmpMessage(3, 4, mtu, quote) if family == 4 else IcmpMessage(2, 0, mtu, quote)
    bench.icmp_arrives(family, message, source=pack_address("10.0.0.9" if family == 4 else "fd3d::9"))


def sizes(bench: Bench) -> list[int]:
    return [(20 if packet.version == 4 else 40) + len(packet.payload) for packet in bench.packets()]


@FAMILIES
def test_other_connections_to_the_same_place_follow_what_one_has_learned(family: int) -> None:
    bench = Bench()
    listener = bench.listen(HERE[family])
    one, other = bench.established(family, listener), bench.established(family, listener, port=5001)
    one.send(b"x" * 2000, now=0)
    bench.host.touch(one)
    assert max(sizes(bench)) == 1500
    too_big(bench, family, one, 1300)
    assert max(sizes(bench)) == 1300
    other.send(b"x" * 2000, now=0)
    bench.host.touch(other)
    assert max(sizes(bench)) == 1300
    third = bench.established(family, listener, port=5002)
    assert third.info().path_mtu == 1300
    assert third.path_mtu(now=0) == 1300


@FAMILIES
def test_a_path_is_remembered_beyond_its_connections_for_ten_minutes(family: int) -> None:
    bench = Bench()
    listener = bench.listen(HERE[family])
    connection = bench.established(family, listener)
    connection.send(b"x", now=0)
    bench.host.touch(connection)
    bench.packets()
    too_big(bench, family, connection, 1300)
    connection.abort(now=0)
    bench.host.touch(connection)
    bench.packets()
    del connection
    gc.collect()
    assert bench.established(family, listener, port=5001).info().snd_mss == (1300 - (40 if family == 4 else 60))
    bench.run(600 * SECOND - 1)
    assert bench.established(family, listener, port=5002).path_mtu(now=bench.now) == 1300
    bench.run(600 * SECOND)
    assert bench.established(family, listener, port=5003).path_mtu(now=bench.now) == 1500


@FAMILIES
def test_a_connection_that_lives_tries_larger_segments_again(family: int) -> None:
    """RFC 1191 6.3."""
    bench = Bench(path_mtu_expires=5 * SECOND)
    connection = bench.established(family, bench.listen(HERE[family]))
    connection.send(b"x", now=0)
    bench.host.touch(connection)
    bench.packets()
    too_big(bench, family, connection, 1300)
    bench.arrives(family, ACK, seq=101, ack=ISS + 2)
    for now, largest in ((5 * SECOND - 1, 1300), (5 * SECOND, 1500)):
        bench.now = now
        before = connection.tcb.snd_nxt
        connection.send(b"x" * 3000, now=now)
        bench.host.touch(connection)
        assert max(sizes(bench)) == largest
        bench.arrives(family, ACK, seq=101, ack=before + 3000)
        bench.packets()


def test_without_df_where_a_router_takes_very_little() -> None:
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.send(b"x" * 1460, now=0)
    bench.host.touch(connection)
    assert [packet.dont_fragment for packet in bench.packets()] == [True]
    too_big(bench, 4, connection, 296)
    assert [(packet.dont_fragment, len(packet.payload)) for packet in bench.packets()] == [(False, 532), (False, 532), (False, 456)]


@pytest.mark.parametrize(
    ("mode", "df", "again"),
    [
        (PmtuDiscovery.DONT, False, []),
        (PmtuDiscovery.WANT, True, [1000, 540]),
        (PmtuDiscovery.DO, True, [1000, 540]),
        (PmtuDiscovery.PROBE, False, [1000, 540]),
        (PmtuDiscovery.INTERFACE, False, []),
        (PmtuDiscovery.OMIT, False, []),
    ],
)
def test_ip_mtu_discover(mode: PmtuDiscovery, df: bool, again: list[int]) -> None:
    """The kernel's TCP does the same: ``tests/interop/test_df.py``."""
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.pmtu_discovery = mode
    connection.send(b"x" * 1460, now=0)
    bench.host.touch(connection)
    assert [packet.dont_fragment for packet in bench.packets()] == [df]
    too_big(bench, 4, connection, 1000)
    assert sizes(bench) == again
    assert connection.path_mtu(now=0) == 1000


@pytest.mark.parametrize("mode", PmtuDiscovery)
def test_ipv6_mtu_discover(mode: PmtuDiscovery) -> None:
    bench = Bench()
    connection = bench.established(6, bench.listen(HERE[6]))
    connection.pmtu_discovery = mode
    connection.send(b"x" * 1440, now=0)
    bench.host.touch(connection)
    bench.packets()
    too_big(bench, 6, connection, 1300)
    assert connection.path_mtu(now=0) == (1500 if mode.is_deaf else 1300)
    assert sizes(bench) == ([] if mode.is_deaf else [1300, 260])


def test_with_df_always_what_fits_nowhere_is_told() -> None:
    """IP_PMTUDISC_DO: EMSGSIZE, as Linux tells it."""
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.pmtu_discovery = PmtuDiscovery.DO
    connection.send(b"x" * 1460, now=0)
    bench.host.touch(connection)
    bench.packets()
    too_big(bench, 4, connection, 296)
    assert all(packet.dont_fragment for packet in bench.packets())
    assert connection.soft_error is not None
    assert connection.soft_error.errno == 90


def test_no_more_paths_are_remembered_than_allowed() -> None:
    counters = Counters()
    paths = Paths(1500, config=StackConfig(max_paths=3), counters=counters)
    for number in range(5):
        address = bytes((10, 0, 0, number))
        path = paths.to(address, now=0)
        path.learn(1000 + number, least=552, lifetime=SECOND, now=0)
        paths.keep(address, path)
        del path
    gc.collect()
    assert len(paths) == 3
    assert counters["IpPathMtuEvicted"] == 2
    assert [paths.to(bytes((10, 0, 0, number)), now=0).mtu for number in range(5)] == [1500, 1500, 1002, 1003, 1004]


def test_paths_of_which_nothing_was_learned_leave_nothing_behind() -> None:
    paths = Paths(1500, config=StackConfig(), counters=Counters())
    path = paths.to(b"\x0a\x00\x00\x01", now=0)
    paths.keep(b"\x0a\x00\x00\x01", path)
    assert len(paths) == 0
    assert paths.to(b"\x0a\x00\x00\x01", now=0) is path


@pytest.mark.parametrize("mtu", [1500, 1501, 9000])
def test_a_larger_mtu_is_not_believed(mtu: int) -> None:
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.send(b"x" * 1460, now=0)
    bench.host.touch(connection)
    bench.packets()
    too_big(bench, 4, connection, mtu)
    assert bench.packets() == []
    assert len(bench.host.transport.paths) == 0


def test_a_message_about_what_is_acknowledged_is_counted() -> None:
    """RFC 5927 7.2: of data in flight alone; SND.NXT is none of it."""
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    too_big(bench, 4, connection, 1000)
    assert connection.path_mtu(now=0) == 1500
    assert bench.host.counters["TcpExtOutOfWindowIcmps"] == 1
