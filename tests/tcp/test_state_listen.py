"""LISTEN (RFC 9293 3.10.7.2 and the calls): what does not make a connection."""

import pytest

from tests.support.machine import Machine
from userstack.errors import CallerError, DestinationRequired
from userstack.tcp.state import State


@pytest.mark.parametrize("flags", ["RST", "RST,ACK", "RST,SYN"])
def test_rst_is_ignored(flags: str) -> None:
    m = Machine.in_state(State.LISTEN)
    m.arrives(flags, seq=0, ack=5)
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("flags", ["ACK", "SYN,ACK", "FIN,ACK"])
@pytest.mark.parametrize("ack", [1, 12345, -1])
def test_any_ack_is_answered_with_a_reset(flags: str, ack: int) -> None:
    m = Machine.in_state(State.LISTEN)
    m.arrives(flags, seq=0, ack=ack, data=b"text")
    m.expect("RST", seq=ack)
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("flags", ["", "FIN", "PSH", "URG"])
def test_anything_else_is_dropped(flags: str) -> None:
    m = Machine.in_state(State.LISTEN)
    m.arrives(flags, seq=0, data=b"text")
    m.nothing_sent()
    m.stayed()


def test_send_needs_a_remote_socket() -> None:
    m = Machine.in_state(State.LISTEN)
    with pytest.raises(DestinationRequired):
        m.send(b"to whom?")
    m.nothing_sent()
    m.stayed()


def test_receive_waits_or_is_refused() -> None:
    m = Machine.in_state(State.LISTEN)
    with pytest.raises((BlockingIOError, CallerError)):
        m.receive()
    m.stayed()


def test_status() -> None:
    assert Machine.in_state(State.LISTEN).connection.info().state is State.LISTEN


def test_text_on_the_syn_reaches_the_application_once() -> None:
    """RFC 9293 3.10.7.2: "any other control or text should be queued for processing later"; or the peer sends it again."""
    m = Machine.in_state(State.LISTEN)
    m.arrives("SYN", seq=0, data=b"early", options=m.syn_options())
    answer = m.sent()[0]
    assert (answer.flags, answer.seq) == ("SYN,ACK", 0)
    assert answer.ack in (1, 6)
    m.arrives("ACK", seq=1, ack=1, data=b"early")
    m.expect_state(State.ESTABLISHED)
    assert m.receive() == b"early"
    with pytest.raises(BlockingIOError):
        m.receive()


def test_a_listener_that_was_reset_back_takes_the_next_syn() -> None:
    """RFC 9293 3.5 Figure 8: after an old duplicate SYN and the RST for it, the real SYN opens the connection."""
    m = Machine.in_state(State.SYN_RECEIVED, passive=True)
    m.arrives("RST", seq=1)
    m.expect_state(State.LISTEN)
    m.irs += 1000
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.expect("SYN,ACK", seq=0, ack=1)
    m.arrives("ACK", seq=1, ack=1)
    m.expect_state(State.ESTABLISHED)
