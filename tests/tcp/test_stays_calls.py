"""The ``stay`` rows of transitions.csv that a call drives: RFC 9293 3.10.1 to 3.10.6."""

import errno

import pytest

from tests.support.machine import Machine
from tests.tcp.stays import OPENED, RECEIVING, stays
from userstack.address import Endpoint, pack_address
from userstack.config import StackConfig
from userstack.errors import AlreadyConnected, BrokenPipe, DestinationRequired, NetworkUnreachable, NotConnected
from userstack.sim import VirtualHost
from userstack.tcp.state import State

# --- 3.10.1: OPEN ---


@stays("OPEN any", of=OPENED)
def test_open_finds_a_connection(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(AlreadyConnected):
        m.open_active()
    with pytest.raises(AlreadyConnected):
        m.open_passive()
    m.nothing_sent()
    m.stayed()


@stays("OPEN active | remote socket unspecified", of=(State.CLOSED, State.LISTEN))
def test_open_wants_a_remote_socket(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(DestinationRequired):
        m.connection.open_active(None, now=m.now)
    m.stayed()


@stays("OPEN active | remote address invalid (broadcast/multicast ...)", of=(State.CLOSED,))
@pytest.mark.parametrize("address", ["255.255.255.255", "224.0.0.1", "0.0.0.0", "ff02::1", "::"])
def test_open_wants_one_host(state: State, record: bool, address: str) -> None:
    m = Machine.in_state(state)
    with pytest.raises(NetworkUnreachable):
        m.connection.open_active(Endpoint(pack_address(address), 80), now=m.now)
    m.stayed()


@stays("OPEN any | not authorised / no resources", of=(State.CLOSED,))
def test_open_finds_no_resources(state: State, record: bool) -> None:
    host = VirtualHost(["192.168.0.1/16"], config=StackConfig(max_connections=1))
    first, second = host.socket(), host.socket()
    assert first.connect_ex(("192.168.0.2", 80)) == errno.EINPROGRESS
    assert second.connect_ex(("192.168.0.2", 80)) == errno.ENOBUFS
    assert second.state is state


# --- 3.10.2: SEND ---


@stays("SEND", of=(State.CLOSED,))
def test_send_finds_no_connection(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(NotConnected):
        m.send(b"x")
    m.nothing_sent()
    m.stayed()


@stays("SEND | remote socket unspecified", of=(State.LISTEN,))
def test_send_in_listen_wants_a_remote_socket(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(DestinationRequired):
        m.send(b"x")
    m.stayed()


@stays("SEND", of=(State.SYN_SENT, State.SYN_RECEIVED))
def test_send_is_queued_until_established(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    assert m.send(b"early") == 5
    m.nothing_sent()
    m.stayed()
    m.send(b"x" * m.config.send_buffer)
    with pytest.raises(BlockingIOError):  # "or error: insufficient resources"
        m.send(b"x")


@stays("SEND", of=(State.ESTABLISHED, State.CLOSE_WAIT))
def test_send_goes_out_with_an_acknowledgement(state: State, record: bool) -> None:
    m = Machine.in_state(state, mss=1000)
    assert m.send(b"x" * 1500) == 1500
    m.expect("ACK", seq=1, ack=m.peer_nxt, data=b"x" * 1000)
    m.stayed()


@stays("SEND", of=(State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK, State.TIME_WAIT))
def test_send_after_close_is_refused(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BrokenPipe):
        m.send(b"x")
    m.nothing_sent()
    m.stayed()


# --- 3.10.3: RECEIVE ---


@stays("RECEIVE", of=(State.CLOSED,))
def test_receive_finds_no_connection(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(NotConnected):
        m.receive()


@stays("RECEIVE", of=(State.LISTEN, State.SYN_SENT, State.SYN_RECEIVED))
def test_receive_waits_until_established(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BlockingIOError):
        m.receive()
    m.nothing_sent()
    m.stayed()


@stays("RECEIVE", of=RECEIVING)
def test_receive_delivers_or_waits(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BlockingIOError):
        m.receive()
    m.arrives("ACK", ack=m.snd_una, data=b"hello")
    assert m.receive(2) == b"he"
    assert m.receive() == b"llo"
    m.stayed()


@stays("RECEIVE | undelivered data on hand", of=(State.CLOSE_WAIT,))
def test_receive_delivers_what_remains(state: State, record: bool) -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("FIN,ACK", data=b"last words")
    m.expect_state(state)
    assert m.receive(4) == b"last"
    assert m.receive() == b" words"
    assert m.receive() == b""
    m.expect_state(state)


@stays("RECEIVE | no data left", of=(State.CLOSE_WAIT,))
def test_receive_tells_the_end(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    assert m.receive() == b""
    m.nothing_sent()
    m.stayed()


@stays("RECEIVE", of=(State.CLOSING, State.LAST_ACK, State.TIME_WAIT))
def test_receive_tells_that_the_connection_is_closing(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    assert m.receive() == b""
    m.nothing_sent()
    m.stayed()


# --- 3.10.4: CLOSE ---


@stays("CLOSE", of=(State.CLOSED,))
def test_close_finds_no_connection(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(NotConnected):
        m.close()
    m.stayed()


@stays("CLOSE | data pending", of=(State.SYN_RECEIVED,))
def test_close_waits_for_data_until_established(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    m.send(b"early")
    m.close()
    m.nothing_sent()
    m.stayed()
    m.arrives("ACK", seq=1, ack=1)
    m.expect("FIN,ACK", seq=1, data=b"early")
    m.expect_state(State.FIN_WAIT_1)


@stays("CLOSE", of=(State.FIN_WAIT_1, State.FIN_WAIT_2))
def test_close_again_sends_no_second_fin(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    m.close()
    m.nothing_sent()
    m.stayed()


@stays("CLOSE | SENDs still to be segmentized", of=(State.CLOSE_WAIT,))
def test_close_waits_for_what_is_to_be_segmentized(state: State, record: bool) -> None:
    m = Machine.in_state(state, mss=1000, window=1000)
    m.send(b"x" * 1500)
    m.close()
    m.expect("ACK", seq=1, data=b"x" * 1000)
    m.nothing_sent()
    m.stayed()
    m.arrives("ACK", ack=1001)
    m.expect("FIN,ACK", seq=1001, data=b"x" * 500)
    m.expect_state(State.LAST_ACK)


@stays("CLOSE", of=(State.CLOSING, State.LAST_ACK, State.TIME_WAIT))
def test_close_of_what_is_closing_is_refused(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(BrokenPipe):
        m.close()
    m.nothing_sent()
    m.stayed()


# --- 3.10.5, 3.10.6: ABORT, STATUS ---


@stays("ABORT", of=(State.CLOSED,))
def test_abort_finds_no_connection(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    with pytest.raises(NotConnected):
        m.abort()
    m.stayed()


@stays("STATUS", of=(State.CLOSED,))
def test_status_tells_that_there_is_no_connection(state: State, record: bool) -> None:
    info = Machine.in_state(state).connection.info()
    assert (info.state, info.remote, info.timer) == (state, None, "")


@stays("STATUS", of=(State.LISTEN, *OPENED))
def test_status_tells_the_state(state: State, record: bool) -> None:
    m = Machine.in_state(state)
    info = m.connection.info()
    assert info.state is state
    assert info.local == m.connection.local
    assert (info.remote is None) is (state is State.LISTEN)
    m.nothing_sent()
    m.stayed()
