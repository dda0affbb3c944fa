"""CLOSED: there is no connection (RFC 9293 3.10.1 to 3.10.5, 3.10.7.1)."""

from collections.abc import Callable

import pytest

from tests.support.machine import Machine, flag_bits
from userstack.address import Endpoint, pack_address
from userstack.errors import ConnectionReset, DestinationRequired, InvalidArgument, NetworkUnreachable, NotConnected
from userstack.tcp.output import reset_for
from userstack.tcp.state import State
from userstack.wire.tcp import TcpSegment, flag_names


@pytest.mark.parametrize("call", [lambda m: m.send(b"x"), Machine.receive, Machine.close, Machine.abort])
def test_calls_find_no_connection(call: Callable[[Machine], object]) -> None:
    m = Machine()
    with pytest.raises(NotConnected):
        call(m)
    m.nothing_sent()
    m.stayed()


def test_status() -> None:
    m = Machine()
    assert m.connection.info().state is State.CLOSED
    assert m.connection.next_deadline() is None
    assert m.connection.error is None


@pytest.mark.parametrize("flags", ["RST", "RST,ACK"])
def test_reset_is_discarded(flags: str) -> None:
    m = Machine()
    m.arrives(flags, seq=0, ack=0)
    m.nothing_sent()
    m.stayed()


def test_a_dead_connection_tells_its_error_once_and_then_that_it_is_gone() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.arrives("RST")
    with pytest.raises(ConnectionReset):
        m.receive()
    assert m.receive() == b""
    assert m.error is None


@pytest.mark.parametrize("flags", ["SYN", "ACK", "FIN,ACK", "RST", "SYN,ACK"])
def test_segments_for_a_dead_connection_wake_nothing(flags: str) -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.abort()
    m.sent()
    m.trace.clear()
    m.arrives(flags, data=b"late")
    m.stayed()
    m.expect_state(State.CLOSED)
    assert m.connection.next_deadline() is None


@pytest.mark.parametrize(
    ("flags", "seq", "ack", "data", "answer"),
    [
        ("ACK", 5, 77, b"text", (77, 0, "RST")),
        ("SYN,ACK", 5, 77, b"", (77, 0, "RST")),
        ("FIN,ACK", 5, 2**32 - 1, b"", (2**32 - 1, 0, "RST")),
        ("SYN", 5, 0, b"", (0, 6, "RST,ACK")),
        ("SYN", 2**32 - 1, 0, b"", (0, 0, "RST,ACK")),
        ("SYN,FIN", 5, 0, b"text", (0, 11, "RST,ACK")),
        ("", 5, 0, b"text", (0, 9, "RST,ACK")),
    ],
)
def test_segment_for_nobody_is_answered_with_a_reset(
    flags: str, seq: int, ack: int, data: bytes, answer: tuple[int, int, str]
) -> None:
    """RFC 9293 3.10.7.1 and 3.5.2, first group."""
    reset = reset_for(TcpSegment(1111, 2222, seq, ack, flag_bits(flags), payload=data))
    assert reset is not None
    assert (reset.seq, reset.ack, flag_names(reset.flags)) == answer
    assert (reset.source_port, reset.destination_port, bytes(reset.payload), reset.options) == (2222, 1111, b"", ())


@pytest.mark.parametrize("flags", ["RST", "RST,ACK", "RST,SYN"])
def test_reset_for_nobody_is_not_answered(flags: str) -> None:
    assert reset_for(TcpSegment(1111, 2222, 5, 77, flag_bits(flags))) is None


@pytest.mark.requirement("MUST-46")
@pytest.mark.parametrize("state", [State.CLOSED, State.LISTEN])
@pytest.mark.parametrize("address", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "0.0.0.0", "ff02::1", "::"])
def test_open_to_what_is_no_host_is_refused(state: State, address: str) -> None:
    m = Machine.in_state(state)
    with pytest.raises(NetworkUnreachable):
        m.connection.open_active(Endpoint(pack_address(address), 80), now=m.now)
    m.pull()
    m.nothing_sent()
    m.stayed()


@pytest.mark.parametrize("state", [State.CLOSED, State.LISTEN])
def test_open_without_a_remote_socket_is_refused(state: State) -> None:
    """RFC 9293 3.10.1: "remote socket unspecified"."""
    m = Machine.in_state(state)
    with pytest.raises(DestinationRequired):
        m.connection.open_active(None, now=m.now)
    m.stayed()


@pytest.mark.parametrize("port", [-1, 65536])
def test_open_to_what_is_no_port_is_refused(port: int) -> None:
    m = Machine()
    with pytest.raises(InvalidArgument):
        m.connection.open_active(Endpoint(pack_address("10.9.0.1"), port), now=m.now)
    m.stayed()
