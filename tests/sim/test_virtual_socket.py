"""What calls and options of a socket do to the packets: the half of the contract that no errno shows."""

import errno
import socket
import struct

import pytest

from tests.sim.nets import Net
from tests.sim.peer import CODEC, Heard, Peer
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualHost, VirtualSocket
from userstack.tcp.state import State
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import MSS, TcpSegment

PORT = 4321
HOPS_AND_TOS: dict[int, tuple[tuple[int, int], tuple[int, int]]] = {
    socket.AF_INET: ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IP, socket.IP_TOS)),
    socket.AF_INET6: ((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)),
}
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def make_socket(net: Net) -> tuple[VirtualHost, VirtualSocket, Peer]:
    """A bound socket and the peer that it will talk to."""
    host = VirtualHost([net.prefix])
    s = host.socket(net.family)
    s.bind((net.here, PORT))
    return host, s, Peer(host, (net.here, PORT))


def packets(host: VirtualHost) -> list[tuple[IPPacket, TcpSegment]]:
    """What the host sent, taken apart."""
    found = [CODEC.decode_ip(packet) for _, packet in host.take()]
    return [(packet, CODEC.decode_tcp(packet)) for packet in found]


def connected(s: VirtualSocket, peer: Peer, window: int = 65535) -> int:
    """Finish the handshake as the peer, whose next sequence number is 9001 then; the host's next one."""
    s.connect_ex(peer.source)
    (syn,) = peer.hear()
    peer.say("SYN,ACK", seq=9000, ack=syn.seq + 1, window=window)
    assert s.connect_ex(peer.source) == 0
    return syn.seq + 1


def accepted(net: Net, window: int = 65535) -> tuple[VirtualHost, VirtualSocket, VirtualSocket, Peer, int]:
    """Host, listener, accepted socket, peer (next sequence number 1001) and the host's next sequence number."""
    host, listener, peer = make_socket(net)
    listener.listen()
    (answer,) = peer.say("SYN", seq=1000, window=window)
    peer.say("ACK", seq=1001, ack=answer.seq + 1, window=window)
    return host, listener, listener.accept()[0], peer, answer.seq + 1


def flags(heard: list[Heard]) -> list[str]:
    return [each.flags for each in heard]


# --- ending ---


def test_closing_a_fresh_or_bound_socket_sends_nothing_and_frees_the_port(net: Net) -> None:
    host, s, _ = make_socket(net)
    s.close()
    s.close()
    host.socket(net.family).bind((net.here, PORT))
    assert host.take() == []


def test_closing_while_connecting_says_nothing_to_the_peer(net: Net) -> None:
    host, s, peer = make_socket(net)
    s.connect_ex((net.there, 5000))
    peer.hear()
    s.close()
    assert peer.hear() == []
    assert host.connections() == []
    assert host.next_deadline() is None


def test_closing_with_unread_data_resets(net: Net) -> None:
    _, s, peer = make_socket(net)
    snd_nxt = connected(s, peer)
    peer.say("PSH,ACK", seq=9001, ack=snd_nxt, data=b"unread")
    s.close()
    assert "RST" in flags(peer.hear())[-1]
    assert s.state is State.CLOSED


def test_closing_with_linger_zero_resets(net: Net) -> None:
    host, s, peer = make_socket(net)
    connected(s, peer)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    s.close()
    assert "RST" in flags(peer.hear())[-1]
    assert host.connections() == []


def test_closing_with_linger_sends_a_fin_and_does_not_wait(net: Net) -> None:
    _, s, peer = make_socket(net)
    connected(s, peer)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 30))
    s.close()
    assert flags(peer.hear()) == ["FIN,ACK"]
    assert s.state is State.FIN_WAIT_1


def test_closing_with_linger_zero_leaves_time_wait_alone(net: Net) -> None:
    host, s, peer = make_socket(net)
    snd_nxt = connected(s, peer)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    s.shutdown(socket.SHUT_WR)
    peer.say("FIN,ACK", seq=9001, ack=snd_nxt + 1)
    s.close()
    assert "RST" not in "".join(flags(peer.hear()))
    assert [row.state for row in host.connections()] == [State.TIME_WAIT]


def test_data_that_comes_after_close_is_answered_with_a_reset(net: Net) -> None:
    _, s, peer = make_socket(net)
    snd_nxt = connected(s, peer)
    s.close()
    peer.hear()
    assert "RST" in flags(peer.say("PSH,ACK", seq=9001, ack=snd_nxt + 1, data=b"late"))[-1]


