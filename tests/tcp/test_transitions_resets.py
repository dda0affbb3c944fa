"""The ``change`` rows of transitions.csv that end or undo a connection because of a segment: RST, a stray SYN, an illegal option.

RFC 9293 3.10.7.3 step 2, 3.10.7.4 steps 2 and 4, 3.5.3 and 3.1, with RFC 5961 (the default) and without it.
"""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.errors import BrokenPipe, ConnectionRefused, ConnectionReset, UserstackError
from userstack.tcp.state import State

OLD_RST = StackConfig(insecure_rst=True)
OLD_SYN = StackConfig(insecure_syn=True)


def reset_in(m: Machine, *, old: bool) -> None:
    """A RST that is good: at RCV.NXT, or, before RFC 5961, anywhere in the window."""
    m.arrives("RST", seq=m.peer_nxt + (10 if old else 0))


# --- RST ---


@pytest.mark.transition("SYN-SENT | segment: RST,ACK | ACK acceptable (and, with RFC 5961, SEG.SEQ = RCV.NXT first) | CLOSED")
def test_rst_answers_our_syn() -> None:
    m = Machine.in_state(State.SYN_SENT, irs=0)
    m.arrives("RST,ACK", seq=0, ack=1)
    m.nothing_sent()
    m.moved(State.SYN_SENT, State.CLOSED, section="3.10.7.3")
    assert isinstance(m.error, ConnectionRefused)
    assert m.connection.next_deadline() is None


@pytest.mark.requirement("MUST-11")
@pytest.mark.parametrize("old", [False, True], ids=["rfc5961", "without"])
@pytest.mark.transition(
    "SYN-RECEIVED | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it); passive origin | LISTEN"
)
def test_rst_returns_a_passive_opener_to_listen(old: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, config=OLD_RST if old else None)
    reset_in(m, old=old)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.LISTEN, section="3.10.7.4")
    assert m.error is None
    m.wait(10_000)
    m.nothing_sent()


@pytest.mark.requirement("MUST-11")
@pytest.mark.parametrize("old", [False, True], ids=["rfc5961", "without"])
@pytest.mark.transition(
    "SYN-RECEIVED | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it);"
    " active origin (simultaneous open) | CLOSED"
)
def test_rst_refuses_an_active_opener(old: bool) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, config=OLD_RST if old else None)
    reset_in(m, old=old)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.CLOSED, section="3.10.7.4")
    assert isinstance(m.error, ConnectionRefused)
    assert m.connection.next_deadline() is None


