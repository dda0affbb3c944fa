"""What TCP asks of IP and hears from it in every packet: TTL, Diffserv, DF, addresses (RFC 9293 3.9.1.1, 3.9.1.9, 3.9.2)."""

import pytest

from tests.net.bench import CODEC, HERE, ISS, PORT, THERE, Bench
from userstack.address import Endpoint, pack_address
from userstack.errors import InvalidArgument, NetworkUnreachable
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, FIN, PSH, SYN, TcpSegment

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def segment_of(family: int, flags: int, *, seq: int, ack: int = 0, data: bytes = b"", ttl: int = 64, tos: int = 0) -> IPPacket:
    octets = CODEC.encode_tcp(TcpSegment(5000, PORT, seq, ack, flags, 65535, payload=data), THERE[family], HERE[family])
    return IPPacket(THERE[family], HERE[family], TCP, octets, ttl=ttl, tos=tos)


def sends(bench: Bench, connection: Connection) -> IPPacket:
    """The packet of one small segment, which the peer acknowledges."""
    connection.send(b"x", now=bench.now)
    bench.host.touch(connection)
    (packet,) = bench.packets()
    bench.arrives(4 if packet.version == 4 else 6, ACK, seq=101, ack=connection.tcb.snd_nxt)
    return packet


@pytest.mark.requirement("MUST-48")
@pytest.mark.requirement("SHLD-21")
@pytest.mark.requirement("SHLD-22")
@FAMILIES
def test_every_segment_carries_the_diffserv_field_that_is_set_now(family: int) -> None:
    """SHLD-23, not to change it during a connection, is the application's; but it can."""
    bench = Bench(tos=0x20)
    listener = bench.listen(HERE[family])
    bench.arrives(family, SYN, seq=100)
    assert [packet.tos for packet in bench.packets()] == [0x20]
    bench.arrives(family, ACK, seq=101, ack=ISS + 1)
    connection = listener.accept()
    assert connection is not None
    assert sends(bench, connection).tos == 0x20
    for tos in (0xB8, 0xFC, 0):
        connection.tos = tos
        assert sends(bench, connection).tos == tos


@pytest.mark.requirement("MUST-49")
@FAMILIES
def test_the_ttl_can_be_set_for_the_stack_and_for_a_connection(family: int) -> None:
    bench = Bench(default_ttl=77)
    connection = bench.established(family, bench.listen(HERE[family]))
    assert sends(bench, connection).ttl == 77
    connection.ttl = 255
    assert sends(bench, connection).ttl == 255


@pytest.mark.requirement("MAY-9")
@FAMILIES
def test_the_diffserv_field_of_the_last_acceptable_segment_is_told(family: int) -> None:
    bench = Bench()
    connection = bench.established(family, bench.listen(HERE[family]))
    assert connection.info().rcv_tos == 0
    bench.deliver(segment_of(family, ACK | PSH, seq=101, ack=ISS + 1, data=b"x", tos=0xB8))
    assert connection.info().rcv_tos == 0xB8
    bench.deliver(segment_of(family, ACK | PSH, seq=101 + 10_000_000, ack=ISS + 1, data=b"x", tos=0x20))
    assert connection.info().rcv_tos == 0xB8, "what is not acceptable may be anybody's"


# --- the least TTL (RFC 5082) ---


@FAMILIES
@pytest.mark.parametrize(("ttl", "taken"), [(255, True), (254, True), (253, False), (1, False)])
def test_segments_from_too_far_are_dropped(family: int, ttl: int, taken: bool) -> None:
    bench = Bench()
    connection = bench.established(family, bench.listen(HERE[family]))
    connection.min_ttl = 254
    bench.deliver(segment_of(family, ACK | PSH, seq=101, ack=ISS + 1, data=b"x", ttl=ttl))
    assert connection.info().unread == taken
    assert bench.host.counters["TcpExtTCPMinTTLDrop"] == (not taken)


@FAMILIES
@pytest.mark.parametrize(("ttl", "answers"), [(255, 1), (254, 0)])
def test_a_listener_answers_no_syn_from_too_far(family: int, ttl: int, answers: int) -> None:
    bench = Bench(min_ttl=255)
    bench.listen(HERE[family])
    bench.deliver(segment_of(family, SYN, seq=100, ttl=ttl))
    assert len(bench.packets()) == answers


@FAMILIES
@pytest.mark.parametrize(("ttl", "answer"), [(255, SYN | ACK), (254, None)])
def test_a_syn_from_too_far_does_not_reopen_time_wait(family: int, ttl: int, answer: int | None) -> None:
    bench = Bench(min_ttl=255)
    listener = bench.listen(HERE[family])
    bench.deliver(segment_of(family, SYN, seq=100, ttl=255))
    bench.deliver(segment_of(family, ACK, seq=101, ack=ISS + 1, ttl=255))
    connection = listener.accept()
    assert connection is not None
    connection.release(now=bench.now)
    bench.host.touch(connection)
    bench.packets()
    bench.deliver(segment_of(family, FIN | ACK, seq=101, ack=ISS + 2, ttl=255))
    bench.packets()
    bench.deliver(segment_of(family, SYN, seq=200_000, ttl=ttl))
    assert [segment.flags for segment in bench.pull()] == ([] if answer is None else [answer])
    assert bench.host.counters["TcpExtTCPMinTTLDrop"] == (answer is None)