def test_closing_a_listener_resets_who_waits_and_refuses_who_comes(net: Net) -> None:
    host, s, peer = make_socket(net)
    s.listen()
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    s.close()
    assert "RST" in flags(peer.hear())[-1]
    other = Peer(host, (net.here, PORT), source=(net.other, 1))
    assert flags(other.say("SYN", seq=1)) == ["RST,ACK"]


def test_what_accept_gave_lives_on_after_the_listener(net: Net) -> None:
    host, listener, s, peer, snd_nxt = accepted(net)
    listener.close()
    peer.say("PSH,ACK", seq=1001, ack=snd_nxt, data=b"hello")
    assert s.recv(10) == b"hello"
    assert [row.state for row in host.connections()] == [State.ESTABLISHED]


def test_the_end_of_the_stream_is_told_before_the_time_out_of_what_was_sent(net: Net) -> None:
    host, s, peer = make_socket(net)
    snd_nxt = connected(s, peer)
    peer.say("FIN,ACK", seq=9001, ack=snd_nxt)
    s.send(b"nobody acknowledges this")
    host.run(host.now + StackConfig().r2 + 61 * SECOND)
    assert s.state is State.CLOSED
    assert s.recv(10) == b""
    with pytest.raises(TimeoutError):
        s.send(b"x")
    with pytest.raises(BrokenPipeError):
        s.send(b"x")


# --- options ---


def test_ttl_and_tos_stand_in_every_packet_from_the_syn_on(net: Net) -> None:
    host, s, peer = make_socket(net)
    hops, octet = HOPS_AND_TOS[net.family]
    s.setsockopt(*hops, 7)
    s.setsockopt(*octet, 0x28)
    s.connect_ex((net.there, 5000))
    ((syn_packet, syn),) = packets(host)
    host.deliver(peer.packet("SYN,ACK", seq=9000, ack=syn.seq + 1))
    s.send(b"x")
    sent = [syn_packet, *(packet for packet, _ in packets(host))]
    assert len(sent) == 3
    assert {(packet.ttl, packet.tos) for packet in sent} == {(7, 0x28)}


def test_ttl_of_a_listener_stands_in_the_syn_ack_and_is_inherited(net: Net) -> None:
    host, s, peer = make_socket(net)
    s.listen()
    s.setsockopt(*HOPS_AND_TOS[net.family][0], 9)
    host.deliver(peer.packet("SYN", seq=1000))
    ((packet, segment),) = packets(host)
    host.deliver(peer.packet("ACK", seq=1001, ack=segment.seq + 1))
    child, _ = s.accept()
    child.send(b"x")
    assert [packet.ttl] + [packet.ttl for packet, _ in packets(host)] == [9, 9]


def test_receive_buffer_is_the_window_of_the_syn(net: Net) -> None:
    host, s, _ = make_socket(net)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
    s.connect_ex((net.there, 5000))
    ((_, syn),) = packets(host)
    assert syn.window == 5000


def test_receive_buffer_of_a_listener_is_the_window_of_the_syn_ack(net: Net) -> None:
    host, s, peer = make_socket(net)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 6000)
    s.listen()
    host.deliver(peer.packet("SYN", seq=1000))
    ((_, answer),) = packets(host)
    assert answer.window == 6000


@pytest.mark.parametrize("before", [True, False])
def test_send_buffer_is_what_send_takes(net: Net, before: bool) -> None:
    _, s, peer = make_socket(net)
    if before:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    connected(s, peer, window=0)
    if not before:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    assert s.send(bytes(50_000)) == 10_000
    with pytest.raises(BlockingIOError):
        s.send(b"x")


@pytest.mark.parametrize("option", [socket.SO_SNDBUF, socket.SO_RCVBUF])
def test_buffers_have_a_least_size(net: Net, option: int) -> None:
    _, s, _ = make_socket(net)
    s.setsockopt(socket.SOL_SOCKET, option, 1)
    value = s.getsockopt(socket.SOL_SOCKET, option)
    assert isinstance(value, int)
    assert value > 2000


def test_nodelay_sends_at_once_what_nagle_holds_back(net: Net) -> None:
    _, s, peer = make_socket(net)
    connected(s, peer)
    s.send(b"a")
    peer.hear()
    s.send(b"b")
    assert peer.hear() == []
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert [each.data for each in peer.hear()] == [b"b"]  # tcp(7): an explicit flush
    s.send(b"c")
    assert [each.data for each in peer.hear()] == [b"c"]


