"""The host and IPv6: what is taken, what is dropped under which counter, and what is answered."""

import errno

import pytest

from tests.net.bench import ANY, CODEC, HERE, ISS, PORT, THERE, Bench
from userstack.address import Endpoint, format_address, pack_address
from userstack.config import SECOND
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.trace import PacketDropped
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import DESTINATION_OPTIONS, FRAGMENT, ICMP, ICMPV6, NO_NEXT_HEADER, ROUTING, TCP, ExtensionHeader, IPPacket
from userstack.wire.nd import ALL_NODES, solicited_node
from userstack.wire.tcp import ACK, RST, SYN, TcpSegment

US, PEER = HERE[6], THERE[6]
FAMILIES = pytest.mark.parametrize("family", [4, 6])
PADDING = ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010400000000"))


def options(kind: int) -> ExtensionHeader:
    """A destination options header with one option of ``kind``."""
    return ExtensionHeader(DESTINATION_OPTIONS, bytes([0, kind, 4, 0, 0, 0, 0]))


def pinged(bench: Bench, *, source: bytes = PEER, destination: bytes = US, **fields: object) -> list[IPPacket]:
    """What an echo request brings about."""
    payload = CODEC.encode_icmpv6(IcmpMessage(128, 0, 0x1234_0001, b"ping"), source, destination)
    bench.deliver(IPPacket(source, destination, ICMPV6, payload, **fields))  # type: ignore[arg-type]
    return bench.packets()


def dropped(bench: Bench) -> list[str]:
    """The counters of what was thrown away."""
    return [event.counter for event in bench.trace if isinstance(event, PacketDropped)]


# --- TCP ---


@FAMILIES
def test_a_connection_is_opened_used_and_counted(family: int) -> None:
    bench = Bench()
    connection = bench.established(family, bench.listen(ANY[6]))
    connection.send(b"hello", now=0)
    bench.host.touch(connection)
    [packet] = bench.packets()
    assert (packet.source, packet.destination, packet.ttl) == (HERE[family], THERE[family], 64)
    assert bytes(CODEC.decode_tcp(packet).payload) == b"hello"
    ip = "Ip" if family == 4 else "Ip6"
    assert [bench.host.counters[ip + name] for name in ("InReceives", "InDelivers", "OutRequests")] == [2, 2, 2]


@FAMILIES
def test_a_segment_that_is_nobodys_is_reset(family: int) -> None:
    bench = Bench()
    bench.arrives(family, SYN, seq=100)
    assert [segment.flags for segment in bench.pull()] == [RST | ACK]


@pytest.mark.requirement("MUST-57")
@pytest.mark.parametrize(
    "destination", ["ff02::1", "ff02::1:ff00:1", "ff02::2", "ff0e::1", "224.0.0.1", "10.0.0.255", "255.255.255.255"]
)
def test_a_segment_to_many_is_dropped(destination: str) -> None:
    bench = Bench()
    bench.listen(ANY[6])
    bench.arrives(6 if ":" in destination else 4, SYN, seq=100, destination=pack_address(destination))
    assert bench.packets() == []
    assert len(dropped(bench)) == 1


@pytest.mark.requirement("MUST-63")
@pytest.mark.parametrize("source", ["::", "ff02::1", "::1", "::ffff:10.0.0.2", "0.0.0.0", "224.0.0.1", "127.0.0.1", "10.0.0.255"])
def test_a_segment_from_nobody_is_dropped(source: str) -> None:
    bench = Bench()
    bench.listen(ANY[6])
    bench.arrives(6 if ":" in source else 4, SYN, seq=100, source=pack_address(source))
    assert bench.packets() == []
    assert dropped(bench) == ["Ip6InAddrErrors" if ":" in source else "IpInAddrErrors"]


def test_a_segment_behind_extension_headers_is_taken() -> None:
    bench = Bench()
    bench.listen(ANY[6])
    segment = CODEC.encode_tcp(TcpSegment(5000, PORT, 100, 0, SYN, 65535), PEER, US)
    routed = ExtensionHeader(ROUTING, bytes.fromhex("00000000000000"))
    atomic = ExtensionHeader(FRAGMENT, bytes.fromhex("00000000000007"))
    bench.deliver(IPPacket(PEER, US, TCP, segment, extension_headers=(PADDING, routed, atomic)))
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]