def test_each_family_can_have_its_own() -> None:
    bench = Bench(min_ttl=255, min_hop_count=0)
    bench.listen(HERE[6])
    bench.deliver(segment_of(6, SYN, seq=100, ttl=1))
    assert len(bench.packets()) == 1


@FAMILIES
@pytest.mark.parametrize(("left", "heard"), [(255, True), (253, False)])
def test_an_error_about_a_segment_that_had_gone_too_far_is_dropped(family: int, left: int, heard: bool) -> None:
    """RFC 5082 3: who is a neighbour meets errors only next door."""
    bench = Bench(min_ttl=254)
    connection = bench.connect(family)
    quote = CODEC.encode_tcp(TcpSegment(connection.local.port, PORT, ISS, 0, SYN, 0), HERE[family], THERE[family])
    packet = CODEC.encode_ip(IPPacket(HERE[family], THERE[family], TCP, quote, ttl=left))
    bench.icmp_arrives(family, IcmpMessage(*((3, 1) if family == 4 else (1, 3)), 0, packet))
    assert (connection.soft_error is not None) == heard


# --- addresses ---


@pytest.mark.requirement("MUST-43")
@pytest.mark.requirement("MUST-44")
@pytest.mark.requirement("MUST-45")
@pytest.mark.parametrize("bound", [None, "10.0.0.1", "10.0.0.7"])
def test_all_segments_have_the_address_that_was_given_or_the_one_that_ip_chose(bound: str | None) -> None:
    bench = Bench("10.0.0.1/24", "10.0.0.7/24", "172.16.0.1/16")
    binding = None if bound is None else bench.host.bind(Endpoint(pack_address(bound), 0))
    connection = bench.host.connect(Endpoint(THERE[4], PORT), binding=binding, now=0)
    expected = pack_address(bound or "10.0.0.1")
    assert connection.local.address == expected
    first = bench.packets()
    answer = TcpSegment(PORT, connection.local.port, 100, ISS + 1, SYN | ACK, 65535)
    bench.deliver(IPPacket(THERE[4], expected, TCP, CODEC.encode_tcp(answer, THERE[4], expected)))
    connection.send(b"x", now=0)
    bench.host.touch(connection)
    later = bench.packets()
    assert {packet.source for packet in first + later} == {expected}
    assert len(later) > 0


@pytest.mark.requirement("MUST-46")
@pytest.mark.parametrize("remote", ["255.255.255.255", "10.0.0.255", "224.0.0.1", "0.0.0.0", "127.0.0.1", "ff02::1", "::"])
def test_nobody_is_opened_to_who_is_not_one_host(remote: str) -> None:
    bench = Bench()
    with pytest.raises((NetworkUnreachable, InvalidArgument)):
        bench.host.connect(Endpoint(pack_address(remote), PORT), now=0)
    assert bench.packets() == []


@pytest.mark.requirement("MUST-57")
@pytest.mark.parametrize("flags", [SYN, ACK, PSH | ACK])
@pytest.mark.parametrize("destination", ["255.255.255.255", "10.0.0.255", "10.0.0.0", "224.0.0.1"])
def test_segments_to_many_are_discarded(destination: str, flags: int) -> None:
    bench = Bench()
    bench.listen(bytes(4))
    bench.arrives(4, flags, seq=100, destination=pack_address(destination))
    assert bench.packets() == []
    assert [row.state for row in bench.host.connections()] == [State.LISTEN]


@pytest.mark.requirement("MUST-63")
@pytest.mark.parametrize("flags", [SYN, ACK])
@pytest.mark.parametrize("source", ["255.255.255.255", "10.0.0.255", "10.0.0.0", "224.0.0.1", "0.0.0.0", "127.0.0.1"])
def test_segments_from_nobody_are_discarded(source: str, flags: int) -> None:
    bench = Bench()
    bench.listen(bytes(4))
    bench.arrives(4, flags, seq=100, source=pack_address(source))
    assert bench.packets() == []
    assert [row.state for row in bench.host.connections()] == [State.LISTEN]


def test_a_packet_sent_again_has_an_identification_of_its_own() -> None:
    """MAY-4 is not taken: with DF nobody looks at it, without DF one that differs keeps fragments of the two apart (RFC 6864 4)."""
    bench = Bench()
    connection = bench.established(4, bench.listen(HERE[4]))
    connection.send(b"x", now=0)
    bench.host.touch(connection)
    (first,) = bench.packets()
    bench.now = connection.next_deadline() or 0
    bench.host.advance(now=bench.now)
    (again,) = bench.packets()
    assert bytes(again.payload) == bytes(first.payload)
    assert again.identification != first.identification
