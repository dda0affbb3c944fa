"""Passive OPENs beside what is there already (RFC 9293 3.9.1.1)."""

import pytest

from tests.net.bench import ANY, HERE, ISS, PORT, THERE, Bench
from userstack.address import Endpoint
from userstack.errors import AddressInUse
from userstack.net.listener import Listener
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, SYN

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PEERS_PORT = 7000


def listen(bench: Bench, address: bytes, *, reuse: bool = True) -> Listener:
    binding = bench.host.bind(Endpoint(address, PORT), reuse_address=reuse)
    return bench.host.listen(binding, backlog=5, now=bench.now)


def handshake(bench: Bench, family: int, listener: Listener, port: int) -> Connection:
    bench.arrives(family, SYN, seq=100, port=port)
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]
    bench.arrives(family, ACK, seq=101, ack=ISS + 1, port=port)
    accepted = listener.accept()
    assert accepted is not None
    return accepted


@pytest.mark.requirement("MUST-41")
@FAMILIES
def test_a_second_listen_at_the_same_place_is_an_error_and_the_first_goes_on(family: int) -> None:
    bench = Bench()
    first = listen(bench, HERE[family])
    bench.arrives(family, SYN, seq=100, port=5000)
    bench.pull()
    with pytest.raises(AddressInUse):
        listen(bench, HERE[family])
    with pytest.raises(AddressInUse):
        listen(bench, ANY[family])
    bench.arrives(family, ACK, seq=101, ack=ISS + 1, port=5000)
    assert first.accept() is not None
    assert handshake(bench, family, first, 5001).state is State.ESTABLISHED


@pytest.mark.requirement("MUST-41")
@FAMILIES
def test_two_that_were_bound_together_cannot_both_listen(family: int) -> None:
    """SO_REUSEADDR lets both be bound; the second OPEN is the error."""
    bench = Bench()
    one, other = (bench.host.bind(Endpoint(HERE[family], PORT), reuse_address=True) for _ in range(2))
    first = bench.host.listen(one, backlog=5, now=0)
    with pytest.raises(AddressInUse, match="something listens"):
        bench.host.listen(other, backlog=5, now=0)
    assert handshake(bench, family, first, 5000).state is State.ESTABLISHED
    first.close(now=0)
    assert bench.host.listen(other, backlog=5, now=0).state is State.LISTEN


@pytest.mark.requirement("MUST-41")
@FAMILIES
def test_a_passive_open_leaves_connections_of_its_port_alone(family: int) -> None:
    bench = Bench()
    first = listen(bench, HERE[family])
    standing = handshake(bench, family, first, 5000)
    first.close(now=0)
    again = listen(bench, HERE[family])
    assert standing.state is State.ESTABLISHED
    assert not again.acceptable
    assert handshake(bench, family, again, 5001) is not standing


@pytest.mark.requirement("MUST-42")
@FAMILIES
@pytest.mark.parametrize("state", [State.SYN_SENT, State.SYN_RECEIVED])
def test_listening_on_the_port_of_a_connection_that_is_being_opened(family: int, state: State) -> None:
    bench = Bench()
    binding = bench.host.bind(Endpoint(HERE[family], PORT), reuse_address=True)
    opening = bench.host.connect(Endpoint(THERE[family], PEERS_PORT), binding=binding, now=0)
    bench.pull()
    if state is State.SYN_RECEIVED:
        bench.arrives(family, SYN, seq=500, port=PEERS_PORT)
        bench.pull()
    assert opening.state is state
    listener = listen(bench, HERE[family])
    assert opening.state is state
    assert handshake(bench, family, listener, 5000).state is State.ESTABLISHED
    # And what was being opened is none of the listener's.
    bench.arrives(family, SYN | ACK, seq=500, ack=ISS + 1, port=PEERS_PORT)
    assert opening.state is State.ESTABLISHED
    assert not listener.acceptable


@pytest.mark.requirement("MUST-42")
@FAMILIES
def test_listening_on_another_address_of_the_port_of_a_half_open_child(family: int) -> None:
    addresses = ("10.0.0.1/24", "10.0.0.3/24", "fd3d::1/64", "fd3d::3/64")
    bench = Bench(*addresses)
    listen(bench, HERE[family], reuse=False)
    bench.arrives(family, SYN, seq=100)
    bench.pull()
    other = HERE[family][:-1] + b"\x03"
    listener = listen(bench, other, reuse=False)
    bench.arrives(family, SYN, seq=100, destination=other)
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]
    assert {child.local.address for child in listener.syn_queue} == {other}