def test_what_is_for_ourselves_never_leaves() -> None:
    bench = Bench()
    listener = bench.listen(ANY[6])
    bench.host.connect(Endpoint(US, PORT), now=0)
    assert bench.packets() == []
    assert listener.accept() is not None


@FAMILIES
def test_a_fragment_is_dropped(family: int) -> None:
    bench = Bench()
    if family == 4:
        bench.deliver(IPPacket(THERE[4], HERE[4], TCP, bytes(64), dont_fragment=False, more_fragments=True))
    else:
        first = ExtensionHeader(FRAGMENT, bytes.fromhex("00000100000007"))
        bench.deliver(IPPacket(PEER, US, TCP, bytes(64), extension_headers=(first,), more_fragments=True, identification=7))
    assert bench.packets() == []
    assert dropped(bench) == ["IpReasmFails" if family == 4 else "Ip6ReasmFails"]


# --- the echo (RFC 4443 4.1, 4.2) ---


def test_an_echo_request_is_answered() -> None:
    bench = Bench()
    [reply] = pinged(bench, tos=0xBB)
    assert (reply.source, reply.destination, reply.ttl, reply.tos) == (US, PEER, 64, 0xB8)
    message = CODEC.decode_icmpv6(reply)
    assert (message.type, message.code, message.rest, bytes(message.payload)) == (129, 0, 0x1234_0001, b"ping")
    names = ("Icmp6InMsgs", "Icmp6InEchos", "Icmp6OutMsgs", "Icmp6OutEchoReplies")
    assert [bench.host.counters[name] for name in names] == [1, 1, 1, 1]


@pytest.mark.parametrize("group", [ALL_NODES, solicited_node(US)])
def test_an_echo_request_to_a_group_of_ours_is_answered_from_an_address(group: bytes) -> None:
    """RFC 4443 4.2: a SHOULD, and the source a MUST."""
    [reply] = pinged(Bench("fe80::1/64", "fd3d::1/64"), destination=group)
    assert (format_address(reply.source), reply.destination) == ("fd3d::1", PEER)


@pytest.mark.parametrize("destination", ["ff02::2", "ff02::1:ff00:9", "fd3d::9", "ff01::1"])
def test_an_echo_request_to_others_is_not_answered(destination: str) -> None:
    assert pinged(Bench(), destination=pack_address(destination)) == []


@pytest.mark.parametrize("source", ["::", "ff02::5", "::1"])
@pytest.mark.parametrize("destination", [US, ALL_NODES])
def test_an_echo_request_from_nobody_is_not_answered(source: str, destination: bytes) -> None:
    assert pinged(Bench(), source=pack_address(source), destination=destination) == []


def test_a_wrong_checksum_is_counted() -> None:
    bench = Bench()
    bench.deliver(IPPacket(PEER, US, ICMPV6, bytes.fromhex("8000ffff00000000")))
    assert bench.packets() == []
    assert dropped(bench) == ["Icmp6InCsumErrors"]
    assert bench.host.counters["Icmp6InErrors"] == 1


def test_each_icmp_belongs_to_its_ip() -> None:
    bench = Bench()
    bench.deliver(IPPacket(THERE[4], HERE[4], ICMPV6, CODEC.encode_icmp(IcmpMessage(128, 0))))
    assert bench.packets() == []
    assert dropped(bench) == ["IpInUnknownProtos"]
    bench.deliver(IPPacket(PEER, US, ICMP, CODEC.encode_icmp(IcmpMessage(8, 0))))
    assert [CODEC.decode_icmpv6(packet).type for packet in bench.packets()] == [4]


def test_neighbor_discovery_where_there_are_no_neighbours_is_counted_and_left_alone() -> None:
    """The link is one of IP packets: whoever is at its other end is the only one."""
    bench = Bench()
    bench.icmp_arrives(6, IcmpMessage(135, 0, 0, US), ttl=255)
    assert bench.packets() == []
    assert bench.host.counters["Icmp6InNeighborSolicits"] == 1


# --- errors that we send (RFC 8200 4, RFC 4443 3.4) ---


def problem(bench: Bench) -> tuple[int, int, bytes]:
    """Code, pointer and quote of the one parameter problem that is sent."""
    [packet] = bench.packets()
    message = CODEC.decode_icmpv6(packet)
    assert (packet.source, packet.destination, message.type) == (US, PEER, 4)
    return message.code, message.rest, bytes(message.payload)


