import asyncio
import socket
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet

from tests.support.netns import KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.address import Endpoint, pack_address
from userstack.errors import SetupError
from userstack.host.diag import KernelTcp, tcp_sockets, tcp_state
from userstack.host.links import read_link
from userstack.packetio.tun import TunDevice
from userstack.tcp.state import State

OURS = Endpoint(pack_address("10.77.0.2"), 1000)
THEIRS = Endpoint(pack_address("10.77.0.1"), 80)
LOOPBACK = pack_address("127.0.0.1")


def segment(flags: str, seq: int, ack: int = 0) -> Packet:
    return IP(src="10.77.0.2", dst="10.77.0.1") / TCP(sport=OURS.port, dport=THEIRS.port, flags=flags, seq=seq, ack=ack)


def answer(device: TunDevice, packet: Packet) -> Packet:
    reply = device.sr1(packet, timeout=5, verbose=0)
    assert reply is not None
    return reply


def established(kernel: KernelNamespace) -> tuple[socket.socket, TunDevice, int]:
    """A connection that the kernel accepted from us, played by hand over TUN: its socket, the device, SND.NXT of the kernel."""
    device = kernel.tun()
    listener = kernel.socket()
    listener.bind(("10.77.0.1", THEIRS.port))
    listener.listen()
    synack = answer(device, segment("S", 100))
    device.send(segment("A", 101, synack.seq + 1))
    return kernel.keep(listener.accept()[0]), device, synack.seq + 1


def until(kernel_tcp: KernelTcp, state: State) -> None:
    """What was written to a device is taken in by the kernel in a moment of its own."""
    end = time.monotonic() + 5
    while (now := kernel_tcp.state(THEIRS, OURS)) != state:
        assert time.monotonic() < end, now


def test_passive_open_is_followed_from_listen_to_established() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        device = kernel.tun()
        assert kernel_tcp.state(THEIRS, OURS) == State.CLOSED
        listener = kernel.socket()
        listener.bind(("10.77.0.1", THEIRS.port))
        listener.listen(7)
        assert kernel_tcp.state(THEIRS, OURS) == State.LISTEN
        synack = answer(device, segment("S", 100))
        assert kernel_tcp.state(THEIRS, OURS) == State.SYN_RECEIVED
        requests = [sock for sock in kernel_tcp.sockets() if sock.state == State.SYN_RECEIVED]
        assert [(sock.local, sock.remote) for sock in requests] == [(THEIRS, OURS)]
        device.send(segment("A", 101, synack.seq + 1))
        until(kernel_tcp, State.ESTABLISHED)
        listening = next(sock for sock in kernel_tcp.sockets() if sock.state == State.LISTEN)
        assert (listening.local, listening.remote, listening.receive_queue, listening.send_queue) == (THEIRS, None, 1, 7)


def test_kernel_closes_first() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        accepted, device, ack = established(kernel)
        accepted.close()
        assert kernel_tcp.state(THEIRS, OURS) == State.FIN_WAIT_1
        device.send(segment("A", 101, ack + 1))
        until(kernel_tcp, State.FIN_WAIT_2)
        device.send(segment("FA", 101, ack + 1))
        until(kernel_tcp, State.TIME_WAIT)
        assert [sock.state for sock in kernel_tcp.sockets() if sock.remote == OURS] == [State.TIME_WAIT]


def test_kernel_closes_second() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        accepted, device, ack = established(kernel)
        device.send(segment("FA", 101, ack))
        until(kernel_tcp, State.CLOSE_WAIT)
        accepted.close()
        assert kernel_tcp.state(THEIRS, OURS) == State.LAST_ACK
        device.send(segment("A", 102, ack + 1))
        until(kernel_tcp, State.LISTEN)


def test_both_close_at_once() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        accepted, device, ack = established(kernel)
        accepted.shutdown(socket.SHUT_WR)
        device.send(segment("FA", 101, ack))
        until(kernel_tcp, State.CLOSING)


def test_active_open_into_silence() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        kernel.tun()
        client = kernel.socket()
        client.setblocking(False)
        client.connect_ex(("10.77.0.2", OURS.port))
        local = Endpoint(THEIRS.address, client.getsockname()[1])
        assert tcp_state(local, OURS, namespace=kernel.name) == State.SYN_SENT
        assert [(sock.local, sock.remote, sock.state) for sock in tcp_sockets(namespace=kernel.name)] == [
            (local, OURS, State.SYN_SENT)
        ]


def test_ipv4_on_a_socket_of_both_families_is_told_as_ipv4() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        listener = kernel.socket(socket.AF_INET6)
        listener.bind(("::", 80))
        listener.listen()
        client = kernel.socket()
        client.connect(("127.0.0.1", 80))
        local, remote = Endpoint(LOOPBACK, client.getsockname()[1]), Endpoint(LOOPBACK, 80)
        assert kernel_tcp.state(remote, local) == State.ESTABLISHED
        ends = {(sock.local, sock.remote) for sock in kernel_tcp.sockets() if sock.state == State.ESTABLISHED}
        assert ends == {(local, remote), (remote, local)}


def test_ipv6_is_told() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        listener = kernel.socket(socket.AF_INET6)
        listener.bind(("::1", 80))
        listener.listen()
        client = kernel.socket(socket.AF_INET6)
        client.connect(("::1", 80))
        local, remote = Endpoint(pack_address("::1"), client.getsockname()[1]), Endpoint(pack_address("::1"), 80)
        assert kernel_tcp.state(local, remote) == State.ESTABLISHED


def test_link_local_connections_are_found_by_their_interface() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        device = kernel.tun("fe80::1/64")
        index = read_link(device.name, namespace=kernel.name).index
        client = kernel.socket(socket.AF_INET6)
        client.setblocking(False)
        client.bind(("fe80::1", 0, 0, index))
        client.connect_ex(("fe80::2", 80, 0, index))
        local, remote = Endpoint(pack_address("fe80::1"), client.getsockname()[1]), Endpoint(pack_address("fe80::2"), 80)
        assert kernel_tcp.state(local, remote, interface=index) == State.SYN_SENT
        assert kernel_tcp.state(local, remote) == State.CLOSED


def test_queues_are_told() -> None:
    with kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        accepted, device, ack = established(kernel)
        accepted.send(b"12345")
        device.send(segment("PA", 101, ack) / b"123")
        assert accepted.recv(3, socket.MSG_PEEK | socket.MSG_WAITALL) == b"123"
        sock = next(sock for sock in kernel_tcp.sockets() if sock.remote == OURS)
        assert (sock.receive_queue, sock.send_queue) == (3, 5)


def test_listing_of_many_sockets_is_complete() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel, KernelTcp(kernel.name) as kernel_tcp:
        for port in range(2000, 2300):
            listener = kernel.socket()
            listener.bind(("127.0.0.1", port))
            listener.listen()
        assert sorted(sock.local.port for sock in kernel_tcp.sockets()) == list(range(2000, 2300))
        assert kernel_tcp.state(Endpoint(LOOPBACK, 2299), OURS) == State.LISTEN


@pytest.mark.asyncio
async def test_works_inside_a_running_event_loop() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        await asyncio.sleep(0)
        with KernelTcp(kernel.name) as kernel_tcp:
            assert kernel_tcp.sockets() == []
            assert kernel_tcp.state(THEIRS, OURS) == State.CLOSED


def test_missing_namespace_is_named_and_leaves_nothing() -> None:
    with nothing_left_behind(), pytest.raises(SetupError, match="cannot enter the network namespace nowhere"):
        KernelTcp("nowhere")
