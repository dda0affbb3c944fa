"""Source routes from end to end of a host (RFC 9293 3.9.2.1): given, recorded, returned, overridden, refused."""

import pytest

from tests.net.bench import CODEC, HERE, ISS, PORT, THERE, Bench
from userstack.address import Endpoint, pack_address
from userstack.config import SECOND
from userstack.errors import InvalidArgument, NetworkUnreachable
from userstack.net.listener import Listener
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, TCP, IPPacket
from userstack.wire.source_route import SourceRoute
from userstack.wire.tcp import ACK, FIN, MSS, PSH, RST, SYN, Option, TcpSegment

US, PEER = HERE[4], THERE[4]
G1, G2, G3 = (pack_address(f"10.1.1.{number}") for number in (1, 2, 3))
CAME_BY = bytes.fromhex("830b0c") + G1 + G2 + b"\0"
"""From the peer through G1 and G2, completed."""
BACK = (G2, bytes.fromhex("830b04") + G1 + PEER + b"\0")
"""Destination field and options of what goes back."""
OTHER_WAY = bytes.fromhex("830708") + G3 + b"\0"
UNTOUCHED = (PEER, b"")


def accepting() -> Bench:
    return Bench(accept_source_route=True)


def arrives(bench: Bench, flags: int, *, seq: int, ack: int = 0, options: bytes = CAME_BY, data: bytes = b"") -> None:
    """A segment of the peer's by a source route."""
    tcp = (Option(MSS, b"\xff\xff"),) if flags & SYN else ()
    segment = TcpSegment(5000, PORT, seq, ack, flags, 65535, options=tcp, payload=data)
    bench.deliver(IPPacket(PEER, US, TCP, CODEC.encode_tcp(segment, PEER, US), options=options))


def ways(bench: Bench) -> list[tuple[bytes, bytes]]:
    """Destination field and options of all that goes out; every checksum counts with the peer's address (3.9.2.1)."""
    packets = bench.packets()
    for packet in packets:
        if packet.protocol == TCP:
            CODEC.decode_tcp(IPPacket(packet.source, PEER, TCP, packet.payload))
            CODEC.decode_tcp(packet)
    return [(packet.destination, packet.options) for packet in packets]


def established(bench: Bench, listener: Listener) -> Connection:
    arrives(bench, SYN, seq=100)
    assert ways(bench) == [BACK]
    arrives(bench, ACK, seq=101, ack=ISS + 1)
    connection = listener.accept()
    assert connection is not None
    return connection


@pytest.mark.requirement("MUST-53")
def test_all_segments_of_a_connection_go_back_the_way_that_its_syn_has_come() -> None:
    bench = accepting()
    connection = established(bench, bench.listen(US))
    connection.send(b"x" * 2896, now=0)
    bench.host.touch(connection)
    assert ways(bench) == [BACK] * 2
    connection.close(now=0)
    bench.host.touch(connection)
    assert ways(bench) == [BACK]
    arrives(bench, FIN | ACK, seq=101, ack=ISS + 2898)
    assert connection.state is State.TIME_WAIT
    assert ways(bench) == [BACK]
    arrives(bench, FIN | ACK, seq=101, ack=ISS + 2898)
    assert ways(bench) == [BACK], "from TIME-WAIT, too"


@pytest.mark.requirement("MUST-16")
def test_segments_leave_room_for_the_ip_options() -> None:
    bench = accepting()
    connection = established(bench, bench.listen(US))
    assert connection.info().snd_mss == 1500 - 20 - len(CAME_BY) - 20
    connection.send(b"x" * 3000, now=0)
    bench.host.touch(connection)
    sizes = [20 + len(packet.options) + len(packet.payload) for packet in bench.packets()]
    assert sizes[:2] == [1500, 1500]


@pytest.mark.requirement("SHLD-24")
def test_a_later_route_overrides_the_earlier_one() -> None:
    bench = accepting()
    connection = established(bench, bench.listen(US))
    arrives(bench, ACK | PSH, seq=101, ack=ISS + 1, options=OTHER_WAY, data=b"x")
    assert connection.route == SourceRoute((G3,))
    arrives(bench, ACK, seq=102, ack=ISS + 1, options=b"")
    assert connection.route == SourceRoute((G3,)), "a segment without a route says nothing of it"


def test_a_segment_that_is_not_acceptable_turns_no_connection_away() -> None:
    """Who guesses the ports alone must not have the connection's segments sent to him."""
    bench = accepting()
    connection = established(bench, bench.listen(US))
    arrives(bench, ACK | PSH, seq=101 + 10_000_000, ack=ISS + 1, options=OTHER_WAY, data=b"x")
    assert connection.route == SourceRoute((G2, G1))