@pytest.mark.requirement("MUST-12")
@pytest.mark.parametrize("old", [False, True], ids=["rfc5961", "without"])
@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            State.ESTABLISHED,
            marks=pytest.mark.transition(
                "ESTABLISHED | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
        pytest.param(
            State.FIN_WAIT_1,
            marks=pytest.mark.transition(
                "FIN-WAIT-1 | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
        pytest.param(
            State.FIN_WAIT_2,
            marks=pytest.mark.transition(
                "FIN-WAIT-2 | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
        pytest.param(
            State.CLOSE_WAIT,
            marks=pytest.mark.transition(
                "CLOSE-WAIT | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
    ],
)
def test_rst_aborts_and_is_told(state: State, old: bool) -> None:
    m = Machine.in_state(state, config=OLD_RST if old else None)
    reset_in(m, old=old)
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.10.7.4")
    # Note: in CLOSE-WAIT the kernel's sockets say EPIPE, for the peer's direction had ended in good order before.
    told = BrokenPipe if state is State.CLOSE_WAIT else ConnectionReset
    assert type(m.error) is told
    assert m.connection.next_deadline() is None
    with pytest.raises(told):
        m.receive()


@pytest.mark.parametrize("old", [False, True], ids=["rfc5961", "without"])
@pytest.mark.parametrize(
    ("state", "record"),
    [
        pytest.param(
            State.CLOSING,
            False,
            marks=pytest.mark.transition(
                "CLOSING | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
        pytest.param(
            State.LAST_ACK,
            False,
            marks=pytest.mark.transition(
                "LAST-ACK | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
        pytest.param(
            State.TIME_WAIT,
            False,
            marks=pytest.mark.transition(
                "TIME-WAIT | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
        pytest.param(
            State.TIME_WAIT,
            True,
            marks=pytest.mark.transition(
                "TIME-WAIT | segment: RST | SEG.SEQ = RCV.NXT (RFC 5961) or in window (without it) | CLOSED"
            ),
        ),
    ],
)
def test_rst_deletes_the_tcb(state: State, record: bool, old: bool) -> None:
    m = Machine.in_state(state, record=record, config=OLD_RST if old else None)
    reset_in(m, old=old)
    m.nothing_sent()
    m.moved(state, State.CLOSED, section="3.10.7.4")
    assert m.subject.next_deadline() is None


# --- a SYN on a connection that stands ---


@pytest.mark.requirement("MUST-11")
@pytest.mark.transition("SYN-RECEIVED | segment: SYN | in window; passive origin | LISTEN")
def test_new_syn_returns_a_passive_opener_to_listen() -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True)
    m.arrives("SYN", seq=5)
    m.nothing_sent()
    m.moved(State.SYN_RECEIVED, State.LISTEN, section="3.10.7.4")
    assert m.error is None
    m.wait(10_000)
    m.nothing_sent()


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(
            State.SYN_RECEIVED,
            marks=pytest.mark.transition("SYN-RECEIVED | segment: SYN | active origin; without RFC 5961; in window | CLOSED"),
        ),
        pytest.param(
            State.ESTABLISHED,
            marks=pytest.mark.transition("ESTABLISHED | segment: SYN | without RFC 5961; in window | CLOSED"),
        ),
        pytest.param(
            State.FIN_WAIT_1,
            marks=pytest.mark.transition("FIN-WAIT-1 | segment: SYN | without RFC 5961; in window | CLOSED"),
        ),
        pytest.param(
            State.FIN_WAIT_2,
            marks=pytest.mark.transition("FIN-WAIT-2 | segment: SYN | without RFC 5961; in window | CLOSED"),
        ),
        pytest.param(
            State.CLOSE_WAIT,
            marks=pytest.mark.transition("CLOSE-WAIT | segment: SYN | without RFC 5961; in window | CLOSED"),
        ),
        pytest.param(
            State.CLOSING,
            marks=pytest.mark.transition("CLOSING | segment: SYN | without RFC 5961; in window | CLOSED"),
        ),
        pytest.param(
            State.LAST_ACK,
            marks=pytest.mark.transition("LAST-ACK | segment: SYN | without RFC 5961; in window | CLOSED"),
        ),
    ],
)
def test_syn_in_window_resets_without_rfc5961(state: State) -> None:
    m = Machine.in_state(state, config=OLD_SYN)
    m.arrives("SYN", seq=m.peer_nxt + 5)
    assert [segment.flags.split(",")[0] for segment in m.sent()] == ["RST"]
    m.moved(state, State.CLOSED, section="3.10.7.4")
    assert isinstance(m.error, ConnectionReset)
    assert m.connection.next_deadline() is None


@pytest.mark.parametrize("record", [False, True], ids=["connection", "record"])
@pytest.mark.transition("TIME-WAIT | segment: SYN | reopen not accepted; without RFC 5961; in window | CLOSED")
def test_syn_in_time_wait_that_reopens_nothing_resets_without_rfc5961(record: bool) -> None:
    m = Machine.in_state(State.TIME_WAIT, config=OLD_SYN, record=record)
    m.arrives("SYN", seq=m.peer_nxt)  # Note: in the window, yet not above RCV.NXT, so MAY-2 does not apply
    assert [segment.flags.split(",")[0] for segment in m.sent()] == ["RST"]
    m.moved(State.TIME_WAIT, State.CLOSED, section="3.10.7.4")


# --- an option whose length is illegal ---


@pytest.mark.requirement("MUST-7")
@pytest.mark.parametrize(
    ("state", "record"),
    [
        pytest.param(
            State.SYN_RECEIVED, False, marks=pytest.mark.transition("SYN-RECEIVED | segment: illegal option length |  | CLOSED")
        ),
        pytest.param(
            State.ESTABLISHED, False, marks=pytest.mark.transition("ESTABLISHED | segment: illegal option length |  | CLOSED")
        ),
        pytest.param(
            State.FIN_WAIT_1, False, marks=pytest.mark.transition("FIN-WAIT-1 | segment: illegal option length |  | CLOSED")
        ),
        pytest.param(
            State.FIN_WAIT_2, False, marks=pytest.mark.transition("FIN-WAIT-2 | segment: illegal option length |  | CLOSED")
        ),
        pytest.param(
            State.CLOSE_WAIT, False, marks=pytest.mark.transition("CLOSE-WAIT | segment: illegal option length |  | CLOSED")
        ),
        pytest.param(State.CLOSING, False, marks=pytest.mark.transition("CLOSING | segment: illegal option length |  | CLOSED")),
        pytest.param(State.LAST_ACK, False, marks=pytest.mark.transition("LAST-ACK | segment: illegal option length |  | CLOSED")),
        pytest.param(
            State.TIME_WAIT, False, marks=pytest.mark.transition("TIME-WAIT | segment: illegal option length |  | CLOSED")
        ),
        pytest.param(State.TIME_WAIT, True, marks=pytest.mark.transition("TIME-WAIT | segment: illegal option length |  | CLOSED")),
    ],
)
def test_illegal_option_length_resets(state: State, record: bool) -> None:
    m = Machine.in_state(state, record=record)
    m.arrives("ACK", ack=0 if state is State.SYN_RECEIVED else 1, bad_options=True)
    sent = m.sent()
    assert [segment.flags.split(",")[0] for segment in sent] == ["RST"] or (state is State.TIME_WAIT and not sent)
    m.moved(state, State.CLOSED, section="3.1")
    assert state is State.TIME_WAIT or isinstance(m.error, UserstackError)
    assert m.subject.next_deadline() is None


@pytest.mark.requirement("MUST-7")
def test_illegal_option_length_outside_the_window_is_only_answered() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("ACK", seq=-5, bad_options=True)
    m.expect("ACK", seq=1, ack=1)
    m.stayed()
