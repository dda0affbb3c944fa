"""What a review of the host against the RFCs found: each test names its clause and what it expects."""

import gc
import random
import weakref

import pytest

from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import AddressNotAvailable, NetworkUnreachable, UserstackError
from userstack.net.host import Host
from userstack.net.interface import Interface
from userstack.net.listener import Listener
from userstack.tcp.connection import Connection
from userstack.tcp.state import State
from userstack.trace import Event, PacketSent
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.offload import finished
from userstack.wire.tcp import ACK, FIN, RST, SYN, TcpSegment

HERE = pack_address("10.0.0.1")
THERE = pack_address("10.0.0.2")
PORT = 80
ISS = 1000
CODEC = make_codec("fast")


class Bench:
    """A host without a device, its clock, and a peer that is only segments. Every connection of the host begins at ``ISS``."""

    def __init__(self, config: StackConfig | None = None) -> None:
        self.now = 0
        self.packets = 0
        self.host = Host(
            [Interface.parse("10.0.0.1/24")],
            config=config or StackConfig(),
            codec=CODEC,
            secret=b"secret",
            random=random.Random(1).randrange,
            trace=self._count,
            isn=lambda local, remote, now: ISS,
        )

    def _count(self, event: Event) -> None:
        self.packets += isinstance(event, PacketSent)
        assert self.packets < 5_000, "the host does not stop sending"

    def arrives(self, flags: int, *, seq: int, ack: int = 0, port: int = 5000) -> None:
        """A segment of the peer's; nothing is pulled yet, as in a batch of the driver's."""
        segment = TcpSegment(port, PORT, seq, ack, flags, 65535)
        packet = IPPacket(THERE, HERE, TCP, CODEC.encode_tcp(segment, THERE, HERE))
        self.host.deliver(CODEC.encode_ip(packet), now=self.now)

    def pull(self) -> list[TcpSegment]:
        """All that the host has to send now."""
        sent = []
        while (packet := self.host.poll_transmit(now=self.now)) is not None:
            sent.append(CODEC.decode_tcp(CODEC.decode_ip(finished(packet))))
        return sent

    def run(self, until: int) -> None:
        """Let every deadline fire up to ``until`` (ns)."""
        while (deadline := self.host.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.host.advance(now=self.now)
            self.pull()
        self.now = until

    def listen(self, address: bytes = HERE) -> Listener:
        return self.host.listen(self.host.bind(Endpoint(address, PORT)), backlog=5, now=self.now)

    def established(self, listener: Listener, *, port: int = 5000) -> Connection:
        """A connection of the peer's port, accepted."""
        self.arrives(SYN, seq=100, port=port)
        self.pull()
        self.arrives(ACK, seq=101, ack=ISS + 1, port=port)
        self.pull()
        connection = listener.accept()
        assert connection is not None
        return connection

    def in_time_wait(self, listener: Listener, *, port: int = 5000) -> Connection:
        """A connection that this end closed first and let go of."""
        connection = self.established(listener, port=port)
        connection.release(now=self.now)
        self.host.touch(connection)
        self.pull()
        self.arrives(FIN | ACK, seq=101, ack=ISS + 2, port=port)
        self.pull()
        assert connection.state is State.TIME_WAIT
        return connection

    def states(self) -> list[State]:
        return [row.state for row in self.host.connections()]


# --- a listener that turns active (RFC 9293 3.10.1) ---


def test_listener_cannot_connect_where_a_connection_exists() -> None:
    """RFC 9293 3.3.1: two sockets name one connection. ``Host.connect`` says AddressNotAvailable; this overwrites it."""
    bench = Bench()
    listener = bench.listen()
    first = bench.established(listener)
    with pytest.raises(AddressNotAvailable):
        listener.connect(Endpoint(THERE, 5000), now=bench.now)
    assert [row.connection for row in bench.host.connections() if row.remote] == [first]


def test_listener_that_connects_to_the_peer_of_a_child_stays_in_the_table() -> None:
    """The child is reset; freeing it must not take the new connection between the same sockets out of the table."""
    bench = Bench()
    listener = bench.listen()
    bench.arrives(SYN, seq=100)
    bench.pull()
    try:
        connection = listener.connect(Endpoint(THERE, 5000), now=bench.now)
    except AddressNotAvailable:
        return  # as good
    bench.pull()
    assert [row.connection for row in bench.host.connections()] == [connection]
    bench.run(3 * SECOND)
    assert connection.info().retransmits == 1


@pytest.mark.requirement("MUST-46")
def test_listener_does_not_connect_to_the_broadcast_address_of_its_network() -> None:
    bench = Bench()
    listener = bench.listen()
    with pytest.raises(NetworkUnreachable):
        listener.connect(Endpoint(pack_address("10.0.0.255"), 9), now=0)


def test_listener_keeps_its_address_where_it_cannot_connect() -> None:
    """An error of the caller changes nothing: what listened on every address still says so."""
    bench = Bench()
    listener = bench.listen(bytes(4))
    with pytest.raises(NetworkUnreachable):
        listener.connect(Endpoint(pack_address("224.0.0.1"), 9), now=0)
    assert listener.local == Endpoint(bytes(4), PORT)


# --- TIME-WAIT ---


def test_aborted_time_wait_of_a_released_connection_is_freed() -> None:
    """RFC 9293 3.10.5, law 9: "delete TCB"; the application let go of it before and then aborts."""
    bench = Bench()
    connection = bench.in_time_wait(bench.listen())
    connection.abort(now=bench.now)
    bench.host.touch(connection)
    bench.run(1000 * SECOND)
    assert bench.states() == [State.LISTEN]


def test_old_duplicate_syn_in_time_wait_is_nothing_to_accept() -> None:
    """RFC 9293 3.6.1, MAY-2 (2): SYN, RST, and it is TIME-WAIT again; no connection was established."""
    bench = Bench()
    listener = bench.listen()
    bench.in_time_wait(listener)
    established = bench.host.counters["TcpPassiveOpens"]
    bench.arrives(SYN, seq=5000)
    bench.pull()
    bench.arrives(RST, seq=5001)
    bench.pull()
    assert bench.states() == [State.LISTEN, State.TIME_WAIT]
    assert not listener.acceptable
    assert not listener.syn_queue
    assert bench.host.counters["TcpPassiveOpens"] == established


def test_time_wait_outlives_the_listener_whose_syn_would_have_reopened_it() -> None:
    """RFC 9293 3.6.1: the 2 MSL run on; a listener resets what nobody has accepted, and this was accepted long ago."""
    bench = Bench()
    listener = bench.listen()
    bench.in_time_wait(listener)
    bench.arrives(SYN, seq=5000)
    bench.pull()
    bench.arrives(RST, seq=5001)
    bench.pull()
    listener.close(now=bench.now)
    bench.pull()
    assert bench.states() == [State.TIME_WAIT]


def test_time_wait_records_do_not_keep_new_connections_out() -> None:
    """``time_wait_max``: "beyond it a connection is freed at once". With both limits alike, as by default, new SYNs go unheard."""
    bench = Bench(StackConfig(max_connections=3, time_wait_max=3))
    listener = bench.listen()
    for port in (5000, 5001, 5002):
        bench.in_time_wait(listener, port=port)
    bench.arrives(SYN, seq=100, port=6000)
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]


