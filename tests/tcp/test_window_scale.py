"""RFC 7323 2: window scale, offered, agreed, and what it does to the windows of both ends."""

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine
from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.tcp.options import read_syn
from userstack.tcp.state import State
from userstack.tcp.windowscale import shift_for, to_field
from userstack.wire.tcp import EOL, MSS, NOP, WINDOW_SCALE, Option

ENDS = [(LOCAL, REMOTE), (Endpoint(pack_address("fd09::2"), 8080), Endpoint(pack_address("fd09::1"), 40000))]


def config(buffer: int = 1 << 20, *, scale: int | None = None) -> StackConfig:
    return StackConfig(receive_buffer=buffer, window_scale=scale)


# --- 2.2, 2.3: negotiation ---


@pytest.mark.parametrize(
    ("buffer", "shift"), [(1, 0), (65_535, 0), (65_536, 1), (1 << 20, 5), (6 << 20, 7), (32 << 20, 10), (1 << 34, 14)]
)
def test_the_shift_is_the_least_that_offers_the_whole_buffer(buffer: int, shift: int) -> None:
    assert shift_for(buffer) == shift


@pytest.mark.parametrize(("local", "remote"), ENDS)
def test_it_is_offered_in_the_syn(local: Endpoint, remote: Endpoint) -> None:
    m = Machine(config=config(), local=local, remote=remote)
    m.open_active()
    syn = m.expect("SYN")
    assert (syn.scale, syn.window) == (5, 65_535)


def test_the_configuration_may_force_it_or_leave_it_out() -> None:
    m = Machine(config=config(scale=7))
    m.open_active()
    assert m.expect("SYN").scale == 7
    m = Machine(config=StackConfig(window_scaling=False))
    m.open_active()
    assert m.expect("SYN").scale is None


@pytest.mark.parametrize("scale", [None, 3])
def test_a_syn_ack_has_it_only_in_answer_to_it(scale: int | None) -> None:
    m = Machine(config=config(), scale=scale)
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    answer = m.expect("SYN,ACK", seq=0, ack=1)
    assert answer.scale == (None if scale is None else 5)
    assert answer.window == 65_535


def test_a_syn_ack_of_crossing_syns_has_it_only_in_answer_to_it() -> None:
    for scale, expected in ((None, None), (3, 5)):
        m = Machine(config=config(), scale=scale)
        m.open_active()
        m.expect("SYN")
        m.arrives("SYN", seq=0, options=m.syn_options())
        assert m.expect("SYN,ACK", seq=0, ack=1).scale == expected


def test_no_segment_but_a_syn_has_it() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=config(), scale=3)
    m.send(b"x" * 3_000)
    m.arrives("ACK", data=b"hello")
    m.close()
    m.wait(5_000)
    assert len(m.sent()) > 4
    assert all(sent.scale is None for sent in m.log[1:])


def test_a_repeated_syn_offers_the_same() -> None:
    m = Machine(config=config())
    m.open_active()
    first = m.expect("SYN")
    assert m.next_sent(within=2_000).scale == first.scale


@pytest.mark.parametrize("passive", [False, True])
def test_without_the_peers_offer_neither_end_scales(passive: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=passive, config=config(), window=500)
    m.arrives("ACK", data=b"x" * 10, window=500)
    m.wait(100)
    assert m.connection.info().snd_wnd == 500
    assert m.sent()[-1].window == 65_525  # of a MiB: the field has no more


@pytest.mark.requirement("REC-1")
@pytest.mark.parametrize("passive", [False, True])
def test_with_it_both_ends_scale(passive: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED, passive=passive, config=config(), window=500, scale=3)
    m.arrives("ACK", data=b"x" * 10)
    m.wait(100)
    assert m.connection.info().snd_wnd == 500 << 3
    assert m.sent()[-1].window == 1 << 15
    assert m.connection.info().rcv_wnd == 1 << 20


@pytest.mark.requirement("REC-1")
def test_a_window_above_16_bits_is_kept_and_used() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=config(), window=60_000, scale=3)
    m.arrives("ACK")
    assert m.connection.info().snd_wnd == 480_000


def test_the_window_of_a_syn_is_not_scaled() -> None:
    m = Machine(config=config(), scale=3, window=1_000)
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    assert m.connection.info().snd_wnd == 1_000
    m.arrives("ACK", seq=1, ack=1)
    assert m.connection.info().snd_wnd == 8_000


