"""The ``change`` rows of transitions.csv that an ordinary arriving segment drives: SYN, ACK and FIN (RFC 9293 3.10.7, 3.5, 3.6)."""

import pytest

from tests.support.machine import ISS, REMOTE, Machine, signed
from userstack.tcp.state import State
from userstack.tcp.timewait import TimeWait

# --- SYN ---


@pytest.mark.transition(
    "LISTEN | segment: SYN | no RST, no ACK; security matches; source valid, destination unicast | SYN-RECEIVED"
)
def test_syn_in_listen_is_answered_with_syn_ack() -> None:
    m = Machine.in_state(State.LISTEN)
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.expect("SYN,ACK", seq=0, ack=1)
    m.nothing_sent()
    m.moved(State.LISTEN, State.SYN_RECEIVED, section="3.10.7.2")
    assert (m.snd_una, m.snd_nxt, m.rcv_nxt) == (0, 1, 1)


@pytest.mark.transition(
    "SYN-SENT | segment: SYN,ACK | ACK acceptable (SND.UNA < SEG.ACK =< SND.NXT), i.e. our SYN is acked | ESTABLISHED"
)
def test_syn_ack_establishes() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options(), window=4000)
    m.expect("ACK", seq=1, ack=1)
    m.nothing_sent()
    m.moved(State.SYN_SENT, State.ESTABLISHED, section="3.10.7.3")
    assert (m.snd_una, m.snd_nxt, m.rcv_nxt, m.connection.tcb.snd_wnd) == (1, 1, 1, 4000)


@pytest.mark.transition(
    "SYN-SENT | segment: SYN,ACK | ACK acceptable (SND.UNA < SEG.ACK =< SND.NXT), i.e. our SYN is acked | ESTABLISHED"
)
def test_syn_ack_lets_queued_data_and_a_text_of_its_own_through() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.send(b"queued")
    m.nothing_sent()
    m.arrives("SYN,ACK", seq=0, ack=1, data=b"text", options=m.syn_options())
    sent = m.sent()
    assert b"".join(segment.data for segment in sent) == b"queued"
    assert sent[-1].ack == 5
    assert m.receive() == b"text"


@pytest.mark.transition("SYN-SENT | segment: SYN,ACK,FIN | ACK acceptable | CLOSE-WAIT")
def test_syn_ack_fin_goes_through_established_to_close_wait() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("SYN,FIN,ACK", seq=0, ack=1)
    assert m.outbox[-1].ack == 2
    assert all((segment.flags, segment.seq) == ("ACK", 1) for segment in m.outbox)
    m.moved(State.SYN_SENT, State.ESTABLISHED, State.CLOSE_WAIT, section="3.10.7.4")
    assert m.receive() == b""


@pytest.mark.requirement("MUST-10")
@pytest.mark.transition("SYN-SENT | segment: SYN | no ACK (simultaneous open) | SYN-RECEIVED")
def test_crossing_syn_is_answered_with_syn_ack() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.arrives("SYN", seq=0, options=m.syn_options(), window=4000)
    m.expect("SYN,ACK", seq=0, ack=1)
    m.nothing_sent()
    m.moved(State.SYN_SENT, State.SYN_RECEIVED, section="3.10.7.3")
    assert (m.snd_una, m.snd_nxt, m.rcv_nxt, m.connection.tcb.snd_wnd) == (0, 1, 1, 4000)


# --- the ACK of our SYN ---


@pytest.mark.transition("SYN-RECEIVED | segment: ACK | SND.UNA < SEG.ACK =< SND.NXT (our SYN acked) | ESTABLISHED")
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_ack_of_our_syn_establishes(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.arrives("ACK", seq=1, ack=1, window=1234)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.ESTABLISHED, section="3.10.7.4")
    assert (m.snd_una, m.snd_nxt, m.connection.tcb.snd_wnd) == (1, 1, 1234)
    assert m.connection.remote == REMOTE


