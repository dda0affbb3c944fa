"""poll() on a virtual socket: the events that Linux tells, step by step, held against the kernel's own over the loopback."""

import select
import socket
from collections.abc import Callable

import pytest

from tests.sim.nets import Net
from tests.sim.peer import Peer
from userstack.sim import VirtualHost, VirtualSocket

PORT = 4321
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
STEPS = ("fresh", "bound", "listening", "to accept", "connected", "text", "FIN", "read to its end", "both ways closed")


def kernel_events(s: socket.socket) -> int:
    """What the kernel tells now."""
    poller = select.poll()
    poller.register(s, 0xFFFF)
    return next((events for _, events in poller.poll(0)), 0)


def on_the_kernel(family: int) -> list[int]:
    """The steps between two sockets of the loopback."""
    with socket.socket(family) as fresh, socket.socket(family) as listener, socket.socket(family) as peer:
        told = [kernel_events(fresh)]
        listener.bind((LOOPBACK[socket.AddressFamily(family)], 0))
        told.append(kernel_events(listener))
        listener.listen()
        told.append(kernel_events(listener))
        peer.connect(listener.getsockname())
        told.append(kernel_events(listener))
        accepted, _ = listener.accept()
        with accepted:
            told.append(kernel_events(accepted))
            for act in (lambda: peer.send(b"x"), lambda: peer.shutdown(1), lambda: accepted.recv(9), lambda: accepted.shutdown(1)):
                act()
                told.append(kernel_events(accepted))
    return told


def on_a_virtual_host(net: Net) -> list[int]:
    """The same steps."""
    host = VirtualHost([net.prefix])
    peer = Peer(host, (net.here, PORT))
    told = [host.socket(net.family).poll()]
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    told.append(listener.poll())
    listener.listen()
    told.append(listener.poll())
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    told.append(listener.poll())
    s, _ = listener.accept()
    told.append(s.poll())
    acts: list[Callable[[], object]] = [
        lambda: peer.say("ACK", seq=1001, ack=answer.seq + 1, data=b"x"),
        lambda: peer.say("FIN,ACK", seq=1002, ack=answer.seq + 1),
        lambda: s.recv(9),
        lambda: s.shutdown(1),
    ]
    for act in acts:
        act()
        told.append(s.poll())
    return told


def test_every_step_tells_what_the_kernel_tells(net: Net) -> None:
    assert dict(zip(STEPS, on_a_virtual_host(net), strict=True)) == dict(zip(STEPS, on_the_kernel(net.family), strict=True))


def established(net: Net) -> tuple[VirtualHost, VirtualSocket, Peer, int]:
    host = VirtualHost([net.prefix])
    peer = Peer(host, (net.here, PORT))
    s = host.socket(net.family)
    s.bind((net.here, PORT))
    s.connect_ex((net.there, 5000))
    (syn,) = peer.hear()
    peer.say("SYN,ACK", seq=9000, ack=syn.seq + 1)
    return host, s, peer, syn.seq + 1


def test_a_connection_attempt_tells_nothing(net: Net) -> None:
    host = VirtualHost([net.prefix])
    s = host.socket(net.family)
    s.connect_ex((net.there, 5000))
    assert s.poll() == 0


def test_a_reset_tells_an_error_until_someone_has_asked_for_it(net: Net) -> None:
    _, s, peer, number = established(net)
    peer.say("RST", seq=9001, ack=number)
    assert s.poll() == 0x215D
    s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    assert s.poll() == 0x2155


def test_a_full_send_buffer_is_not_writable_until_a_third_of_it_is_free(net: Net) -> None:
    _, s, peer, number = established(net)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 9000)
    assert s.send(bytes(20000)) == 9000
    assert s.poll() == 0
    peer.say("ACK", seq=9001, ack=number + 1460)
    assert s.poll() == 0
    peer.say("ACK", seq=9001, ack=number + 4380)
    assert s.poll() == select.POLLOUT | select.POLLWRNORM


def test_what_is_queued_either_way_is_told(net: Net) -> None:
    _, s, peer, number = established(net)
    s.send(bytes(3000))
    peer.say("ACK", seq=9001, ack=number + 1460, data=b"abc")
    assert s.queued() == (3, 1540)
    s.shutdown(socket.SHUT_WR)
    assert s.queued() == (3, 1541)


def test_a_listener_has_no_queues(net: Net) -> None:
    s = VirtualHost([net.prefix]).socket(net.family)
    s.listen()
    with pytest.raises(OSError, match="queued"):
        s.queued()


def test_peeking_leaves_the_octets_where_they_are(net: Net) -> None:
    _, s, peer, number = established(net)
    peer.say("ACK", seq=9001, ack=number, data=b"abc")
    peer.say("ACK", seq=9004, ack=number, data=b"def")
    assert s.recv(2, socket.MSG_PEEK) == b"ab"
    assert s.recv(2) == b"ab"
    assert s.recv(9, socket.MSG_PEEK) == b"cdef"
    assert s.recv(9) == b"cdef"
    with pytest.raises(BlockingIOError):
        s.recv(9, socket.MSG_PEEK)
    with pytest.raises(OSError, match="not supported"):
        s.recv(9, socket.MSG_TRUNC)
