"""How long a socket's connection lasts: orphans on a whole host, SO_LINGER, R2 without end, the User Timeout Option (RFC 5482)."""

import math
import socket
import struct

import pytest

from tests.sim.nets import Net
from tests.sim.peer import CODEC, Peer
from userstack.config import SECOND, StackConfig
from userstack.errors import InvalidArgument
from userstack.sim import VirtualHost, VirtualSocket
from userstack.tcp.state import State
from userstack.tcp.uto import USER_TIMEOUT
from userstack.wire.tcp import TcpSegment

PORT = 4321
DAY = 86_400 * SECOND


def connected(net: Net, config: StackConfig | None = None, *, port: int = 5000) -> tuple[VirtualHost, VirtualSocket, Peer, int]:
    """Host, connected socket, peer (next sequence number 9001), and the host's next one."""
    host = VirtualHost([net.prefix], config=config)
    s, peer, snd_nxt = another(net, host, port)
    return host, s, peer, snd_nxt


def another(net: Net, host: VirtualHost, port: int) -> tuple[VirtualSocket, Peer, int]:
    s = host.socket(net.family)
    s.bind((net.here, port + 10_000))
    peer = Peer(host, (net.here, port + 10_000), (net.there, port))
    s.connect_ex(peer.source)
    (syn,) = peer.hear()
    peer.say("SYN,ACK", seq=9000, ack=syn.seq + 1)
    assert s.connect_ex(peer.source) == 0
    return s, peer, syn.seq + 1


def segments(host: VirtualHost) -> list[TcpSegment]:
    return [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in host.take()]


def told(host: VirtualHost) -> list[bytes]:
    """The octets of each User Timeout Option that went out."""
    return [data for segment in segments(host) for kind, data in segment.options if kind == USER_TIMEOUT]


def test_a_peer_that_holds_its_windows_shut_keeps_nothing_of_a_host(net: Net) -> None:
    """A hundred connections closed with unsent data, every probe answered: in an hour none of them is left."""
    host = VirtualHost([net.prefix])
    peers: dict[int, tuple[Peer, int]] = {}
    for port in range(5000, 5100):
        s, peer, snd_nxt = another(net, host, port)
        peer.say("ACK", seq=9001, ack=snd_nxt, window=0)
        s.send(b"never sent")
        s.close()
        peers[port] = (peer, snd_nxt)
    assert {row.state for row in host.connections()} == {State.FIN_WAIT_1}
    while host.connections() and host.now < 3600 * SECOND:
        deadline = host.next_deadline()
        assert deadline is not None
        host.run(max(deadline, host.now))
        for segment in segments(host):
            peer, snd_nxt = peers[segment.destination_port]
            peer.host.deliver(peer.packet("ACK", seq=9001, ack=snd_nxt, window=0))
    assert host.connections() == []
    assert host.counters["TcpExtTCPAbortOnTimeout"] == 100
    assert host.next_deadline() is None


def test_a_host_has_only_so_many_orphans(net: Net) -> None:
    host = VirtualHost([net.prefix], config=StackConfig(max_orphans=3))
    resets = 0
    for port in range(5000, 5005):
        s, _, _ = another(net, host, port)
        s.send(b"nobody acknowledges this")
        s.close()
        resets += sum(segment.flags & 0x04 != 0 for segment in segments(host))
    assert resets == 2
    assert len(host.connections()) == 3
    assert host.counters["TcpExtTCPAbortOnMemory"] == 2


@pytest.mark.parametrize(
    ("linger", "state"),
    [((0, 0), State.FIN_WAIT_1), ((0, 7), State.FIN_WAIT_1), ((1, 7), State.FIN_WAIT_1), ((1, 0), State.CLOSED)],
)
def test_the_forms_of_so_linger(net: Net, linger: tuple[int, int], state: State) -> None:
    """No call waits here: with a time close goes on in the background from the beginning, and ``state`` tells how far it is."""
    host, s, peer, snd_nxt = connected(net)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", *linger))
    s.send(b"data")
    host.take()
    s.close()
    assert s.state is state
    assert ["RST" in each.flags for each in peer.hear()] == [state is State.CLOSED]
    if state is not State.CLOSED:
        peer.say("ACK", seq=9001, ack=snd_nxt + 5)
        assert s.state is State.FIN_WAIT_2


def test_no_keep_alive_goes_out_for_an_orphan_in_fin_wait_2(net: Net) -> None:
    """As in Linux: the timer of FIN-WAIT-2 ends it in any case."""
    host, s, peer, snd_nxt = connected(net)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5)
    s.shutdown(socket.SHUT_WR)
    peer.say("ACK", seq=9001, ack=snd_nxt + 1)
    host.take()
    host.run(host.now + 5 * SECOND)
    assert (s.state, len(host.take())) == (State.FIN_WAIT_2, 1)  # as long as it is a program's
    s.close()
    peer.say("ACK", seq=9001, ack=snd_nxt + 1)  # what is heard does not bring it back
    host.run(host.now + 59 * SECOND)
    assert host.take() == []
    host.run(host.now + SECOND)
    assert host.connections() == []


@pytest.mark.requirement("MUST-21")
def test_r2_without_end(net: Net) -> None:
    host, s, peer, snd_nxt = connected(net)
    s.set_user_timeout(math.inf)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # other options leave it alone
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2**31 - 1
    s.send(b"lost for a day")
    host.run(host.now + DAY)
    assert [row.state for row in host.connections()] == [State.ESTABLISHED]
    peer.say("ACK", seq=9001, ack=snd_nxt + 14)
    s.set_user_timeout(2.5)
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2500
    s.send(b"lost")
    host.run(host.now + 3 * SECOND)
    assert s.state is State.CLOSED
    for wrong in (0, -1, math.nan):
        with pytest.raises(InvalidArgument):
            host.socket(net.family).set_user_timeout(wrong)


def test_the_user_timeout_option_of_a_socket(net: Net) -> None:
    host = VirtualHost([net.prefix])
    s = host.socket(net.family)
    s.set_user_timeout_option(advertise=300)
    s.connect_ex((net.there, 80))
    assert told(host) == [b"\x01\x2c"]
    s.close()
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    listener.set_user_timeout_option(advertise=400, changeable=False)
    listener.listen()
    peer = Peer(host, (net.here, PORT), (net.there, 5001))
    host.deliver(peer.packet("SYN", seq=0))
    (answer,) = (segment for segment in segments(host) if segment.flags & 0x02)
    assert [data for kind, data in answer.options if kind == USER_TIMEOUT] == [b"\x01\x90"]
    peer.say("ACK", seq=1, ack=answer.seq + 1)
    accepted, _ = listener.accept()
    accepted.send(b"first")
    assert told(host) == [b"\x01\x90"]
    accepted.set_user_timeout_option(enabled=False)
    peer.say("ACK", seq=1, ack=answer.seq + 6)
    accepted.send(b"second")
    assert told(host) == []
