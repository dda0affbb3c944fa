"""ICMPv6: errors of others taken apart, whole or cut short, and what of ours may be sent to whom."""

import errno
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userstack.address import Endpoint, pack_address
from userstack.net.icmp import IcmpError
from userstack.net.icmpv6 import counter_of, echo_reply, may_be_answered, parameter_problem, parse_error
from userstack.wire.codec import WireError, make_codec
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import (
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    ICMPV6,
    ROUTING,
    TCP,
    ExtensionHeader,
    IPPacket,
)
from userstack.wire.tcp import SYN, TcpSegment

CODEC = make_codec("fast")
US = pack_address("fd3d::2")
PEER = pack_address("fd3d::1")
ALL_NODES = pack_address("ff02::1")


def test_an_echo_is_answered_with_the_same_data() -> None:
    assert echo_reply(IcmpMessage(128, 0, 0x1234_0007, b"data")) == IcmpMessage(129, 0, 0x1234_0007, b"data")


@pytest.mark.parametrize("kind", [1, 129, 130, 135])
def test_nothing_but_an_echo_request_is_answered(kind: int) -> None:
    assert echo_reply(IcmpMessage(kind, 0, 0, b"data")) is None


# --- errors taken ---


def quote(**changes: Any) -> bytes:
    segment = CODEC.encode_tcp(TcpSegment(40000, 80, seq=0xFFFF_FFF0, flags=SYN, payload=bytes(980)), US, PEER)
    fields: dict[str, Any] = {"source": US, "destination": PEER, "protocol": TCP, "payload": segment}
    return CODEC.encode_ip(IPPacket(**fields | changes))


def error_of(kind: int, code: int, *, rest: int = 0, data: bytes | None = None, discovery: bool = True) -> IcmpError | None:
    return parse_error(IcmpMessage(kind, code, rest, quote() if data is None else data), path_mtu_discovery=discovery)


@pytest.mark.requirement("MUST-54")
@pytest.mark.parametrize("length", [48, 60, 1000, 1232])
def test_an_error_names_the_connection_and_the_segment(length: int) -> None:
    error = error_of(1, 0, data=quote()[:length])
    assert error is not None
    assert (error.local, error.remote, error.seq) == (Endpoint(US, 40000), Endpoint(PEER, 80), 0xFFFF_FFF0)


@pytest.mark.requirement("MUST-56")
@pytest.mark.requirement("SHLD-26")
@pytest.mark.parametrize(
    ("kind", "code", "number", "hard"),
    [
        (1, 0, errno.ENETUNREACH, False),
        (1, 1, errno.EACCES, True),
        (1, 2, errno.EHOSTUNREACH, False),
        (1, 3, errno.EHOSTUNREACH, False),
        (1, 4, errno.ECONNREFUSED, True),
        (1, 5, errno.EACCES, True),
        (1, 6, errno.EACCES, True),
        (1, 200, errno.EHOSTUNREACH, False),
        (3, 0, errno.EHOSTUNREACH, False),
        (3, 1, errno.EHOSTUNREACH, False),
        (4, 0, errno.EPROTO, False),
        (4, 1, errno.EPROTO, False),
        (4, 2, errno.EPROTO, False),
        (100, 0, errno.EPROTO, False),  # RFC 4443 2.4 (a): an unknown error is passed on, too
        (127, 9, errno.EPROTO, False),
    ],
)
def test_what_an_error_means(kind: int, code: int, number: int, hard: bool) -> None:
    error = error_of(kind, code)
    assert error is not None
    assert (error.error.errno, error.hard, error.mtu) == (number, hard, None)


@pytest.mark.parametrize(("named", "mtu"), [(1280, 1280), (1400, 1400), (0xFFFF_FFFF, 0xFFFF_FFFF), (1279, None), (0, None)])
def test_packet_too_big_names_an_mtu_that_ipv6_can_have(named: int, mtu: int | None) -> None:
    """RFC 8201 4: one below 1280 octets is discarded."""
    error = error_of(2, 0, rest=named)
    assert (error.mtu if error else None) == mtu
    assert error is None or (error.error.errno, error.hard) == (errno.EMSGSIZE, False)


def test_packet_too_big_says_nothing_where_no_path_mtu_is_sought() -> None:
    assert error_of(2, 0, rest=1400, discovery=False) is None


@pytest.mark.parametrize("kind", [128, 129, 133, 137, 200, 255])
def test_informational_messages_are_no_errors(kind: int) -> None:
    assert error_of(kind, 0) is None


def test_an_error_about_what_we_never_send_is_nobodys() -> None:
    assert error_of(1, 0, data=quote(protocol=17)) is None
    options = ExtensionHeader(DESTINATION_OPTIONS, bytes.fromhex("00010400000000"))
    assert error_of(1, 0, data=quote(extension_headers=(options,))) is None