@pytest.mark.transition("SYN-RECEIVED | segment: ACK | SND.UNA < SEG.ACK =< SND.NXT (our SYN acked) | ESTABLISHED")
def test_ack_of_our_syn_carries_out_the_queued_send_and_close() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True)
    m.send(b"queued")
    m.close()
    m.nothing_sent()
    m.expect_state(State.SYN_RECEIVED)
    m.arrives("ACK", seq=1, ack=1)
    assert b"".join(segment.data for segment in m.outbox) == b"queued"
    assert m.outbox[-1].end == 8
    assert [step.new for step in m.transitions] == [State.ESTABLISHED, State.FIN_WAIT_1]


@pytest.mark.requirement("MUST-10")
@pytest.mark.transition(
    "SYN-RECEIVED | segment: SYN,ACK | simultaneous open: peer SYN,ACK repeats its SYN (SEG.SEQ=IRS, left of window);"
    " ACK of our SYN | ESTABLISHED"
)
def test_syn_ack_of_a_simultaneous_open_establishes() -> None:
    m = Machine.in_state(State.SYN_RECEIVED)
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    assert all((segment.flags, segment.seq, segment.ack) == ("ACK", 1, 1) for segment in m.outbox)
    assert len(m.outbox) <= 1
    assert [(step.old, step.new) for step in m.transitions] == [(State.SYN_RECEIVED, State.ESTABLISHED)]
    assert (m.snd_una, m.rcv_nxt) == (1, 1)


@pytest.mark.transition("SYN-RECEIVED | segment: FIN,ACK | ACK of our SYN acceptable, FIN in order | CLOSE-WAIT")
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_fin_with_the_ack_of_our_syn_goes_through_established_to_close_wait(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.arrives("FIN,ACK", seq=1, ack=1)
    m.expect("ACK", seq=1, ack=2)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT, section="3.10.7.4")
    assert m.receive() == b""


# --- FIN ---


@pytest.mark.requirement("MUST-12")
@pytest.mark.transition("ESTABLISHED | segment: FIN | in order | CLOSE-WAIT")
def test_fin_in_established_is_acknowledged_and_told_as_eof() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    with pytest.raises(BlockingIOError):
        m.receive()
    m.arrives("FIN,ACK", data=b"last")
    assert m.outbox[-1].ack == 6
    m.moved(State.ESTABLISHED, State.CLOSE_WAIT, section="3.10.7.4")
    assert m.receive() == b"last"
    assert m.receive() == b""
    assert m.connection.eof
    assert m.error is None


@pytest.mark.transition("FIN-WAIT-1 | segment: ACK | acks our FIN; segment has no FIN | FIN-WAIT-2")
def test_ack_of_our_fin() -> None:
    m = Machine.in_state(State.FIN_WAIT_1)
    m.arrives("ACK", seq=1, ack=2)
    m.nothing_sent()
    m.moved(State.FIN_WAIT_1, State.FIN_WAIT_2, section="3.10.7.4")
    m.wait(10_000)
    m.nothing_sent()