@pytest.mark.requirement("MUST-51")
@pytest.mark.parametrize("strict", [False, True])
def test_an_active_open_takes_the_route_that_it_was_given(strict: bool) -> None:
    bench = accepting()
    connection = bench.host.connect(Endpoint(PEER, PORT), now=0, route=SourceRoute((G1, G2), strict))
    way = (G1, bytes((137 if strict else 131, 11, 4)) + G2 + PEER + b"\0")
    assert ways(bench) == [way]
    assert connection.info().snd_mss == 536 - 12


@pytest.mark.requirement("MUST-52")
def test_the_given_route_takes_precedence_over_one_that_is_received() -> None:
    bench = accepting()
    connection = bench.host.connect(Endpoint(PEER, PORT), now=0, route=SourceRoute((G1,)))
    bench.packets()
    arrives_for(bench, connection, SYN | ACK, seq=100, ack=ISS + 1)
    arrives_for(bench, connection, ACK | PSH, seq=101, ack=ISS + 1, data=b"x")
    assert connection.state is State.ESTABLISHED
    assert connection.route == SourceRoute((G1,))
    connection.send(b"x", now=0)
    bench.host.touch(connection)
    assert {destination for destination, _ in ways(bench)} == {G1}


def arrives_for(bench: Bench, connection: Connection, flags: int, *, seq: int, ack: int, data: bytes = b"") -> None:
    segment = TcpSegment(PORT, connection.local.port, seq, ack, flags, 65535, payload=data)
    bench.deliver(IPPacket(PEER, US, TCP, CODEC.encode_tcp(segment, PEER, US), options=OTHER_WAY))


@pytest.mark.requirement("MUST-52")
def test_a_route_that_is_given_to_a_passive_connection_takes_precedence_too() -> None:
    bench = accepting()
    connection = established(bench, bench.listen(US))
    connection.give_route(SourceRoute((G3,)))
    arrives(bench, ACK | PSH, seq=101, ack=ISS + 1, data=b"x")
    assert connection.route == SourceRoute((G3,))


@pytest.mark.parametrize("accept", [True, False])
def test_a_reset_for_nobodys_segment_goes_back_the_same_way(accept: bool) -> None:
    bench = Bench(accept_source_route=accept)
    arrives(bench, SYN, seq=100)
    assert ways(bench) == ([BACK] if accept else [])


def test_an_echo_goes_back_the_same_way() -> None:
    """RFC 1122 3.2.2.6."""
    bench = accepting()
    echo = CODEC.encode_icmp(IcmpMessage(8, 0, 1, b"hello"))
    bench.deliver(IPPacket(PEER, US, ICMP, echo, options=CAME_BY))
    assert ways(bench) == [BACK]


@pytest.mark.parametrize("options", [CAME_BY, bytes.fromhex("890708") + G1 + b"\0"])
def test_a_host_takes_no_source_routes_unless_it_is_told_to(options: bytes) -> None:
    """RFC 6274 3.13.2.3, as Linux."""
    bench = Bench()
    bench.listen(US)
    arrives(bench, SYN, seq=100, options=options)
    assert bench.packets() == []
    assert bench.host.counters["IpInSourceRouteDrops"] == 1


def test_what_has_not_reached_its_destination_is_not_forwarded() -> None:
    bench = accepting()
    bench.listen(US)
    arrives(bench, SYN, seq=100, options=bytes.fromhex("830b08") + G1 + G2 + b"\0")
    assert bench.packets() == []
    assert bench.host.counters["IpInSourceRouteDrops"] == 1


def test_a_route_is_not_for_ipv6_nor_through_what_is_no_host() -> None:
    bench = accepting()
    with pytest.raises(InvalidArgument):
        bench.host.connect(Endpoint(THERE[6], PORT), now=0, route=SourceRoute((G1,)))
    with pytest.raises(NetworkUnreachable):
        bench.host.connect(Endpoint(PEER, PORT), now=0, route=SourceRoute((pack_address("224.0.0.1"),)))
    assert bench.host.connections() == []


@pytest.mark.requirement("MUST-54")
def test_an_error_about_a_packet_on_its_way_finds_the_connection() -> None:
    """The quote's destination field is the hop that it was on its way to."""
    bench = accepting()
    connection = bench.host.connect(Endpoint(PEER, PORT), now=0, route=SourceRoute((G1, G2)))
    packet = bench.packets()[0]
    at_g1 = IPPacket(US, G2, TCP, packet.payload, options=bytes.fromhex("830b08") + G1 + PEER + b"\0", ttl=63)
    bench.icmp_arrives(4, IcmpMessage(3, 5, 0, CODEC.encode_ip(at_g1)[:40]), source=G1)
    assert connection.soft_error is not None
    assert connection.state is State.SYN_SENT


