"""The MSS option and the size of what is sent (RFC 9293 3.7.1)."""

import pytest

from tests.support.machine import Machine, mss_option
from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.tcp.state import State
from userstack.wire.tcp import NOP, WINDOW_SCALE, Option

SIX = {"local": Endpoint(pack_address("fd3d::2"), 8080), "remote": Endpoint(pack_address("fd3d::1"), 40_000)}


def sizes(m: Machine) -> list[int]:
    return [len(segment.data) for segment in m.sent()]


@pytest.mark.requirement("MUST-14")
@pytest.mark.requirement("SHLD-5")
@pytest.mark.requirement("MUST-67")
@pytest.mark.parametrize("mtu", [576, 1280, 1500, 9000, 65535])
def test_our_syn_names_the_mtu_less_the_headers(mtu: int) -> None:
    m = Machine(mtu=mtu)
    m.open_active()
    assert m.expect("SYN").mss == mtu - 40
    m = Machine(mtu=mtu)
    m.open_passive()
    m.arrives("SYN", seq=0)
    assert m.expect("SYN,ACK").mss == mtu - 40


@pytest.mark.requirement("MUST-65")
def test_no_other_segment_carries_the_option() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x" * 5000)
    m.close()
    m.arrives("ACK", data=b"y")
    m.wait(1_000)
    assert [segment.mss for segment in m.log if "SYN" not in segment.flags] == [None] * (len(m.log) - 1)


@pytest.mark.requirement("MUST-4")
@pytest.mark.requirement("MUST-14")
@pytest.mark.requirement("MUST-16")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
@pytest.mark.parametrize(
    ("peer", "mtu", "size"), [(1000, 1500, 1000), (1460, 1500, 1460), (9000, 1500, 1460), (1460, 1280, 1240), (65535, 9000, 8960)]
)
def test_segments_are_as_large_as_both_allow(peer: int, mtu: int, size: int, passive: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=peer, mtu=mtu, passive=passive)
    assert m.connection.info().snd_mss == size
    m.send(b"x" * (2 * size + 10))
    m.arrives("ACK")
    assert sizes(m) == [size, size, 10]


@pytest.mark.requirement("MUST-15")
@pytest.mark.parametrize("passive", [False, True], ids=["active", "passive"])
def test_peer_that_names_none_gets_536(passive: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=None, passive=passive)
    m.send(b"x" * 1072)
    assert sizes(m) == [536, 536]


@pytest.mark.requirement("MUST-15")
def test_ipv6_has_its_own_numbers() -> None:
    m = Machine(local=SIX["local"], remote=SIX["remote"])
    m.open_active()
    assert m.expect("SYN").mss == 1440
    m.arrives("SYN,ACK", seq=0, ack=1)
    m.expect("ACK")
    m.send(b"x" * 2440)
    assert sizes(m) == [1220, 1220]


@pytest.mark.requirement("MUST-5")
@pytest.mark.requirement("MUST-65")
def test_option_in_a_later_segment_changes_nothing() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1000)
    m.arrives("ACK", options=(mss_option(500),))
    m.send(b"x" * 2000)
    assert sizes(m) == [1000, 1000]


@pytest.mark.requirement("MUST-6")
@pytest.mark.requirement("MUST-64")
def test_unknown_options_around_it_are_skipped() -> None:
    m = Machine.in_state(State.SYN_SENT)
    odd = (Option(NOP), Option(253, b"\x01\x02\x03"), mss_option(1000), Option(NOP), Option(200))
    m.arrives("SYN,ACK", seq=0, ack=1, options=odd)
    m.expect("ACK", seq=1, ack=1)
    m.send(b"x" * 2000)
    assert sizes(m) == [1000, 1000]


@pytest.mark.parametrize("option", [Option(2, b""), Option(2, b"\x05"), Option(2, b"\x05\xb4\x00")])
def test_mss_option_of_the_wrong_length_counts_as_none(option: Option) -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("SYN,ACK", seq=0, ack=1, options=(option,))
    assert m.state in (State.ESTABLISHED, State.SYN_SENT, State.CLOSED)
    if m.state is State.ESTABLISHED:
        m.sent()
        m.send(b"x" * 1072)
        assert sizes(m) == [536, 536]


@pytest.mark.parametrize("absurd", [0, 1, 10])
def test_absurdly_small_mss_still_lets_data_through(absurd: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=absurd)
    m.send(b"x" * 100)
    for _ in range(100):
        if m.snd_una == 101:
            break
        m.arrives("ACK")
    assert m.snd_una == 101
    assert b"".join(segment.data for segment in m.sent()) == b"x" * 100


@pytest.mark.parametrize(
    ("peer", "least", "size"), [(1, 48, 48), (47, 48, 48), (49, 48, 49), (10, 216, 216), (216, 216, 216), (10, 1, 10)]
)
def test_an_absurdly_small_mss_counts_as_the_least(peer: int, least: int, size: int) -> None:
    """CVE-2019-11479: a peer must not have every octet sent in a segment of its own."""
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig(min_snd_mss=least), mss=peer)
    m.send(b"x" * 2 * size)
    assert sizes(m) == [size, size]


def test_beside_options_the_least_is_less() -> None:
    m = Machine.in_state(State.ESTABLISHED, mss=1, tsval=100)
    m.send(b"x" * 72)
    assert sizes(m) == [36, 36]


def test_of_two_options_the_last_counts_that_says_something() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("SYN,ACK", seq=0, ack=1, options=(mss_option(500), mss_option(1000), mss_option(0), Option(2, b"\x01")))
    m.sent()
    m.send(b"x" * 2000)
    assert sizes(m) == [1000, 1000]


def test_window_scale_of_the_peer_is_not_taken_up_unasked() -> None:
    """RFC 7323 2.2: the option counts only when both ends sent it; without ours the window field is what it says."""
    m = Machine.in_state(State.SYN_SENT)
    ours = [option.kind for option in m.log[0].raw.options]
    m.arrives("SYN,ACK", seq=0, ack=1, options=(*m.syn_options(), Option(WINDOW_SCALE, b"\x07")))
    m.sent()
    m.arrives("ACK", window=100)
    assert m.connection.tcb.snd_wnd == (12_800 if WINDOW_SCALE in ours else 100)
