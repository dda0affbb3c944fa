"""The echo answered, and ICMP errors taken apart, whole or cut short."""

import errno
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userstack.address import Endpoint, pack_address
from userstack.net.icmp import IcmpError, echo_reply, parse_error
from userstack.wire.codec import WireError, make_codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, TCP, IPPacket
from userstack.wire.tcp import SYN, TcpSegment

CODEC = make_codec("fast")
US = pack_address("10.9.0.2")
PEER = pack_address("10.9.0.1")


def ping(source: bytes = PEER, destination: bytes = US, kind: int = 8, tos: int = 0) -> tuple[IPPacket, IcmpMessage]:
    message = IcmpMessage(kind, 0, 0x1234_0007, bytes(range(56)))
    return IPPacket(source, destination, ICMP, CODEC.encode_icmp(message), tos=tos), message


def test_an_echo_request_is_answered_from_the_address_that_was_asked_with_the_same_data() -> None:
    packet, message = ping(tos=0xBB)
    reply = echo_reply(packet, message, codec=CODEC, ttl=61)
    assert reply is not None
    assert (reply.source, reply.destination, reply.protocol, reply.ttl) == (US, PEER, ICMP, 61)
    assert reply.tos == 0xB8  # without the ECN bits
    on_wire = CODEC.decode_ip(CODEC.encode_ip(reply))
    answer = CODEC.decode_icmp(on_wire)
    assert (answer.type, answer.code, answer.rest, bytes(answer.payload)) == (0, 0, 0x1234_0007, bytes(range(56)))


@pytest.mark.parametrize("destination", ["255.255.255.255", "224.0.0.1"])
def test_an_echo_request_to_everyone_is_not_answered(destination: str) -> None:
    packet, message = ping(destination=pack_address(destination))
    assert echo_reply(packet, message, codec=CODEC, ttl=64) is None


@pytest.mark.parametrize("source", ["255.255.255.255", "224.0.0.1", "0.0.0.0", "127.0.0.1"])
def test_an_echo_request_from_nobody_is_not_answered(source: str) -> None:
    packet, message = ping(source=pack_address(source))
    assert echo_reply(packet, message, codec=CODEC, ttl=64) is None


@pytest.mark.parametrize("kind", [0, 3, 5, 13])
def test_nothing_but_an_echo_request_is_answered(kind: int) -> None:
    packet, message = ping(kind=kind)
    assert echo_reply(packet, message, codec=CODEC, ttl=64) is None


def quote(options: bytes = b"", **changes: Any) -> bytes:
    segment = CODEC.encode_tcp(TcpSegment(40000, 80, seq=0xFFFF_FFF0, flags=SYN, payload=bytes(980)), US, PEER)
    fields: dict[str, Any] = {"source": US, "destination": PEER, "protocol": TCP, "payload": segment, "options": options}
    return CODEC.encode_ip(IPPacket(**fields | changes))


def error_of(kind: int, code: int, *, rest: int = 0, data: bytes | None = None, discovery: bool = True) -> IcmpError | None:
    message = IcmpMessage(kind, code, rest, quote() if data is None else data)
    return parse_error(message, path_mtu_discovery=discovery)


@pytest.mark.requirement("MUST-54")
@pytest.mark.parametrize("options", [b"", b"\x01" * 4, b"\x01" * 40])
@pytest.mark.parametrize("rest", [8, 20, 1000])
def test_an_error_names_the_connection_and_the_segment(options: bytes, rest: int) -> None:
    data = quote(options)[: 20 + len(options) + rest]
    error = error_of(3, 1, data=data)
    assert error is not None
    assert (error.local, error.remote, error.seq) == (Endpoint(US, 40000), Endpoint(PEER, 80), 0xFFFF_FFF0)


