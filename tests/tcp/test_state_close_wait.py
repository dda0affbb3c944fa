"""CLOSE-WAIT (RFC 9293 3.10.7.4 and the calls): the peer has closed, this end goes on sending."""

import pytest

from tests.support.machine import Machine
from userstack.tcp.state import State


def test_send_goes_on() -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.send(b"still talking")
    m.expect("ACK", seq=1, ack=2, data=b"still talking")
    m.arrives("ACK", ack=14)
    assert m.snd_una == 14
    m.stayed()


def test_long_transfer_after_the_peers_fin() -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    data = bytes(range(256)) * 400
    unsent, got = data, b""
    while len(got) < len(data):
        unsent = unsent[m.send(unsent) :] if unsent and m.writable() else unsent
        sent = m.sent()
        assert sent, "the transfer stands still"
        got += b"".join(segment.data for segment in sent)
        m.wait(10)
        m.arrives("ACK")
    assert got == data
    m.stayed()


def test_receive_drains_what_is_left_and_then_tells_eof() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK", data=b"left over")
    assert m.readable()
    assert m.receive(4) == b"left"
    assert m.receive() == b" over"
    assert m.receive() == b""
    assert m.receive() == b""


@pytest.mark.parametrize("data", [b"text", b"x" * 1460])
def test_text_is_ignored(data: bytes) -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.arrives("ACK", seq=2, data=data)
    m.wait(500)
    assert all((segment.flags, segment.ack) == ("ACK", 2) for segment in m.sent())
    assert m.rcv_nxt == 2
    assert m.receive() == b""
    m.stayed()


def test_the_ack_of_a_segment_with_ignored_text_counts() -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.send(b"data")
    m.arrives("ACK", seq=2, ack=5, data=b"text")
    assert m.snd_una == 5


@pytest.mark.parametrize("data", [b"", b"x"])
def test_repeated_fin_is_acknowledged_again(data: bytes) -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.arrives("FIN,ACK", seq=1 - len(data), data=data)
    m.expect("ACK", seq=1, ack=2)
    m.nothing_sent()
    m.stayed()


def test_second_fin_in_the_window_is_ignored() -> None:
    """Step 8: "Remain in the CLOSE-WAIT state"; a FIN after the FIN takes no sequence space."""
    m = Machine.in_state(State.CLOSE_WAIT)
    m.arrives("FIN,ACK", seq=2)
    assert all(segment.ack == 2 for segment in m.sent())
    assert m.rcv_nxt == 2
    m.stayed()


def test_waits_for_the_application_as_long_as_it_takes() -> None:
    m = Machine.in_state(State.CLOSE_WAIT)
    m.wait(3_600_000)
    m.nothing_sent()
    m.stayed()
