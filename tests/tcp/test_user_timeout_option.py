"""The User Timeout Option (RFC 5482): ENABLED, CHANGEABLE, ADV_UTO, the limits, and when it is sent. Off by default."""

import struct
from dataclasses import replace

import pytest

from tests.support.machine import Machine, Sent
from userstack.config import FOREVER, MILLISECOND, SECOND, StackConfig
from userstack.errors import ConnectionTimedOut, InvalidArgument
from userstack.tcp import uto
from userstack.tcp.state import State
from userstack.wire.tcp import MSS, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE, Option

ENABLED = StackConfig(uto=True, uto_advertise=200 * SECOND)


def option(seconds: int = 0, *, minutes: int = 0) -> tuple[Option, ...]:
    """What a peer says."""
    return (Option(uto.USER_TIMEOUT, struct.pack("!H", 0x8000 | minutes if minutes else seconds)),)


def said(sent: Sent) -> int | None:
    """The field of the option in a segment."""
    return sent.number(uto.USER_TIMEOUT)


def timeout_of(m: Machine) -> int | None:
    time = m.connection.info().user_timeout
    return None if time is None else time // SECOND


# --- off ---


def test_by_default_it_is_neither_sent_nor_heard() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", data=b"x", options=option(5_000))
    m.send(b"y")
    m.close()
    m.wait(1_000)
    assert [said(sent) for sent in m.log] == [None] * len(m.log)
    info = m.connection.info()
    assert (info.user_timeout, info.peer_user_timeout) == (None, None)


# --- what it looks like ---


@pytest.mark.parametrize(
    ("time", "field"),
    [
        (1, 1),
        (SECOND, 1),
        (SECOND + 1, 2),
        (100 * SECOND, 100),
        (32767 * SECOND, 32767),
        (32768 * SECOND, 0x8000 | 547),
        (547 * 60 * SECOND, 0x8000 | 547),
        (32767 * 60 * SECOND, 0xFFFF),
        (FOREVER, 0xFFFF),
    ],
)
def test_granularity(time: int, field: int) -> None:
    """3.3: seconds where they fit, else minutes; never less than was meant, and never the reserved 0 (3.4)."""
    assert uto.write(time) == struct.pack("!H", field)


@pytest.mark.parametrize(
    ("octets", "time"),
    [(b"\x00\x64", 100), (b"\x80\x02", 120), (b"\xff\xff", 32767 * 60), (b"\x7f\xff", 32767), (b"\0\0", None), (b"\x80\0", None)],
)
def test_reading(octets: bytes, time: int | None) -> None:
    assert uto.read(octets) == (None if time is None else time * SECOND)


@pytest.mark.parametrize("octets", [b"", b"\x01", b"\0\1\2"])
def test_a_wrong_length_is_passed_over(octets: bytes) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.arrives("ACK", options=(Option(uto.USER_TIMEOUT, octets),))
    assert m.connection.info().peer_user_timeout is None


# --- when it is sent ---


@pytest.mark.parametrize("passive", [False, True], ids=["SYN", "SYN,ACK"])
def test_it_is_in_the_syn_and_in_the_first_segment_without_it(passive: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED, passive=passive)
    m.send(b"x")
    m.send(b"y" * 2_000)
    told = [said(sent) for sent in m.log]
    assert told[:2] == [200, 200]
    assert set(told[2:]) == {None}


def test_a_syn_that_is_sent_again_says_it_again() -> None:
    m = Machine.in_state(State.SYN_SENT, config=ENABLED)
    assert said(m.next_sent(within=1_100)) == 200


def test_without_a_wish_the_timeout_of_the_system_is_told() -> None:
    m = Machine.in_state(State.SYN_SENT, config=StackConfig(uto=True, r2=150 * SECOND))
    assert said(m.log[0]) == 150


def test_a_user_timeout_that_is_set_is_told_with_the_next_segment() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(uto=True))
    m.connection.user_timeout = 333 * SECOND
    m.send(b"x")
    m.connection.user_timeout = 333 * SECOND
    m.arrives("ACK")
    m.send(b"y")
    assert [said(sent) for sent in m.sent()] == [333, None]


def test_it_can_be_turned_on_and_off_in_mid_connection() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.connection.set_user_timeout_option(enabled=True, advertise=400 * SECOND, changeable=True)
    m.send(b"x")
    m.arrives("ACK", options=option(500))
    assert timeout_of(m) == 500
    m.connection.set_user_timeout_option(enabled=False, advertise=None, changeable=True)
    m.send(b"y")
    assert [said(sent) for sent in m.sent()] == [400, None]
    assert timeout_of(m) is None


def test_a_segment_that_carries_it_is_no_larger_than_others() -> None:
    """RFC 6691: options come off the text, not on top of it."""
    m = Machine.in_state(State.ESTABLISHED, mss=1000, tsval=1, config=ENABLED)
    m.connection.set_user_timeout_option(enabled=True, advertise=300 * SECOND, changeable=True)
    m.send(b"x" * 988 * 2)
    assert [(len(sent.data), said(sent)) for sent in m.sent()][:2] == [(984, 300), (988, None)]


def test_beside_sack_blocks_there_is_room_for_it() -> None:
    m = Machine.in_state(State.ESTABLISHED, tsval=1, sack=True, config=ENABLED)
    for island in range(4):
        m.arrives("ACK", seq=101 + 200 * island, data=b"x" * 100)
    m.sent()
    m.connection.set_user_timeout_option(enabled=True, advertise=300 * SECOND, changeable=True)
    m.arrives("ACK", seq=1501, data=b"x")
    ack = m.sent()[0]
    assert said(ack) == 300
    assert len(ack.blocks) == 2
    taken = sum(1 if kind < 2 else 2 + len(data) for kind, data in ack.raw.options)
    assert taken <= 40