def test_reopening_needs_no_room() -> None:
    """RFC 9293 3.6.1, MAY-2: the new connection takes the record's place, so ``max_connections`` is not in its way."""
    bench = Bench(StackConfig(max_connections=1))
    bench.in_time_wait(bench.listen())
    bench.arrives(SYN, seq=5000)
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]


def test_reopening_in_the_batch_of_the_last_fin() -> None:
    """MAY-2 from the moment of TIME-WAIT on, not only once the driver has pulled."""
    bench = Bench()
    connection = bench.established(bench.listen())
    connection.release(now=0)
    bench.host.touch(connection)
    bench.pull()
    bench.arrives(FIN | ACK, seq=101, ack=ISS + 2)
    bench.arrives(SYN, seq=5000)
    assert SYN | ACK in [segment.flags for segment in bench.pull()]


# --- the end of a connection ---


def test_syn_in_the_batch_of_a_reset_finds_the_listener() -> None:
    """RFC 9293 3.10.7: after the RST the connection does not exist, so the SYN behind it is the listener's (3.10.7.2 step 3)."""
    bench = Bench()
    bench.established(bench.listen())
    bench.arrives(RST, seq=101)
    bench.arrives(SYN, seq=9000)
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]


def test_freed_connection_is_gone_with_its_last_reference() -> None:
    """Law 9: no cycle (entry and timer hold each other) keeps Tcb and buffers until the collector comes by."""
    bench = Bench()
    connection = bench.established(bench.listen())
    alive = weakref.ref(connection)
    bench.arrives(RST, seq=101)
    gc.disable()
    try:
        bench.pull()
        bench.host.touched()
        del connection
        assert alive() is None
    finally:
        gc.enable()


def test_binding_that_was_used_up_is_refused() -> None:
    """Law 8: bad input of the caller is an error of ``errors``, before anything was begun; here a KeyError after the SYN-SENT."""
    bench = Bench()
    binding = bench.host.bind(Endpoint(HERE, PORT))
    bench.host.connect(Endpoint(THERE, 1), binding=binding, now=0)
    opens = bench.host.counters["TcpActiveOpens"]
    with pytest.raises(UserstackError):
        bench.host.connect(Endpoint(THERE, 2), binding=binding, now=0)
    assert bench.host.counters["TcpActiveOpens"] == opens


# --- sending ---


def test_host_that_talks_to_itself_stops_at_zero_windows() -> None:
    """RFC 9293 3.10.7.4 step 1: the ACKs of two shut ends answer each other; on one host they never leave ``poll_transmit``."""
    bench = Bench(StackConfig(receive_buffer=4000))
    listener = bench.listen()
    client = bench.host.connect(Endpoint(HERE, PORT), now=0)
    bench.pull()
    server = listener.accept()
    assert server is not None
    for connection in (client, server):
        connection.send(b"x" * 50_000, now=0)
        bench.host.touch(connection)
    bench.run(20 * SECOND)
    assert bench.packets < 200


def test_retransmissions_are_no_segments_sent() -> None:
    """RFC 4022 tcpOutSegs: "excluding those containing only retransmitted octets"; TcpRetransSegs has them."""
    bench = Bench()
    connection = bench.established(bench.listen())
    connection.send(b"x", now=0)
    bench.host.touch(connection)
    bench.pull()
    sent = bench.host.counters["TcpOutSegs"]
    bench.run(1500 * MILLISECOND)
    assert bench.host.counters["TcpRetransSegs"] == 1
    assert bench.host.counters["TcpOutSegs"] == sent
