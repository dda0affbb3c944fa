"""The ``stay`` rows of transitions.csv that a segment drives: RFC 9293 3.10.7, with RFC 5961."""

import pytest

from tests.support.machine import Machine
from tests.tcp.stays import CLOSED_BY_PEER, OTHER, RECEIVING, SYNCHRONIZED, stays
from userstack.config import MILLISECOND
from userstack.tcp.state import State

WITH_DATA = (State.ESTABLISHED, State.CLOSE_WAIT)
"""Where the machine may send."""
FIN_OUT = (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)
"""Where its FIN is not acknowledged."""


def answered(m: Machine) -> None:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, and nothing else has happened."""
    m.expect("ACK", seq=m.sent_nxt, ack=m.peer_nxt)
    m.nothing_sent()
    m.stayed()


def dropped(m: Machine) -> None:
    """Nothing has happened."""
    m.nothing_sent()
    m.stayed()


def inject(m: Machine, flags: str, *, seq: int | None = None, ack: int | None = None, data: bytes = b"") -> None:
    """A segment that must not count: the peer never sent it."""
    m.subject.on_segment(m.segment(flags, seq=seq, ack=ack, data=data), now=m.now)
    m.pull()


# --- 3.10.7.1: CLOSED ---


@stays("segment: RST", of=(State.CLOSED,))
@pytest.mark.parametrize("flags", ["RST", "RST,ACK"])
def test_closed_discards_a_rst(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, ack=9)
    dropped(m)


@stays("segment: ACK set, no RST", of=(State.CLOSED,))
@pytest.mark.parametrize("flags", ["ACK", "SYN,ACK", "FIN,ACK"])
def test_closed_resets_what_has_an_ack(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, ack=9, data=b"text")
    m.expect("RST", seq=9)
    dropped(m)


@stays("segment: no ACK, no RST", of=(State.CLOSED,))
@pytest.mark.parametrize(("flags", "length"), [("SYN", 1), ("", 0), ("FIN", 1)])
def test_closed_resets_what_has_none(state: State, record: bool, flags: str, length: int) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, data=b"text")
    sent = m.expect("RST,ACK", ack=7 + 4 + length)
    assert sent.raw.seq == 0
    dropped(m)


@stays("segment: FIN", of=(State.CLOSED,))
def test_closed_does_not_process_a_fin(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    m.arrives("FIN,ACK", seq=7, ack=9)
    m.expect("RST", seq=9)
    dropped(m)


# --- 3.10.7.2: LISTEN ---


@stays("segment: RST", of=(State.LISTEN,))
@pytest.mark.parametrize("flags", ["RST", "RST,ACK", "RST,SYN"])
def test_listen_ignores_a_rst(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, ack=9)
    dropped(m)


@stays("segment: ACK | no RST", of=(State.LISTEN,))
@pytest.mark.parametrize("flags", ["ACK", "SYN,ACK", "FIN,ACK"])
def test_listen_resets_what_has_an_ack(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, ack=9)
    m.expect("RST", seq=9)
    dropped(m)


@stays("segment: other | no RST, ACK or SYN", of=(State.LISTEN,))
@pytest.mark.parametrize("flags", ["", "PSH", "URG"])
def test_listen_drops_the_rest(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, data=b"text")
    dropped(m)


@stays("segment: FIN", of=(State.LISTEN,))
def test_listen_does_not_process_a_fin(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    m.arrives("FIN", seq=7)
    dropped(m)


# --- 3.10.7.3: SYN-SENT ---


@stays("segment: ACK | SEG.ACK =< ISS or SEG.ACK > SND.NXT; no RST", of=(State.SYN_SENT,))
@pytest.mark.parametrize("flags", ["ACK", "SYN,ACK"])
@pytest.mark.parametrize("ack", [0, -1, 2, 1000])
def test_syn_sent_resets_an_ack_of_what_it_never_sent(state: State, record: bool, flags: str, ack: int) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=7, ack=ack)
    m.expect("RST", seq=ack)
    dropped(m)


@stays("segment: RST,ACK | ACK not acceptable", of=(State.SYN_SENT,))
@pytest.mark.parametrize("ack", [0, 2])
def test_syn_sent_drops_a_rst_with_such_an_ack(state: State, record: bool, ack: int) -> None:
    m = Machine.in_state(state)
    m.arrives("RST,ACK", seq=7, ack=ack)
    dropped(m)


@stays("segment: RST | no ACK", of=(State.SYN_SENT,))
def test_syn_sent_drops_a_rst_without_an_ack(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    m.arrives("RST", seq=0)
    dropped(m)


@stays("segment: neither SYN nor RST | ACK acceptable or absent", of=(State.SYN_SENT,))
@pytest.mark.parametrize("flags", ["ACK", "", "PSH,ACK"])
def test_syn_sent_drops_what_has_no_syn(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state)
    inject(m, flags, seq=1, ack=1, data=b"text")
    dropped(m)


@stays("segment: FIN | no SYN", of=(State.SYN_SENT,))
def test_syn_sent_drops_a_fin(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    inject(m, "FIN,ACK", seq=1, ack=1)
    dropped(m)


# --- 3.10.7.4, first step: the sequence number ---


@stays("segment: unacceptable SEQ | RST off", of=OTHER)
@pytest.mark.parametrize(("offset", "data"), [(-10, b"old"), (70_000, b"far"), (-1, b""), (70_000, b"")])
def test_an_unacceptable_segment_is_answered(state: State, record: bool, offset: int, data: bytes) -> None:
    m = Machine.in_state(state, record=record)
    inject(m, "ACK", seq=m.peer_nxt + offset, data=data)
    answered(m)


@stays("segment: unacceptable SEQ | RST on", of=OTHER)
@pytest.mark.parametrize("offset", [-10, 70_000])
def test_an_unacceptable_rst_is_dropped(state: State, record: bool, offset: int) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("RST", seq=m.peer_nxt + offset)
    dropped(m)


@stays("segment: SEQ in window but above RCV.NXT | no RST/SYN handling applies", of=OTHER)
def test_what_lies_beyond_a_hole_is_held_and_does_not_count_yet(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    hole = m.peer_nxt
    if state is State.SYN_RECEIVED:  # its ACK would establish the connection
        inject(m, "", seq=hole + 5, data=b"world")
        m.stayed()
        return
    inject(m, "ACK", seq=hole + 5, ack=m.snd_una if isinstance(m.subject, type(m.connection)) else None, data=b"world")
    if state in RECEIVING:
        answered(m)
        m.arrives("ACK", seq=hole, ack=m.snd_una, data=b"hello")
        assert m.receive() == b"helloworld"
    else:  # no text can come where the peer has closed
        m.stayed()
        assert m.rcv_nxt == hole


# --- second and fourth step: RST, SYN ---


@stays("segment: RST | RFC 5961: in window but SEG.SEQ != RCV.NXT", of=OTHER)
@pytest.mark.parametrize("offset", [1, 60_000])
def test_a_rst_that_may_be_forged_is_challenged(state: State, record: bool, offset: int) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("RST", seq=m.peer_nxt + offset)
    answered(m)


@stays("segment: SYN | active origin; RFC 5961", of=(State.SYN_RECEIVED,))
@pytest.mark.parametrize("offset", [0, 4, 70_000])
def test_a_syn_in_syn_received_is_challenged(state: State, record: bool, offset: int) -> None:
    m = Machine.in_state(state)
    m.arrives("SYN", seq=m.peer_nxt + offset)
    answered(m)


@stays("segment: SYN | RFC 5961, any SEQ", of=SYNCHRONIZED[:-1])
@pytest.mark.parametrize("offset", [-70_000, 0, 5, 70_000])
@pytest.mark.parametrize("flags", ["SYN", "SYN,ACK"])
def test_a_syn_is_challenged(state: State, record: bool, offset: int, flags: str) -> None:
    m = Machine.in_state(state)
    m.arrives(flags, seq=m.peer_nxt + offset)
    answered(m)


@stays("segment: SYN | reopen not accepted; RFC 5961", of=(State.TIME_WAIT,))
@pytest.mark.parametrize("offset", [-70_000, -1])
def test_a_syn_that_reopens_nothing_is_challenged(state: State, record: bool, offset: int) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("SYN", seq=m.peer_nxt + offset)
    answered(m)


# --- fifth step: ACK ---


@stays("segment: ACK off | SEQ acceptable, no RST/SYN", of=OTHER)
@pytest.mark.parametrize("flags", ["", "FIN"])
def test_what_has_no_ack_is_dropped(state: State, record: bool, flags: str) -> None:
    m = Machine.in_state(state, record=record)
    before = m.rcv_nxt
    inject(m, flags, seq=m.peer_nxt, data=b"text")
    dropped(m)
    assert m.rcv_nxt == before


@stays("segment: ACK | RFC 5961 check fails: SEG.ACK outside SND.UNA-MAX.SND.WND .. SND.NXT", of=SYNCHRONIZED)
@pytest.mark.parametrize("ack", [-70_000, 1 << 20])
def test_an_ack_that_may_be_forged_is_answered_and_its_text_dropped(state: State, record: bool, ack: int) -> None:
    m = Machine.in_state(state, record=record)
    inject(m, "ACK", ack=ack, data=b"injected")
    answered(m)


@stays(
    "segment: ACK | RFC 5961 check fails: SEG.ACK outside SND.UNA-MAX.SND.WND .. SND.NXT",
    "segment: ACK | SEG.ACK unacceptable",
    of=(State.SYN_RECEIVED,),
)
@pytest.mark.parametrize("ack", [-70_000, 0, 2, 1 << 20])
def test_a_bad_ack_in_syn_received_is_reset(state: State, record: bool, ack: int) -> None:
    m = Machine.in_state(state)
    inject(m, "ACK", seq=1, ack=ack, data=b"injected")
    m.expect("RST", seq=ack)
    dropped(m)


@stays("segment: ACK | SND.UNA < SEG.ACK =< SND.NXT, no FIN of ours newly acked", of=WITH_DATA)
def test_an_ack_moves_snd_una_and_the_window(state: State, record: bool) -> None:
    m = Machine.in_state(state, mss=1000)
    m.send(b"x" * 2000)
    m.sent()
    m.arrives("ACK", ack=1001, window=5000)
    info = m.connection.info()
    assert (m.snd_una, info.unacked, info.snd_wnd) == (1001, 1000, 5000)
    assert info.timer == "retransmission"
    m.arrives("ACK", ack=2001, window=6000)
    assert (m.snd_una, m.connection.info().snd_wnd, m.connection.info().timer) == (2001, 6000, "")
    dropped(m)


@stays("segment: ACK | SND.UNA < SEG.ACK =< SND.NXT, no FIN of ours newly acked", of=(State.FIN_WAIT_1, State.CLOSING))
def test_an_ack_of_text_before_our_fin_leaves_the_fin_outstanding(state: State, record: bool) -> None:
    m = closing_with_text(state)
    m.arrives("ACK", ack=3, window=5000)
    m.expect_state(state)
    assert (m.snd_una, m.connection.info().snd_wnd, m.connection.info().timer) == (3, 5000, "retransmission")
    m.nothing_sent()


@stays(
    "segment: ACK | SND.UNA < SEG.ACK =< SND.NXT, no FIN of ours newly acked",
    "segment: ACK | retransmission queue empty",
    of=(State.FIN_WAIT_2,),
)
def test_in_fin_wait_2_all_of_ours_has_been_acknowledged(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    assert (m.snd_una, m.snd_nxt, m.connection.info().unacked) == (2, 2, 0)
    m.arrives("ACK", ack=2, window=5000)
    assert m.connection.info().snd_wnd == 5000
    dropped(m)
    m.close()  # "ok" to the CLOSE, and the TCB stays
    m.stayed()


@stays("segment: ACK | duplicate, SEG.ACK =< SND.UNA", of=(*RECEIVING, State.CLOSE_WAIT, State.CLOSING))
def test_a_duplicate_ack_is_ignored_but_for_the_window(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    una = m.snd_una
    m.arrives("ACK", ack=una - 1, window=1000)
    assert (m.snd_una, m.connection.info().snd_wnd) == (una, 65535)
    m.arrives("ACK", ack=una, window=2000)
    assert (m.snd_una, m.connection.info().snd_wnd) == (una, 2000)
    dropped(m)


@stays("segment: ACK | SEG.ACK > SND.NXT", of=SYNCHRONIZED)
def test_an_ack_of_what_was_never_sent_is_answered(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    inject(m, "ACK", ack=m.sent_nxt + 1, data=b"injected")
    answered(m)


@stays("segment: ACK | does not ack our FIN", of=(State.CLOSING, State.LAST_ACK))
def test_an_ack_that_leaves_our_fin_out(state: State, record: bool) -> None:
    m = closing_with_text(state)
    m.arrives("ACK", ack=3)
    m.expect_state(state)
    m.nothing_sent()
    repeated = m.next_sent(within=3_000)
    assert (repeated.flags, repeated.seq) == ("FIN,ACK", 3), "the FIN stays on the retransmission queue"


@stays(
    "segment: ACK (only a retransmitted FIN is expected) | acceptable", "segment: FIN | retransmitted FIN", of=(State.TIME_WAIT,)
)
def test_a_fin_again_is_acknowledged_and_restarts_2msl(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    m.wait(1_000)
    m.arrives("FIN,ACK", seq=1)
    answered(m)
    assert m.subject.next_deadline() == m.now + 2 * m.config.msl


# --- sixth step: URG ---


@stays("segment: URG", of=RECEIVING)
def test_urgent_data_is_signalled(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    urgent(m, b"abc", pointer=10)
    assert m.connection.urgent_remaining == 10, "RCV.UP lies ahead of what has been consumed"
    urgent(m, b"", pointer=2)
    assert m.connection.urgent_remaining == 10, "and never moves back"
    assert m.receive() == b"abc"
    assert m.connection.urgent_remaining == 7
    m.stayed()


@stays("segment: URG", of=CLOSED_BY_PEER)
def test_urgent_data_after_a_fin_is_ignored(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    urgent(m, b"", pointer=10)
    m.stayed()
    if not record:
        assert m.connection.urgent_remaining == 0
        assert m.receive() == b""


def urgent(m: Machine, data: bytes, *, pointer: int) -> None:
    segment = m.segment("ACK,URG", ack=m.snd_una, data=data)
    segment.urgent_pointer = pointer
    m.deliver(segment)
    m.pull()


# --- seventh and eighth step: text, FIN ---


@stays("segment: text | in order", of=RECEIVING)
def test_text_in_order_is_delivered_and_acknowledged(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    right_edge = m.connection.tcb.rcv_adv
    m.arrives("ACK,PSH", ack=m.snd_una, data=b"hello")
    assert m.readable()
    assert m.connection.tcb.rcv_adv >= right_edge, "RCV.NXT + RCV.WND is not reduced"
    sent = m.outbox.pop(0) if m.outbox else m.next_sent(within=500)
    assert (sent.flags, sent.ack) == ("ACK", m.peer_nxt)
    assert sent.time <= 500 * MILLISECOND + m.now
    assert m.receive() == b"hello"
    m.stayed()


@stays("segment: text", of=CLOSED_BY_PEER)
def test_text_after_a_fin_is_ignored(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    before = m.rcv_nxt
    inject(m, "ACK", ack=None if record else m.snd_una, data=b"more")
    m.stayed()
    assert m.rcv_nxt == before
    assert m.receive() == b""


@stays("segment: FIN | retransmitted FIN", of=(State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK))
def test_a_fin_again_is_acknowledged_again(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    m.arrives("FIN,ACK", seq=1, ack=m.snd_una)
    answered(m)


def closing_with_text(state: State) -> Machine:
    """One of ``FIN_OUT`` with two octets and the FIN behind them outstanding."""
    assert state in FIN_OUT
    m = Machine.in_state(State.CLOSE_WAIT if state is State.LAST_ACK else State.ESTABLISHED)
    m.send(b"ab")
    m.close()
    if state is State.CLOSING:
        m.arrives("FIN,ACK", ack=1)
    m.sent()
    m.expect_state(state)
    return m