def test_a_shift_above_14_counts_as_14() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=3, scale=15)
    m.arrives("ACK")
    assert m.connection.info().snd_wnd == 3 << 14
    assert m.counters["TcpExtTCPBadWindowScale"] == 1


def test_what_is_no_window_scale_option_is_passed_over() -> None:
    syn = read_syn(
        (Option(NOP), Option(WINDOW_SCALE, b"\x02"), Option(WINDOW_SCALE, b"\x09"), Option(WINDOW_SCALE, b""), Option(EOL))
    )
    assert syn.window_scale == 9
    assert read_syn((Option(MSS, b"\x05\xb4"),)).window_scale is None


def test_it_means_nothing_on_a_segment_without_syn() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=500)
    m.arrives("ACK", options=(Option(WINDOW_SCALE, b"\x05"),))
    assert m.connection.info().snd_wnd == 500


# --- 2.4: rounding ---


def test_more_than_64_kib_are_taken_without_an_answer() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=config(), scale=0)
    for _ in range(200):
        m.deliver(m.segment("ACK", data=b"x" * 1_000))
    m.pull()
    assert m.sent()[-1].ack == 200_001
    assert len(m.receive()) == 200_000


@pytest.mark.requirement("SHLD-14")
@pytest.mark.requirement("REC-1")
def test_the_edge_never_moves_left_and_what_was_offered_is_taken() -> None:
    """RFC 7323 2.4: the receiver honours any segment that would have been in the window of any ACK that it sent."""
    m = Machine.in_state(State.ESTABLISHED, config=config(100_000, scale=10), scale=0, mss=1_000)
    edges = [1 + 65_535]
    taken = 0
    while m.connection.tcb.recvbuf.free:
        m.arrives("ACK", data=b"x" * min(777, edges[-1] - m.peer_nxt))
        m.wait(50)
        edges += [sent.ack + (sent.window << 10) for sent in m.sent() if sent.ack is not None]
        taken += 1
        assert taken < 1_000
    room = max(edges) - m.peer_nxt
    m.arrives("ACK", data=b"y" * room)
    assert m.rcv_nxt == max(edges)
    assert max(edges) <= 1 + 100_000 + 1_023


def test_one_octet_at_a_time_fills_the_buffer_and_no_more() -> None:
    """Rounding up must not let a peer that nobody reads creep on for ever."""
    m = Machine.in_state(State.ESTABLISHED, config=config(3_000, scale=10), scale=0, mss=1_000)
    for _ in range(5_000):
        m.arrives("ACK", data=b"x")
        if m.sent()[-1:] and m.log[-1].window == 0:
            break
    assert 3_000 <= m.rcv_nxt - 1 <= 3_000 + 1_023
    assert m.log[-1].window == 0


@pytest.mark.parametrize(
    ("offered", "free", "field"), [(4_096, 4_096, 4), (4_000, 4_096, 4), (4_000, 3_000, 3), (100, 0, 0), (1 << 30, 1 << 30, 65_535)]
)
def test_the_field_is_rounded_up_only_where_the_buffer_has_room(offered: int, free: int, field: int) -> None:
    assert to_field(offered, free, 10) == field


def test_without_a_shift_the_field_is_the_offer() -> None:
    assert to_field(3_000, 10, 0) == 3_000


def test_rounding_of_the_peers_window_does_not_keep_data_from_being_sent_again() -> None:
    """RFC 7323 2.4: out of the window by less than one unit of the scale, and in it when it was sent first."""
    m = Machine.in_state(State.ESTABLISHED, window=2, scale=10, mss=1_000, config=StackConfig(nagle=False))
    m.arrives("ACK")
    m.send(b"x" * 2_048)
    assert [len(sent.data) for sent in m.sent()] == [1_000, 1_000, 48]
    m.arrives("ACK", ack=1_001, window=1)
    again = m.next_sent(within=2_000)
    assert (again.seq, len(again.data)) == (1_001, 1_000)


def test_time_wait_shows_the_scaled_window() -> None:
    m = Machine.in_state(State.TIME_WAIT, config=config(), scale=0, record=True)
    m.arrives("FIN,ACK", seq=1, ack=2)
    assert m.expect("ACK", ack=2).window == 1 << 15