def test_a_syn_without_room_goes_without_it() -> None:
    told = Option(uto.USER_TIMEOUT, b"\0\1")
    syn = (Option(MSS, b"\0\1"), Option(SACK_PERMITTED), Option(TIMESTAMPS, bytes(8)), Option(WINDOW_SCALE, b"\1"))
    assert uto.added(syn, told, 40) == (*syn, told)
    full = (*syn, Option(99, bytes(16)))
    assert uto.added(full, told, 40) == full


# --- what it does ---


@pytest.mark.parametrize(
    ("advertised", "remote", "lower", "upper", "adopted"),
    [
        (200, 300, 100, 1000, 300),
        (300, 200, 100, 1000, 300),
        (10, 20, 100, 1000, 100),
        (200, 5000, 100, 1000, 1000),
        (5000, 200, 100, 1000, 1000),
    ],
)
def test_the_formula(advertised: int, remote: int, lower: int, upper: int, adopted: int) -> None:
    """3.1: USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))."""
    config = StackConfig(uto=True, uto_advertise=advertised * SECOND, uto_lower=lower * SECOND, uto_upper=upper * SECOND)
    m = Machine.in_state(State.ESTABLISHED, config=config)
    m.arrives("ACK", options=option(remote))
    assert timeout_of(m) == adopted
    assert m.connection.info().peer_user_timeout == remote * SECOND


def test_minutes() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.arrives("ACK", options=option(minutes=10))
    assert timeout_of(m) == 600


def test_the_limits_are_those_of_the_rfc() -> None:
    assert StackConfig().uto_lower >= 100 * SECOND
    with pytest.raises(InvalidArgument, match="uto_lower"):
        StackConfig(uto_lower=2 * SECOND, uto_upper=SECOND)


def test_it_is_never_below_the_rto() -> None:
    """ "L_LIMIT MUST be larger than the current retransmission timeout"."""
    m = Machine.in_state(State.ESTABLISHED, config=replace(ENABLED, uto_lower=1 * SECOND, uto_advertise=1 * SECOND))
    m.send(b"x")
    m.wait(7_100)
    assert m.connection.info().rto == 8 * SECOND
    m.arrives("ACK", ack=1, options=option(1))
    adopted = m.connection.info().user_timeout
    assert adopted is not None
    assert adopted > 8 * SECOND


def test_it_is_what_ends_the_connection() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.arrives("ACK", options=option(300))
    m.send(b"lost")
    m.wait(299_999)
    m.expect_state(State.ESTABLISHED)
    m.wait(2)
    m.expect_state(State.CLOSED)
    assert isinstance(m.error, ConnectionTimedOut)


def test_it_holds_for_what_is_outstanding_already() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.send(b"lost")
    m.arrives("ACK", ack=1, options=option(300))
    m.wait(299_000)
    m.expect_state(State.ESTABLISHED)


def test_the_option_of_a_syn_counts_from_established_on() -> None:
    """3.3: "Connections in other states MUST use the default timeout values"."""
    m = Machine(config=ENABLED)
    m.open_passive()
    m.arrives("SYN", seq=0, options=(*m.syn_options(), *option(1000)))
    m.expect("SYN,ACK")
    assert timeout_of(m) is None
    m.arrives("ACK", seq=1, ack=1)
    assert timeout_of(m) == 1000


def test_what_the_application_has_set_is_not_changed_but_told() -> None:
    """3: "If an application explicitly sets the USER_TIMEOUT, CHANGEABLE MUST become false"; 3.1: it SHOULD be notified."""
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.connection.user_timeout = 150 * SECOND
    m.arrives("ACK", options=option(1000))
    info = m.connection.info()
    assert (info.user_timeout, info.peer_user_timeout) == (150 * SECOND, 1000 * SECOND)
    m.connection.user_timeout = None
    assert timeout_of(m) is None


def test_changeable_can_be_set_directly() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=replace(ENABLED, uto_changeable=False))
    m.arrives("ACK", options=option(1000))
    assert timeout_of(m) is None
    m.connection.set_user_timeout_option(enabled=True, advertise=None, changeable=True)
    m.arrives("ACK", options=option(1000))
    assert timeout_of(m) == 1000


@pytest.mark.parametrize("field", [0, 0x8000])
def test_the_reserved_values_are_ignored(field: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.arrives("ACK", options=option(500))
    m.arrives("ACK", options=(Option(uto.USER_TIMEOUT, struct.pack("!H", field)),))
    assert timeout_of(m) == 500


def test_a_segment_that_is_not_acceptable_changes_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=ENABLED)
    m.arrives("ACK", seq=900_000, options=option(500))
    m.arrives("ACK", ack=900_000, options=option(500))
    assert timeout_of(m) is None


def test_keep_alives_wait_longer_than_it() -> None:
    """4.2: "the keep-alive timer MUST be set to a value larger than that of the adopted USER TIMEOUT"."""
    m = Machine.in_state(State.ESTABLISHED, config=replace(ENABLED, keepalive=True, keepalive_time=10 * SECOND))
    m.arrives("ACK", options=option(300))
    m.wait(300_000)
    m.nothing_sent()
    probe = m.next_sent(within=2_000)
    assert probe.seq == 0
    assert m.now > 300 * SECOND + 10 * MILLISECOND