# --- options that are none, or wrong (MUST-50, RFC 1122 3.2.2.5) ---


@pytest.mark.requirement("MUST-50")
@pytest.mark.parametrize("options", ["94040000", "0707040000000000", "4408050000000000", "88041234", "5e04ffff"])
def test_options_that_are_not_understood_do_not_matter(options: str) -> None:
    """MAY-10, MAY-11: Timestamp and Record Route are among them."""
    bench = Bench()
    bench.listen(US)
    arrives(bench, SYN, seq=100, options=bytes.fromhex(options))
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]


def test_a_wrong_length_is_told_the_source() -> None:
    bench = Bench()
    bench.listen(US)
    arrives(bench, SYN, seq=100, options=bytes.fromhex("01940500"))
    (answer,) = bench.packets()
    message = CODEC.decode_icmp(answer)
    assert (answer.source, answer.destination) == (US, PEER)
    assert (message.type, message.code, message.rest >> 24) == (12, 0, 21)
    assert bytes(message.payload[20:24]) == bytes.fromhex("01940500")
    assert bench.host.counters["IpInHdrErrors"] == bench.host.counters["IcmpOutParmProbs"] == 1


@pytest.mark.parametrize(("mtu", "octets"), [(1500, 576), (296, 296), (68, 68)])
def test_a_quote_is_as_long_as_the_path_takes(mtu: int, octets: int) -> None:
    """RFC 1812 4.3.2.3 has 576 octets at the most, RFC 792 the header and 8 octets at the least."""
    bench = Bench(mtu=mtu)
    bench.deliver(IPPacket(PEER, US, TCP, bytes(1000), options=bytes.fromhex("01940500")))
    (answer,) = bench.packets()
    assert len(CODEC.encode_ip(answer)) == octets


@pytest.mark.parametrize(
    ("protocol", "payload", "source", "offset"),
    [
        (ICMP, CODEC.encode_icmp(IcmpMessage(3, 1, 0, bytes(28))), PEER, 0),  # an error is never about an error
        (ICMP, CODEC.encode_icmp(IcmpMessage(5, 1, 0, bytes(28))), PEER, 0),
        (TCP, bytes(20), pack_address("255.255.255.255"), 0),
        (TCP, bytes(20), pack_address("127.0.0.1"), 0),
        (TCP, bytes(24), PEER, 3),  # not the first fragment
    ],
)
def test_nobody_is_told_where_rfc_1122_says_so(protocol: int, payload: bytes, source: bytes, offset: int) -> None:
    bench = Bench()
    options = bytes.fromhex("94050000")
    bench.deliver(IPPacket(source, US, protocol, payload, options=options, fragment_offset=offset, dont_fragment=False))
    assert bench.packets() == []


def test_errors_are_limited() -> None:
    bench = Bench(icmp_error_burst=2)
    for _ in range(5):
        arrives(bench, SYN, seq=100, options=bytes.fromhex("94050000"))
    assert len(bench.packets()) == 2
    assert bench.host.counters["IcmpOutRateLimitHost"] == 3
    bench.now = SECOND
    arrives(bench, SYN, seq=100, options=bytes.fromhex("94050000"))
    assert len(bench.packets()) == 1


def test_a_reset_by_a_route_is_one() -> None:
    bench = accepting()
    arrives(bench, SYN, seq=100)
    (packet,) = bench.packets()
    assert CODEC.decode_tcp(IPPacket(packet.source, PEER, TCP, packet.payload)).flags == RST | ACK


@pytest.mark.requirement("MUST-53")
def test_a_connection_from_a_syn_cookie_goes_back_the_way_that_its_ack_has_come() -> None:
    bench = Bench(accept_source_route=True, syncookies=2)
    listener = bench.listen(US)
    arrives(bench, SYN, seq=100)
    [packet] = bench.packets()
    iss = CODEC.decode_tcp(IPPacket(US, PEER, TCP, packet.payload), verify=False).seq
    arrives(bench, ACK | PSH, seq=101, ack=iss + 1, data=b"x")
    connection = listener.accept()
    assert connection is not None
    connection.send(b"hello", now=bench.now)
    bench.host.touch(connection)
    assert ways(bench) == [BACK]