def test_checksums_and_lengths_in_the_quote_are_not_asked_for() -> None:
    """RFC 4443 2.4 (c): the quote is cut where the error would not fit through any link."""
    data = bytearray(quote())
    data[4:6] = b"\xff\xff"
    data[7] = 0
    data[56:58] = b"\xba\xad"
    assert error_of(1, 4, data=bytes(data)) is not None


@pytest.mark.parametrize("length", [0, 1, 39, 40, 47])
def test_a_quote_that_is_too_short_is_counted(length: int) -> None:
    with pytest.raises(WireError) as refusal:
        error_of(1, 0, data=quote()[:length])
    assert refusal.value.counter == "Icmp6InErrors"


@pytest.mark.parametrize("first", [0x00, 0x45, 0x55, 0xF5])
def test_a_quote_that_is_no_ipv6_packet_is_counted(first: int) -> None:
    with pytest.raises(WireError) as refusal:
        error_of(1, 0, data=bytes([first]) + quote()[1:])
    assert refusal.value.counter == "Icmp6InErrors"


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=80), st.booleans())
def test_no_message_raises_anything_but_a_wire_error(kind: int, code: int, rest: int, data: bytes, near: bool) -> None:
    if near:
        data = bytes([0x60]) + data[1:6] + bytes([TCP]) + data[7:]
    counter = error = None
    try:
        error = parse_error(IcmpMessage(kind, code, rest, memoryview(data)), path_mtu_discovery=True)
    except WireError as refusal:
        counter = refusal.counter
    assert counter in (None, "Icmp6InErrors")
    assert error is None or kind < 128


def test_messages_are_counted_by_name() -> None:
    assert [counter_of(kind) for kind in (1, 128, 135, 141)] == [
        "Icmp6InDestUnreachs",
        "Icmp6InEchos",
        "Icmp6InNeighborSolicits",
        "Icmp6InType141",
    ]


# --- errors sent (RFC 4443 2.4) ---


def packet(source: str = "fd3d::1", destination: bytes = US, protocol: int = 253, payload: bytes = b"x", **fields: Any) -> bytes:
    return CODEC.encode_ip(IPPacket(pack_address(source), destination, protocol, payload, **fields))


def icmp(kind: int, *headers: ExtensionHeader) -> bytes:
    message = CODEC.encode_icmpv6(IcmpMessage(kind, 0, 0, b"quote"), PEER, US)
    return packet(protocol=ICMPV6, payload=message, extension_headers=headers)


@pytest.mark.parametrize("kind", [128, 129, 135, 200])
def test_an_informational_message_may_be_answered(kind: int) -> None:
    assert may_be_answered(icmp(kind), multicast=False)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 100, 127, 137])
@pytest.mark.parametrize("extensions", [0, 1, 2, 3])
def test_an_error_and_a_redirect_are_never_answered(kind: int, extensions: int) -> None:
    """(e.1), (e.2), whatever stands before them."""
    headers = (
        ExtensionHeader(HOP_BY_HOP, bytes.fromhex("01010c000000000000000000000000")),
        ExtensionHeader(ROUTING, bytes.fromhex("00000000000000")),
        ExtensionHeader(FRAGMENT, bytes.fromhex("00000000000007")),
    )[:extensions]
    assert not may_be_answered(icmp(kind, *headers), multicast=False)


def test_a_later_fragment_is_no_message() -> None:
    """Its first octet is anything; what it is part of cannot be told, as RFC 4443 2.4 (d) says of such."""
    later = ExtensionHeader(FRAGMENT, struct.pack("!xHI", 8 << 3, 7))
    octets = packet(protocol=ICMPV6, payload=b"\x01data", extension_headers=(later,), fragment_offset=8, identification=7)
    assert may_be_answered(octets, multicast=False)


@pytest.mark.parametrize("source", ["::", "ff02::1", "::1", "::ffff:10.0.0.1"])
def test_who_is_no_single_node_gets_no_error(source: str) -> None:
    """(e.6)."""
    assert not may_be_answered(packet(source), multicast=True)


def test_multicast_causes_no_error_but_those_that_it_may() -> None:
    """(e.3)."""
    octets = packet(destination=ALL_NODES)
    assert not may_be_answered(octets, multicast=False)
    assert may_be_answered(octets, multicast=True)


@settings(deadline=None)
@given(st.binary(max_size=100), st.sampled_from([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS, ICMPV6, 253]))
def test_whatever_is_wrong_with_a_packet_it_can_be_judged(data: bytes, protocol: int) -> None:
    head = bytes([0x60, 0, 0, 0, 0, 0, protocol, 64]) + PEER + US
    assert isinstance(may_be_answered(head + data, multicast=False), bool)


@pytest.mark.parametrize(("size", "quoted"), [(100, 100), (1232, 1232), (1233, 1232), (1500, 1232)])
def test_as_much_is_quoted_as_every_link_takes(size: int, quoted: int) -> None:
    """(c): 1280 octets with the headers."""
    octets = bytes(range(256)) * 6
    message = parameter_problem(memoryview(octets)[:size], code=1, pointer=6)
    assert message == IcmpMessage(4, 1, 6, octets[:quoted])