@pytest.mark.parametrize(("headers", "pointer"), [((), 6), ((PADDING,), 40), ((PADDING, PADDING), 48)])
def test_an_unknown_next_header_is_told(headers: tuple[ExtensionHeader, ...], pointer: int) -> None:
    bench = Bench()
    octets = CODEC.encode_ip(IPPacket(PEER, US, 253, b"what", extension_headers=headers))
    bench.deliver(octets)
    assert problem(bench) == (1, pointer, octets)
    assert dropped(bench) == ["Ip6InUnknownProtos"]
    assert bench.host.counters["Icmp6OutParmProblems"] == 1


def test_no_next_header_is_nothing_to_tell() -> None:
    """RFC 8200 4.7."""
    bench = Bench()
    bench.deliver(IPPacket(PEER, US, NO_NEXT_HEADER, b"what"))
    assert bench.packets() == []


@pytest.mark.parametrize(("kind", "told"), [(0x1E, False), (0x5E, False), (0x9E, True), (0xDE, True)])
def test_an_unknown_option_is_told_where_it_asks_for_it(kind: int, told: bool) -> None:
    """RFC 8200 4.2: 00 skips the option, 01 discards, 10 and 11 tell."""
    bench = Bench()
    octets = CODEC.encode_ip(IPPacket(PEER, US, NO_NEXT_HEADER, b"", extension_headers=(options(kind),)))
    bench.deliver(octets)
    if told:
        assert problem(bench) == (2, 42, octets)
    else:
        assert bench.packets() == []


@pytest.mark.parametrize(("kind", "told"), [(0x9E, True), (0xDE, False)])
def test_an_unknown_option_to_a_group_is_told_where_it_asks_for_that(kind: int, told: bool) -> None:
    bench = Bench()
    bench.deliver(IPPacket(PEER, ALL_NODES, NO_NEXT_HEADER, b"", extension_headers=(options(kind),)))
    assert [packet.source for packet in bench.packets()] == [US] * told


def test_a_routing_header_with_segments_left_is_told() -> None:
    """RFC 8200 4.4."""
    bench = Bench()
    bench.deliver(
        IPPacket(PEER, US, TCP, bytes(20), extension_headers=(ExtensionHeader(ROUTING, bytes.fromhex("00050100000000")),))
    )
    code, pointer, _ = problem(bench)
    assert (code, pointer) == (0, 42)


@pytest.mark.parametrize("destination", [pack_address("fd3d::9"), pack_address("ff02::2")])
def test_what_is_for_others_is_not_ours_to_find_fault_with(destination: bytes) -> None:
    bench = Bench()
    bench.deliver(IPPacket(PEER, destination, NO_NEXT_HEADER, b"", extension_headers=(options(0x9E),)))
    assert bench.packets() == []


def test_an_error_is_not_answered_with_an_error() -> None:
    """RFC 4443 2.4 (e.1)."""
    bench = Bench()
    payload = CODEC.encode_icmpv6(IcmpMessage(1, 0, 0, b"quote"), PEER, US)
    bench.deliver(IPPacket(PEER, US, ICMPV6, payload, extension_headers=(options(0x9E),)))
    assert bench.packets() == []


def test_errors_are_rationed() -> None:
    """RFC 4443 2.4 (f)."""
    bench = Bench(icmp_error_rate=2, icmp_error_burst=3)
    for _ in range(10):
        bench.deliver(IPPacket(PEER, US, 253, b"what"))
    assert len(bench.packets()) == 3
    assert bench.host.counters["Icmp6OutRateLimitHost"] == 7
    bench.now = SECOND // 2
    for _ in range(10):
        bench.deliver(IPPacket(PEER, US, 253, b"what"))
    assert len(bench.packets()) == 1


def test_a_device_that_takes_nothing_does_not_let_the_answers_grow() -> None:
    bench = Bench(transmit_queue=4)
    payload = CODEC.encode_icmpv6(IcmpMessage(128, 0), PEER, US)
    for _ in range(10):
        bench.deliver(IPPacket(PEER, US, ICMPV6, payload))
    assert len(bench.packets()) == 4
    assert bench.host.counters["Ip6OutDiscards"] == 6


# --- errors of others, and the path's MTU ---