@pytest.mark.transition("FIN-WAIT-1 | segment: FIN | our FIN acked (before or by this segment) | TIME-WAIT")
def test_fin_with_the_ack_of_our_fin_leads_to_time_wait() -> None:
    m = Machine.in_state(State.FIN_WAIT_1)
    m.arrives("FIN,ACK", seq=1, ack=2)
    m.expect("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.moved(State.FIN_WAIT_1, State.TIME_WAIT, section="3.10.7.4")
    assert m.connection.next_deadline() == m.now + 2 * m.config.msl


@pytest.mark.transition("FIN-WAIT-1 | segment: FIN | our FIN not yet acked (simultaneous close) | CLOSING")
def test_crossing_fin_leads_to_closing() -> None:
    m = Machine.in_state(State.FIN_WAIT_1)
    m.arrives("FIN,ACK", seq=1, ack=1)
    m.expect("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.moved(State.FIN_WAIT_1, State.CLOSING, section="3.10.7.4")


@pytest.mark.requirement("MUST-13")
@pytest.mark.transition("FIN-WAIT-2 | segment: FIN | in order | TIME-WAIT")
def test_fin_in_fin_wait_2_starts_time_wait() -> None:
    m = Machine.in_state(State.FIN_WAIT_2)
    m.arrives("FIN,ACK", seq=1, ack=2)
    m.expect("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.moved(State.FIN_WAIT_2, State.TIME_WAIT, section="3.10.7.4")
    assert m.connection.next_deadline() == m.now + 2 * m.config.msl


@pytest.mark.transition("CLOSING | segment: ACK | acks our FIN | TIME-WAIT")
def test_ack_of_our_fin_in_closing_starts_time_wait() -> None:
    m = Machine.in_state(State.CLOSING)
    m.arrives("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.moved(State.CLOSING, State.TIME_WAIT, section="3.10.7.4")
    assert m.connection.next_deadline() == m.now + 2 * m.config.msl


@pytest.mark.transition("LAST-ACK | segment: ACK | acks our FIN | CLOSED")
def test_ack_of_our_fin_in_last_ack_deletes_the_tcb() -> None:
    m = Machine.in_state(State.LAST_ACK)
    m.arrives("ACK", seq=2, ack=2)
    m.nothing_sent()
    m.moved(State.LAST_ACK, State.CLOSED, section="3.10.7.4")
    assert m.error is None
    assert m.connection.next_deadline() is None


# --- a new incarnation from TIME-WAIT (MAY-2) ---


def reopened(new_iss: int) -> Machine:
    """TIME-WAIT, taken over by a new SYN 1000 above all that the peer had sent; relative numbers count from the new ISNs."""
    m = Machine.in_state(State.TIME_WAIT, record=True)
    syn = m.segment("SYN", seq=1000, options=m.syn_options())
    assert isinstance(m.subject, TimeWait)
    assert m.subject.reopens(syn)
    m.irs, m.peer_nxt, m.iss = syn.seq, 0, new_iss
    m.reopen()
    m.expect_state(State.TIME_WAIT)
    m.deliver(syn)
    m.pull()
    return m


@pytest.mark.requirement("MAY-2")
@pytest.mark.transition(
    "TIME-WAIT | segment: SYN | new incarnation accepted (MAY-2: new ISS above the last sequence sent;"
    " or timestamp test of RFC 6191) | SYN-RECEIVED"
)
@pytest.mark.parametrize("new_iss", [1_000_000, 0, 2**32 - 2, 2**31])
def test_new_syn_reopens_from_time_wait(new_iss: int) -> None:
    """Whatever the generator says, the new ISS lies above all that the old incarnation used: ISS + 2, here just past the wrap."""
    m = reopened(new_iss)
    answer = m.sent()[0]
    assert (answer.flags, answer.ack) == ("SYN,ACK", 1)
    assert signed(answer.raw.seq - (ISS + 2)) > 0
    m.moved(State.TIME_WAIT, State.SYN_RECEIVED, section="3.6.1")
    m.iss = answer.raw.seq
    m.arrives("ACK", seq=1, ack=1, data=b"anew")
    m.expect_state(State.ESTABLISHED)
    assert m.receive() == b"anew"


@pytest.mark.requirement("MAY-2")
@pytest.mark.transition(
    "SYN-RECEIVED | SYN found to be an old duplicate | reached from TIME-WAIT reopen (MAY-2 condition 2) | TIME-WAIT"
)
def test_old_duplicate_syn_leads_back_to_time_wait() -> None:
    """The peer, which never sent that SYN, answers our SYN,ACK with a RST."""
    m = reopened(1_000_000)
    answer = m.sent()[0]
    assert answer.ack == 1
    m.trace.clear()
    m.arrives("RST", seq=answer.ack)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.TIME_WAIT, section="3.6.1")
    deadline = m.connection.next_deadline()
    assert deadline is not None
    assert deadline <= m.now + 2 * m.config.msl
    m.wait(60_000)
    m.expect_state(State.CLOSED)


@pytest.mark.parametrize(
    ("flags", "seq", "reopens"),
    [
        ("SYN", 3, True),
        ("SYN", 1 << 30, True),
        ("SYN", 2, True),  # the FIN was 1
        ("SYN", 1, False),
        ("SYN", -1000, False),
        ("SYN,ACK", 1000, False),
        ("SYN,RST", 1000, False),
        ("ACK", 1000, False),
        ("FIN,ACK", 1000, False),
    ],
)
def test_only_a_syn_above_all_that_was_received_reopens(flags: str, seq: int, reopens: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, record=True)
    assert isinstance(m.subject, TimeWait)
    assert m.subject.reopens(m.segment(flags, seq=seq)) is reopens
