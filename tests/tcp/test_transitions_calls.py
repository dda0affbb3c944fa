"""The ``change`` rows of transitions.csv that a user call drives: OPEN, SEND, CLOSE, ABORT (RFC 9293 3.10.1 to 3.10.5, 3.6.1)."""

import pytest

from tests.support.machine import REMOTE, Machine
from userstack.errors import ConnectionReset
from userstack.tcp.state import State

# --- OPEN, and the SEND that opens ---


@pytest.mark.transition("CLOSED | OPEN passive | caller authorised, resources available | LISTEN")
def test_passive_open_listens_and_sends_nothing() -> None:
    m = Machine()
    m.open_passive()
    m.nothing_sent()
    m.moved(State.CLOSED, State.LISTEN, section="3.10.1")
    assert m.connection.remote is None
    assert m.connection.next_deadline() is None


@pytest.mark.transition("CLOSED | OPEN active | remote socket specified, address valid | SYN-SENT")
def test_active_open_sends_syn() -> None:
    m = Machine()
    m.open_active()
    m.expect("SYN", seq=0)
    m.nothing_sent()
    m.moved(State.CLOSED, State.SYN_SENT, section="3.10.1")
    assert (m.snd_una, m.snd_nxt) == (0, 1)
    assert m.connection.remote == REMOTE


@pytest.mark.transition("LISTEN | OPEN active | remote socket specified | SYN-SENT")
def test_active_open_turns_a_listener_around() -> None:
    m = Machine.in_state(State.LISTEN)
    m.open_active()
    m.expect("SYN", seq=0)
    m.nothing_sent()
    m.moved(State.LISTEN, State.SYN_SENT, section="3.10.1")
    assert (m.snd_una, m.snd_nxt) == (0, 1)
    m.arrives("SYN,ACK", seq=0, ack=1)
    m.expect_state(State.ESTABLISHED)


@pytest.mark.transition("LISTEN | SEND | remote socket specified | SYN-SENT")
def test_send_turns_a_listener_around_and_its_data_follows() -> None:
    m = Machine.in_state(State.LISTEN)
    assert m.send(b"hello", remote=REMOTE) == 5
    first = m.expect("SYN", seq=0, data=m.log[-1].data)
    m.nothing_sent()
    m.moved(State.LISTEN, State.SYN_SENT, section="3.10.2")
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    later = m.sent()
    assert first.data + b"".join(segment.data for segment in later) in (b"hello", b"hellohello")
    m.arrives("ACK", seq=1, ack=6)
    assert m.snd_una == 6


# --- CLOSE ---


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(State.LISTEN, marks=pytest.mark.transition("LISTEN | CLOSE |  | CLOSED")),
        pytest.param(State.SYN_SENT, marks=pytest.mark.transition("SYN-SENT | CLOSE |  | CLOSED")),
    ],
)
def test_close_before_the_peer_has_answered_deletes_the_tcb(state: State) -> None:
    m = Machine.in_state(state)
    m.close()
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.10.4")
    assert m.connection.next_deadline() is None


@pytest.mark.transition("SYN-SENT | CLOSE |  | CLOSED")
def test_close_in_syn_sent_drops_what_was_queued() -> None:
    m = Machine.in_state(State.SYN_SENT)
    m.send(b"never to go out")
    m.close()
    m.wait(10_000)
    m.nothing_sent()
    m.expect_state(State.CLOSED)


@pytest.mark.transition("SYN-RECEIVED | CLOSE | no SEND issued and nothing pending | FIN-WAIT-1")
@pytest.mark.parametrize("passive", [True, False], ids=["passive", "active"])
def test_close_in_syn_received_sends_fin(passive: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=passive)
    m.close()
    m.expect("FIN,ACK", seq=1, ack=1)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.FIN_WAIT_1, section="3.10.4")
    m.arrives("ACK", seq=1, ack=2)
    m.expect_state(State.FIN_WAIT_2)


@pytest.mark.transition("ESTABLISHED | CLOSE |  | FIN-WAIT-1")
def test_close_in_established_sends_fin() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.close()
    m.expect("FIN,ACK", seq=1, ack=1)
    m.nothing_sent()
    m.moved(State.ESTABLISHED, State.FIN_WAIT_1, section="3.10.4")


@pytest.mark.transition("ESTABLISHED | CLOSE |  | FIN-WAIT-1")
def test_close_enters_fin_wait_1_at_once_and_the_fin_follows_the_queued_data() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=10)
    m.send(b"0123456789")
    m.expect("ACK", seq=1, ack=1, data=b"0123456789")
    m.send(b"abcde")
    m.close()
    m.nothing_sent()
    m.moved(State.ESTABLISHED, State.FIN_WAIT_1, section="3.10.4")
    m.arrives("ACK", ack=11)
    assert "".join(segment.flags for segment in m.outbox).count("FIN") == 1
    assert b"".join(segment.data for segment in m.outbox) == b"abcde"
    assert m.outbox[-1].end == 17


@pytest.mark.transition("CLOSE-WAIT | CLOSE | queued SENDs all segmentized | LAST-ACK")
def test_close_in_close_wait_sends_fin() -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.close()
    m.expect("FIN,ACK", seq=1, ack=2)
    m.nothing_sent()
    m.moved(State.CLOSE_WAIT, State.LAST_ACK, section="3.10.4")


