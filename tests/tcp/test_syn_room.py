"""The options of a SYN have 40 octets together (RFC 9293 3.1): what gives way where they do not suffice."""

from dataclasses import replace

import pytest

from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.counters import Counters
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import Cookie, FastOpen, read_cookie
from userstack.tcp.uto import USER_TIMEOUT
from userstack.wire.encodable import check_segment
from userstack.wire.tcp import ACK, MD5, MSS, SACK_PERMITTED, SYN, TIMESTAMPS, WINDOW_SCALE, Option, TcpSegment

LOCAL = Endpoint(pack_address("10.9.0.2"), 8080)
REMOTE = Endpoint(pack_address("10.9.0.1"), 40000)
LINUX = StackConfig.linux()
COOKIE = Cookie(bytes(range(16)))
PEER = (Option(MSS, b"\x05\xb4"), Option(WINDOW_SCALE, b"\x07"), Option(TIMESTAMPS, bytes(8)))


def made(config: StackConfig, fast_open: FastOpen, key: bytes | None, *, listening: bool = False) -> Connection:
    """A connection that is not open yet."""
    connection = Connection(
        LOCAL, config=config, isn=lambda *_: 1000, counters=Counters(), fast_open=fast_open, listening=listening
    )
    connection.md5_key = key
    return connection


def out(connection: Connection) -> TcpSegment:
    """What goes out next, if it can be written at all."""
    segment = connection.poll_transmit(now=0)
    assert segment is not None
    check_segment(segment, LOCAL.address, REMOTE.address)
    return segment


def kinds(segment: TcpSegment) -> set[int]:
    """Which options a segment has."""
    return {kind for kind, _ in segment.options}


def opened(config: StackConfig, fast_open: FastOpen, key: bytes | None) -> tuple[Connection, TcpSegment]:
    """A connection that wants to send text with its SYN, and this SYN."""
    connection = made(config, fast_open, key)
    connection.open_active(REMOTE, now=0)
    connection.send(b"early", now=0)
    return connection, out(connection)


def test_a_signature_leaves_no_room_for_a_cookie_and_then_the_text_stays_too() -> None:
    """RFC 7413 4.2.2, 1 a: "abort TFO and fall back to the regular 3WHS"."""
    connection, syn = opened(LINUX, FastOpen(COOKIE, room=1000), b"key")
    assert MD5 in kinds(syn)
    assert read_cookie(syn.options) is None
    assert bytes(syn.payload) == b""
    answer = TcpSegment(REMOTE.port, LOCAL.port, 7000, 1001, SYN | ACK, 65535, options=PEER)
    connection.on_segment(answer, now=0)
    assert bytes(out(connection).payload) == b"early"
    assert not connection.info(now=0).syn_data


@pytest.mark.parametrize(
    ("cookie", "key"),
    [(COOKIE, None), (Cookie(COOKIE.value, experimental=True), None), (Cookie(), b"key"), (Cookie(bytes(4)), b"key")],
)
def test_what_has_room_stays_with_the_text(cookie: Cookie, key: bytes | None) -> None:
    _, syn = opened(LINUX, FastOpen(cookie, room=1000), key)
    assert read_cookie(syn.options) == cookie
    assert bytes(syn.payload) == b"early"


def test_text_that_needs_no_cookie_needs_no_room_for_one() -> None:
    _, syn = opened(LINUX, FastOpen(room=1000), b"key")
    assert bytes(syn.payload) == b"early"


def test_a_signed_answer_leaves_the_cookie_out_and_the_connection_goes_on() -> None:
    connection = made(LINUX, FastOpen(COOKIE, accepted=True), b"key", listening=True)
    syn = TcpSegment(REMOTE.port, LOCAL.port, 7000, 0, SYN, 65535, options=PEER, payload=b"early")
    connection.on_segment(syn, now=0, source=REMOTE.address)
    answer = out(connection)
    assert read_cookie(answer.options) is None
    assert {MD5, MSS, WINDOW_SCALE, TIMESTAMPS} <= kinds(answer)
    assert answer.ack == 7006
    assert connection.receive(100, now=0) == b"early"


@pytest.mark.parametrize(
    ("cookie", "key", "there"),
    [(None, None, True), (Cookie(), b"key", True), (COOKIE, None, False), (Cookie(bytes(4)), b"key", False)],
)
def test_the_user_timeout_is_left_out_where_there_is_no_room(cookie: Cookie | None, key: bytes | None, there: bool) -> None:
    """RFC 5482 3: the segment that follows the SYN tells of it anyhow."""
    connection, syn = opened(replace(LINUX, uto=True), FastOpen(cookie), key)
    assert (USER_TIMEOUT in kinds(syn)) is there
    assert SACK_PERMITTED in kinds(syn)
    assert read_cookie(syn.options) == cookie
    connection.on_segment(TcpSegment(REMOTE.port, LOCAL.port, 7000, 1001, SYN | ACK, 65535, options=PEER), now=0)
    assert USER_TIMEOUT in kinds(out(connection))


def test_a_signed_answer_with_timestamps_has_no_room_for_the_user_timeout() -> None:
    connection = made(replace(LINUX, uto=True), FastOpen(), b"key", listening=True)
    syn = TcpSegment(REMOTE.port, LOCAL.port, 7000, 0, SYN, 65535, options=PEER)
    connection.on_segment(syn, now=0, source=REMOTE.address)
    answer = out(connection)
    assert {MD5, TIMESTAMPS} <= kinds(answer)
    assert USER_TIMEOUT not in kinds(answer)