def quoted(family: int, connection: Connection, *, seq: int) -> bytes:
    """The head of a segment of ours, as a router sends it back."""
    segment = TcpSegment(connection.local.port, PORT, seq, 0, ACK, 0)
    octets = CODEC.encode_tcp(segment, HERE[family], THERE[family])
    return CODEC.encode_ip(IPPacket(HERE[family], THERE[family], TCP, octets))[: 28 if family == 4 else 48]


UNREACHABLE = {4: (3, 1), 6: (1, 3)}
REFUSED = {4: (3, 3), 6: (1, 4)}


@pytest.mark.requirement("MUST-54")
@pytest.mark.requirement("MUST-56")
@FAMILIES
def test_a_soft_error_reaches_the_connection_and_leaves_it_open(family: int) -> None:
    bench = Bench()
    connection = bench.connect(family)
    bench.icmp_arrives(family, IcmpMessage(*UNREACHABLE[family], 0, quoted(family, connection, seq=ISS)))
    assert connection.state is State.SYN_SENT
    assert connection.soft_error is not None
    assert connection.soft_error.errno == errno.EHOSTUNREACH


@pytest.mark.requirement("SHLD-26")
@FAMILIES
@pytest.mark.parametrize("outstanding", [True, False])
def test_a_hard_error_ends_the_connection_if_its_segment_is_outstanding(family: int, outstanding: bool) -> None:
    bench = Bench()
    connection = bench.connect(family)
    seq = ISS if outstanding else ISS + 100_000
    bench.icmp_arrives(family, IcmpMessage(*REFUSED[family], 0, quoted(family, connection, seq=seq)))
    assert connection.state is (State.CLOSED if outstanding else State.SYN_SENT)


@pytest.mark.parametrize(
    ("mtu", "mss"),
    [(1400, 1340), (1280, 1220), (1279, 1440), (68, 1440), (0, 1440), (1500, 1440), (9000, 1440), (0xFFFFFFFF, 1440)],
)
def test_packet_too_big_makes_segments_smaller_but_never_larger_nor_too_small(mtu: int, mss: int) -> None:
    """RFC 8201 4."""
    bench = Bench()
    connection = bench.established(6, bench.listen(US))
    connection.send(b"x" * 1440, now=0)
    bench.host.touch(connection)
    assert len(bench.pull()) == 1
    head = CODEC.encode_ip(IPPacket(US, PEER, TCP, (PORT).to_bytes(2) + (5000).to_bytes(2) + (ISS + 1).to_bytes(4)))
    bench.icmp_arrives(6, IcmpMessage(2, 0, mtu, head), source=pack_address("fd3d::ffff"))
    sizes = [len(segment.payload) for segment in bench.pull()]
    assert connection.info().snd_mss == mss
    assert sizes == ([] if mss == 1440 else [mss, 1440 - mss])


@pytest.mark.parametrize("mtu", [1280, 1400])
def test_packet_too_big_repeats_nothing_that_has_the_size_already(mtu: int) -> None:
    """A peer that names no MSS is sent packets of 1280 octets (MUST-15), which a path that takes those has not dropped."""
    bench = Bench()
    listener = bench.listen(US)
    for flags, seq, ack in ((SYN, 100, 0), (ACK, 101, ISS + 1)):
        bench.deliver(IPPacket(PEER, US, TCP, CODEC.encode_tcp(TcpSegment(5000, PORT, seq, ack, flags, 65535), PEER, US)))
        bench.pull()
    connection = listener.accept()
    assert connection is not None
    connection.send(b"x" * 1220, now=0)
    bench.host.touch(connection)
    [packet] = bench.packets()
    assert len(CODEC.encode_ip(packet)) == 1280
    bench.icmp_arrives(6, IcmpMessage(2, 0, mtu, CODEC.encode_ip(packet)), source=pack_address("fd3d::ffff"))
    assert bench.pull() == []


def test_packet_too_big_about_what_is_not_outstanding_is_ignored() -> None:
    """RFC 5927 4.1, RFC 8201 4."""
    bench = Bench()
    connection = bench.established(6, bench.listen(US))
    head = CODEC.encode_ip(IPPacket(US, PEER, TCP, (PORT).to_bytes(2) + (5000).to_bytes(2) + (ISS + 9999).to_bytes(4)))
    bench.icmp_arrives(6, IcmpMessage(2, 0, 1280, head))
    assert connection.info().snd_mss == 1440