@pytest.mark.parametrize(
    ("kind", "code", "number", "hard"),
    [
        (3, 0, errno.ENETUNREACH, False),
        (3, 1, errno.EHOSTUNREACH, False),
        (3, 2, errno.ENOPROTOOPT, True),
        (3, 3, errno.ECONNREFUSED, True),
        (3, 5, errno.EHOSTUNREACH, False),
        (3, 6, errno.ENETUNREACH, False),
        (3, 7, errno.EHOSTUNREACH, False),
        (3, 9, errno.ENETUNREACH, False),
        (3, 10, errno.EHOSTUNREACH, False),
        (3, 11, errno.ENETUNREACH, False),
        (3, 13, errno.EHOSTUNREACH, False),
        (3, 200, errno.EHOSTUNREACH, False),
        (11, 0, errno.EHOSTUNREACH, False),
        (11, 1, errno.EHOSTUNREACH, False),
        (12, 0, errno.EPROTO, False),
    ],
)
@pytest.mark.requirement("MUST-56")
@pytest.mark.requirement("SHLD-26")
def test_what_an_error_means(kind: int, code: int, number: int, hard: bool) -> None:
    error = error_of(kind, code)
    assert error is not None
    assert (error.error.errno, error.hard, error.mtu) == (number, hard, None)


@pytest.mark.parametrize(
    ("named", "mtu"),
    [(1400, 1400), (65535, 65535), (1, 68), (0, 1006)],
)
def test_fragmentation_needed_names_an_mtu(named: int, mtu: int) -> None:
    """RFC 1191 4; a router that names none sends the next plateau below what was quoted: 1006 for 1020 octets (7.1)."""
    error = error_of(3, 4, rest=0xABCD_0000 | named)
    assert error is not None
    assert (error.error.errno, error.hard, error.mtu) == (errno.EMSGSIZE, False, mtu)


def test_the_smallest_packet_has_no_plateau_below() -> None:
    data = bytearray(quote())
    struct.pack_into("!H", data, 2, 40)
    error = error_of(3, 4, data=bytes(data))
    assert error is not None
    assert error.mtu == 68


def test_fragmentation_needed_is_hard_where_no_path_mtu_is_sought() -> None:
    error = error_of(3, 4, rest=1400, discovery=False)
    assert error is not None
    assert error.hard
    assert error.mtu == 1400


@pytest.mark.requirement("MUST-55")
def test_source_quench_is_discarded() -> None:
    assert error_of(4, 0) is None


@pytest.mark.parametrize("kind", [0, 5, 8, 13, 255])
def test_other_messages_are_no_errors(kind: int) -> None:
    assert error_of(kind, 0) is None


def test_an_error_about_another_protocol_is_nobodys() -> None:
    assert error_of(3, 1, data=quote(protocol=17)) is None


def test_an_error_about_a_later_fragment_is_nobodys() -> None:
    assert error_of(3, 1, data=quote(fragment_offset=3, dont_fragment=False)) is None
    assert error_of(3, 1, data=quote(more_fragments=True, dont_fragment=False)) is not None


def test_checksums_and_lengths_in_the_quote_are_not_asked_for() -> None:
    """Routers change TTL and length, and cut the segment: RFC 792 promises eight octets of it and nothing else."""
    data = bytearray(quote())
    data[2:4] = b"\xff\xff"
    data[8] = 0
    data[10:12] = b"\xba\xad"
    data[36:38] = b"\xba\xad"
    assert error_of(3, 3, data=bytes(data)) is not None


@pytest.mark.parametrize("length", [0, 1, 19, 20, 27])
def test_a_quote_that_is_too_short_is_counted(length: int) -> None:
    with pytest.raises(WireError) as refusal:
        error_of(3, 1, data=quote()[:length])
    assert refusal.value.counter == "IcmpInErrors"


@pytest.mark.parametrize("first", [0x00, 0x44, 0x65, 0xF5])
def test_a_quote_that_is_no_ipv4_packet_is_counted(first: int) -> None:
    with pytest.raises(WireError) as refusal:
        error_of(3, 1, data=bytes([first]) + quote()[1:])
    assert refusal.value.counter == "IcmpInErrors"


def test_a_quote_whose_options_run_past_its_end_is_counted() -> None:
    with pytest.raises(WireError):
        error_of(3, 1, data=bytes([0x4F]) + quote()[1:60])


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=80), st.booleans())
def test_no_message_raises_anything_but_a_wire_error(kind: int, code: int, rest: int, data: bytes, near: bool) -> None:
    if near:
        data = bytes([0x45]) + data[1:9] + bytes([TCP]) + data[10:]
    message = IcmpMessage(kind, code, rest, memoryview(data))
    counter = None
    error = None
    try:
        error = parse_error(message, path_mtu_discovery=True)
    except WireError as refusal:
        counter = refusal.counter
    assert counter in (None, "IcmpInErrors")
    assert error is None or kind in (3, 11, 12)