@pytest.mark.transition("CLOSE-WAIT | CLOSE | queued SENDs all segmentized | LAST-ACK")
def test_close_in_close_wait_is_queued_until_all_is_segmentized() -> None:
    m = Machine.in_state(State.CLOSE_WAIT, window=10)
    m.send(b"0123456789")
    m.send(b"abcde")
    m.sent()
    m.close()
    m.nothing_sent()
    m.expect_state(State.CLOSE_WAIT)
    m.arrives("ACK", ack=11)
    assert b"".join(segment.data for segment in m.outbox) == b"abcde"
    assert (m.outbox[-1].flags, m.outbox[-1].end) == ("FIN,ACK", 17)
    m.moved(State.CLOSE_WAIT, State.LAST_ACK, section="3.10.4")


# --- the half-duplex CLOSE of BSD sockets (MAY-1, SHLD-3) ---


@pytest.mark.requirement("SHLD-3")
@pytest.mark.requirement("MAY-1")
@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            State.ESTABLISHED,
            marks=pytest.mark.transition(
                "ESTABLISHED | CLOSE (half-duplex variant) | received data unread, stack implements MAY-1 | CLOSED"
            ),
        ),
        pytest.param(
            State.CLOSE_WAIT,
            marks=pytest.mark.transition(
                "CLOSE-WAIT | CLOSE (half-duplex variant) | received data unread, stack implements MAY-1 | CLOSED"
            ),
        ),
    ],
)
def test_release_with_unread_data_resets(state: State) -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK" if state is State.CLOSE_WAIT else "ACK", data=b"unread")
    m.wait(500)
    m.sent()
    m.trace.clear()
    m.expect_state(state)
    m.release()
    sent = m.outbox.pop(0)
    assert sent.flags.startswith("RST")
    assert sent.seq == 1
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.6.1")
    assert m.connection.next_deadline() is None


@pytest.mark.requirement("MAY-1")
@pytest.mark.requirement("SHLD-3")
@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            State.FIN_WAIT_1,
            marks=pytest.mark.transition("FIN-WAIT-1 | segment: new data | stack implements half-duplex close (MAY-1) | CLOSED"),
        ),
        pytest.param(
            State.FIN_WAIT_2,
            marks=pytest.mark.transition("FIN-WAIT-2 | segment: new data | stack implements half-duplex close (MAY-1) | CLOSED"),
        ),
    ],
)
def test_new_data_after_release_resets(state: State) -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.release()
    m.expect("FIN,ACK", seq=1, ack=1)
    if state is State.FIN_WAIT_2:
        m.arrives("ACK", ack=2)
    m.nothing_sent()
    m.trace.clear()
    m.arrives("ACK", ack=1 if state is State.FIN_WAIT_1 else 2, data=b"too late")
    sent = m.outbox.pop(0)
    assert sent.flags.startswith("RST")
    assert sent.seq in ({1, 2} if state is State.FIN_WAIT_1 else {2})
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.6.1")


# --- ABORT ---


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(State.SYN_RECEIVED, marks=pytest.mark.transition("SYN-RECEIVED | ABORT |  | CLOSED")),
        pytest.param(State.ESTABLISHED, marks=pytest.mark.transition("ESTABLISHED | ABORT |  | CLOSED")),
        pytest.param(State.FIN_WAIT_1, marks=pytest.mark.transition("FIN-WAIT-1 | ABORT |  | CLOSED")),
        pytest.param(State.FIN_WAIT_2, marks=pytest.mark.transition("FIN-WAIT-2 | ABORT |  | CLOSED")),
        pytest.param(State.CLOSE_WAIT, marks=pytest.mark.transition("CLOSE-WAIT | ABORT |  | CLOSED")),
    ],
)
def test_abort_sends_a_reset(state: State) -> None:
    m = Machine.in_state(state)
    m.abort()
    m.expect("RST", seq=m.sent_nxt)
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.10.5")
    assert isinstance(m.error, ConnectionReset)  # 3.10.5: "queued SENDs and RECEIVEs should be given "connection reset""
    assert m.connection.next_deadline() is None


@pytest.mark.parametrize(
    ("state", "record"),
    [
        pytest.param(State.LISTEN, False, marks=pytest.mark.transition("LISTEN | ABORT |  | CLOSED")),
        pytest.param(State.SYN_SENT, False, marks=pytest.mark.transition("SYN-SENT | ABORT |  | CLOSED")),
        pytest.param(State.CLOSING, False, marks=pytest.mark.transition("CLOSING | ABORT |  | CLOSED")),
        pytest.param(State.LAST_ACK, False, marks=pytest.mark.transition("LAST-ACK | ABORT |  | CLOSED")),
        pytest.param(State.TIME_WAIT, False, marks=pytest.mark.transition("TIME-WAIT | ABORT |  | CLOSED")),
        pytest.param(State.TIME_WAIT, True, marks=pytest.mark.transition("TIME-WAIT | ABORT |  | CLOSED")),
    ],
)
def test_abort_without_a_reset(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    m.abort()
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.10.5")
    assert m.subject.next_deadline() is None


@pytest.mark.transition("ESTABLISHED | ABORT |  | CLOSED")
def test_abort_flushes_what_was_to_be_sent() -> None:
    m = Machine.in_state(State.ESTABLISHED, window=5)
    m.send(b"0123456789")
    m.arrives("ACK", ack=1)
    m.sent()
    m.abort()
    m.expect("RST", seq=6)
    m.wait(10_000)
    m.nothing_sent()
    with pytest.raises(ConnectionReset):
        m.receive()