def test_user_timeout_ends_the_connection_on_its_nanosecond(net: Net) -> None:
    host, s, peer = make_socket(net)
    connected(s, peer)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2500)
    s.send(b"nobody acknowledges this")
    started = host.now
    host.run(started + 2500 * MILLISECOND - 1)
    before = s.state
    host.run(started + 2500 * MILLISECOND)
    assert (before, s.state) == (State.ESTABLISHED, State.CLOSED)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT


def test_a_user_timeout_that_is_shortened_counts_from_what_is_unacknowledged(net: Net) -> None:
    host, s, peer = make_socket(net)
    connected(s, peer)
    s.send(b"nobody acknowledges this")
    started = host.now
    host.run(started + 5000 * MILLISECOND)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5500)
    host.run(started + 5500 * MILLISECOND)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT


def test_maxseg_is_the_smaller_of_both_ends(net: Net) -> None:
    host, s, peer = make_socket(net)
    v4 = net.family == socket.AF_INET
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 536
    s.connect_ex((net.there, 5000))
    ((_, syn),) = packets(host)
    assert [option.data for option in syn.options if option.kind == MSS] == [(1460 if v4 else 1440).to_bytes(2, "big")]
    peer.say("SYN,ACK", seq=9000, ack=syn.seq + 1)
    assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == (536 if v4 else 1220)


@pytest.mark.parametrize("option", [socket.TCP_CONGESTION, socket.TCP_WINDOW_CLAMP])
def test_what_is_not_implemented_is_not_pretended(net: Net, option: int) -> None:
    _, s, _ = make_socket(net)
    for call in (lambda: s.setsockopt(socket.IPPROTO_TCP, option, 1), lambda: s.getsockopt(socket.IPPROTO_TCP, option)):
        with pytest.raises(OSError, match="Protocol not available") as caught:
            call()
        assert caught.value.errno == errno.ENOPROTOOPT


def test_options_of_the_accepted_socket_are_its_own(net: Net) -> None:
    _, listener, s, _, _ = accepted(net)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0


# --- state and info ---


def test_info_of_every_kind_of_socket(net: Net) -> None:
    host, s, peer = make_socket(net)
    assert (s.info().state, s.info().local, s.info().remote) == (State.CLOSED, s.info().local, None)
    snd_nxt = connected(s, peer)
    s.send(b"12345")
    peer.say("PSH,ACK", seq=9001, ack=snd_nxt, data=b"abc")
    info = s.info()
    assert (info.state, info.unacked, info.unread, info.bytes_sent, info.bytes_received) == (State.ESTABLISHED, 5, 3, 5, 3)
    assert (info.timer, info.timer_expires) == ("delayed ACK", host.now + StackConfig().delayed_ack)
    listener = host.socket(net.family)
    listener.listen()
    assert (listener.state, listener.info().state) == (State.LISTEN, State.LISTEN)


def test_state_follows_the_connection_after_close(net: Net) -> None:
    _, s, peer = make_socket(net)
    snd_nxt = connected(s, peer)
    states = [s.state]
    s.close()
    states.append(s.state)
    peer.say("ACK", seq=9001, ack=snd_nxt + 1)
    states.append(s.state)
    peer.say("FIN,ACK", seq=9001, ack=snd_nxt + 1)
    states.append(s.state)
    assert states == [State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.TIME_WAIT]


def test_a_syn_for_a_full_backlog_is_neither_refused_nor_accepted(net: Net) -> None:
    host, s, peer = make_socket(net)
    s.listen(0)
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    other = Peer(host, (net.here, PORT), source=(net.other, 1))
    assert other.say("SYN", seq=1) == []
    s.listen(1)
    assert flags(other.say("SYN", seq=1)) == ["SYN,ACK"]


def test_listen_clamps_the_backlog_to_somaxconn(net: Net) -> None:
    host = VirtualHost([net.prefix], config=StackConfig(somaxconn=0))
    s = host.socket(net.family)
    s.bind((net.here, PORT))
    s.listen(100)
    for index in range(3):
        other = Peer(host, (net.here, PORT), source=(net.other, 1 + index))
        answers = other.say("SYN", seq=1)
        if answers:
            other.say("ACK", seq=2, ack=answers[0].seq + 1)
    assert [row.state for row in host.connections()].count(State.ESTABLISHED) == 1


def test_local_traffic_never_reaches_the_link(net: Net) -> None:
    host = VirtualHost([net.prefix])
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    listener.listen()
    s = host.socket(net.family)
    s.connect_ex((net.here, PORT))
    child, address = listener.accept()
    assert s.connect_ex((net.here, PORT)) == 0
    assert address == s.getsockname()
    s.send(b"local")
    assert child.recv(10) == b"local"
    assert host.take() == []
