"""``userstack nc`` against the kernel's nc and the kernel's sockets, small transfers: both roles, every option."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.cli.running import Running, kernel, running, userstack
from userstack.cli.guard import run_async
from userstack.host.addresses import add_address, list_addresses
from userstack.host.diag import tcp_sockets
from userstack.host.inside import open_socket, write_sysctl
from userstack.host.links import create_veth, list_devices, set_link
from userstack.tcp.state import State

pytestmark = pytest.mark.once

US, KERNEL = "10.9.0.2", "10.9.0.1"
LISTENING = "Listening on"


@contextmanager
def kernel_listener(namespace: str, port: int = 9000) -> Iterator[socket.socket]:
    """A socket of the kernel's that listens."""
    with open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("0.0.0.0", port))
        listener.listen()
        listener.settimeout(10)
        yield listener


def accept(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.settimeout(10)
    return connection


@contextmanager
def kernel_client(namespace: str, port: int = 8080) -> Iterator[socket.socket]:
    """A connection of the kernel's to us."""
    with open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect((US, port))
        yield client


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def listening(namespace: str, port: int) -> None:
    """Wait until the kernel listens there."""
    deadline = time.monotonic() + 10
    while not any(sock.state is State.LISTEN and sock.local.port == port for sock in tcp_sockets(namespace=namespace)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def talk_until_both_have_closed(ours: Running, namespace: str, address: str) -> str:
    """The kernel's nc connects to ``ours`` at ``address``; each says a word, the kernel closes first. What ours told of it."""
    with kernel(namespace, "nc", "-N", address, "8080") as theirs:
        theirs.type(b"from the kernel\n")
        assert ours.stdout.readline() == b"from the kernel\n"
        ours.type(b"from us\n")
        assert theirs.stdout.readline() == b"from us\n"
        theirs.stdin.close()
        ours.wait_for("the peer closes first")
        ours.stdin.close()
        assert (theirs.process.wait(10), theirs.stdout.read(), theirs.stderr.read()) == (0, b"", b"")
    assert (ours.process.wait(10), ours.stdout.read()) == (0, b"")
    return ours.told + ours.stderr.read().decode()


@pytest.mark.parametrize("device", ["tun", "tap", "veth"])
@pytest.mark.parametrize("codec", ["fast", "scapy"])
def test_the_kernels_nc_connects_to_us(namespace: str, device: str, codec: str) -> None:
    with running("nc", "-l", "-N", "-v", "8080", "--netns", namespace, "--device", device, "--codec", codec) as ours:
        ours.wait_for(LISTENING)
        told = talk_until_both_have_closed(ours, namespace, US)
    assert "Connection from 10.9.0.1 " in told
    assert "SYN-RECEIVED ─── SYN,ACK seq 0 ack 1" in told
    assert "▶ ESTABLISHED   2/3" in told  # the kernel's own word
    assert "LAST-ACK → CLOSED" in told


@pytest.mark.parametrize("device", ["tun", "tap", "veth"])
def test_we_connect_to_the_kernels_nc(namespace: str, device: str) -> None:
    with kernel(namespace, "nc", "-l", "-N", "9000") as theirs:
        listening(namespace, 9000)
        theirs.type(b"from the kernel\n")
        theirs.stdin.close()
        done = userstack("nc", KERNEL, "9000", "-N", "--netns", namespace, "--device", device, stdin=b"from us\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"from the kernel\n", b"")
        assert theirs.stdout.read() == b"from us\n"


def test_without_n_it_stays_open_until_the_peer_closes(namespace: str) -> None:
    with kernel_listener(namespace) as listener, running("nc", KERNEL, "9000", "-v", "--netns", namespace) as ours:
        with accept(listener) as connection:
            ours.stdin.close()
            connection.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.sendall(b"the last word")
        assert ours.stdout.read() == b"the last word"
        assert ours.process.wait(10) == 0


def test_with_n_the_end_of_input_is_a_fin_and_receiving_goes_on(namespace: str) -> None:
    with kernel_listener(namespace) as listener, running("nc", KERNEL, "9000", "-N", "--netns", namespace) as ours:
        with accept(listener) as connection:
            ours.type(b"all")
            ours.stdin.close()
            assert everything(connection) == b"all"
            connection.sendall(b"after your FIN")
        assert ours.stdout.read() == b"after your FIN"
        assert ours.process.wait(10) == 0


def test_a_listener_is_through_when_the_peer_closes_though_its_input_is_open(namespace: str) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        with kernel_client(namespace) as client:
            client.sendall(b"bye")
        assert ours.stdout.read() == b"bye"
        assert ours.process.wait(10) == 0


def test_only_one_connection_is_taken_without_k(namespace: str) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        with kernel_client(namespace):
            ours.wait_for("Connection from")
            with pytest.raises(ConnectionRefusedError), kernel_client(namespace):
                pass


def test_with_k_one_is_taken_after_another_even_after_a_reset(namespace: str) -> None:
    with running("nc", "-l", "-k", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        for word in (b"one", b"two"):
            with kernel_client(namespace) as client:
                client.sendall(word)
            assert ours.stdout.read(3) == word
        with kernel_client(namespace) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.wait_for("userstack nc: Connection reset by peer")
        with kernel_client(namespace) as client:
            client.sendall(b"three")
        assert ours.stdout.read(5) == b"three"
        ours.process.send_signal(signal.SIGINT)
        assert ours.process.wait(10) == 130


def test_with_k_standard_input_is_heard_by_the_second_client_too(namespace: str) -> None:
    with running("nc", "-l", "-k", "-v", "8080", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        for words in (b"to the first\n", b"to the second\n"):
            with kernel_client(namespace) as client:
                ours.wait_for("Connection from")
                ours.type(words)
                assert client.recv(100) == words


def test_time_wait_is_seen_through_where_that_is_asked_for(namespace: str) -> None:
    with kernel_listener(namespace) as listener:
        arguments = ["nc", "-N", "-v", "--msl", "0.4", "--netns", namespace, "--time-wait", KERNEL, "9000"]
        with running(*arguments) as ours:
            with accept(listener) as connection:
                ours.stdin.close()
                assert everything(connection) == b""
            ours.wait_for("→ TIME-WAIT")
            began = time.monotonic()
            ours.wait_for("TIME-WAIT → CLOSED")
            assert time.monotonic() - began > 0.5
            assert ours.process.wait(10) == 0


def test_a_killed_peer_is_a_reset(namespace: str) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        with kernel_client(namespace) as client:
            client.sendall(b"so far")
            assert ours.stdout.read(6) == b"so far"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours.stdin.close()
        told = _rest(ours)
    assert ours.process.returncode == 1
    assert told.endswith("userstack nc: Connection reset by peer\n")


def test_a_closed_port_refuses_at_once(namespace: str) -> None:
    done = userstack("nc", KERNEL, "9000", "--netns", namespace)
    assert (done.returncode, done.stderr) == (1, b"userstack nc: connect to 10.9.0.1 port 9000 (tcp) failed: Connection refused\n")


def test_scanning(namespace: str) -> None:
    with kernel_listener(namespace, 9001):
        closed = userstack("nc", "-z", KERNEL, "9000", "--netns", namespace)
        opened = userstack("nc", "-z", KERNEL, "9001", "--netns", namespace)
        several = userstack("nc", "-z", "-v", KERNEL, "9000-9002", "--netns", namespace)
    assert (closed.returncode, opened.returncode, several.returncode) == (1, 0, 0)
    assert closed.stderr == b"userstack nc: connect to 10.9.0.1 port 9000 (tcp) failed: Connection refused\n"
    assert opened.stdout + opened.stderr == b""
    told = several.stderr.decode()
    assert "Connection to 10.9.0.1 9001 port [tcp/*] succeeded!" in told
    assert told.count("failed: Connection refused") == 2


def test_connecting_to_nobody_ends_in_time(namespace: str) -> None:
    begun = time.monotonic()
    done = userstack("nc", "-w", "0.3", "10.9.0.77", "9000", "--netns", namespace)
    words = "connect to 10.9.0.77 port 9000 (tcp) failed: 10.9.0.77:9000 did not answer within 0.3 s"
    assert (done.returncode, done.stderr) == (1, f"userstack nc: {words}\n".encode())
    assert time.monotonic() - begun < 20


def test_an_idle_connection_is_closed_in_time(namespace: str) -> None:
    with kernel_listener(namespace) as listener, running("nc", "-w", "0.4", KERNEL, "9000", "--netns", namespace) as ours:
        with accept(listener) as connection:
            begun = time.monotonic()
            for _ in range(4):  # what moves is not idle
                time.sleep(0.2)
                connection.sendall(b"x")
            assert everything(connection) == b""
            assert 0.9 < time.monotonic() - begun < 20
        assert (ours.process.wait(10), ours.stdout.read()) == (0, b"xxxx")


def test_the_source_port(namespace: str) -> None:
    with kernel_listener(namespace) as listener, running("nc", "-p", "4321", KERNEL, "9000", "--netns", namespace) as ours:
        connection, address = listener.accept()
        connection.close()
        assert address == (US, 4321)
        ours.stdin.close()
        assert ours.process.wait(10) == 0


def test_near_peers_alone_and_what_is_said_of_packets(namespace: str) -> None:
    """-M, -m and -T, as OpenBSD's nc has them. A kernel in TIME-WAIT has its default TTL, whatever its socket's was."""
    write_sysctl("net.ipv4.ip_default_ttl", "255", namespace=namespace)
    with kernel_listener(namespace) as listener:
        listener.setsockopt(socket.IPPROTO_IP, 21, 255)  # IP_MINTTL
        arguments = ("-M", "255", "-m", "255", "-T", "184", KERNEL, "9000", "--netns", namespace)
        with running("nc", *arguments) as ours:
            connection = accept(listener)
            connection.sendall(b"near")
            connection.close()
            ours.stdin.close()
            assert (ours.process.wait(10), ours.stdout.read()) == (0, b"near")


def test_a_source_route(namespace: str, tmp_path: Path) -> None:
    """The kernel is router and destination in one."""
    for scope in ("all", "default"):
        write_sysctl(f"net.ipv4.conf.{scope}.accept_source_route", "1", namespace=namespace)
    with kernel_listener(namespace) as listener:
        capture = tmp_path / "route.pcapng"
        route = ("-g", KERNEL, "--accept-source-route", "--pcap", str(capture))
        with running("nc", *route, KERNEL, "9000", "--netns", namespace) as ours:
            connection = accept(listener)
            connection.close()
            ours.stdin.close()
            assert ours.process.wait(10) == 0
        assert bytes((131, 7, 4)) + socket.inet_aton(KERNEL) in capture.read_bytes()
        done = userstack("nc", "-g", "fd3d::1", KERNEL, "9000", "--netns", namespace)
        assert done.returncode != 0
        assert b"IPv4" in done.stderr


def test_listening_as_traditional_netcat_wants_it(namespace: str) -> None:
    with running("nc", "-l", "-p", "8081", "-v", "--netns", namespace) as ours:
        assert ours.wait_for(LISTENING) == "Listening on 0.0.0.0 8081\n"
    with running("nc", "-l", US, "8082", "-v", "--netns", namespace) as ours:
        assert ours.wait_for(LISTENING) == "Listening on 10.9.0.2 8082\n"


def test_a_bad_link_spoils_nothing(namespace: str) -> None:
    data = os.urandom(40_000)
    with kernel_listener(namespace) as listener:
        bad = ["--loss", "0.02", "--duplicate", "0.05", "--reorder", "0.05", "--corrupt", "0.02", "--delay", "1", "--rate", "100"]
        with running("nc", KERNEL, "9000", "-N", "--netns", namespace, "--seed", "5", *bad) as ours:
            with accept(listener) as connection:
                ours.type(data)
                ours.stdin.close()
                connection.settimeout(30)
                assert everything(connection) == data
            assert ours.process.wait(30) == 0


def test_the_capture_is_right_and_the_isn_is_the_one_that_was_asked_for(namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "nc.pcapng"
    data = os.urandom(20_000)
    options = ["--netns", namespace, "--pcap", str(path), "--isn", "4294967290"]
    with kernel_listener(namespace) as listener, running("nc", KERNEL, "9000", "-N", *options) as ours:
        with accept(listener) as connection:
            ours.type(data)
            ours.stdin.close()
            assert everything(connection) == data
        assert ours.process.wait(10) == 0
    fields = ["tcp.seq_raw", "tcp.checksum.status", "ip.checksum.status", "_ws.malformed"]
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp", *checks, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    rows = [line.split("\t") for line in subprocess.run(command, capture_output=True, check=True).stdout.decode().splitlines()]
    assert rows[0][0] == "4294967290"
    assert {tuple(row[1:]) for row in rows} == {("1", "1", "")}


def test_an_interface_that_exists_is_taken_over_and_given_back(namespace: str) -> None:
    """The kernel at the far end of the pair is the peer; the near end's address becomes the stack's."""
    create_veth("near", "far", namespace=namespace)
    for device, address in (("near", "10.8.0.2/24"), ("far", "10.8.0.1/24")):
        add_address(device, address, namespace=namespace)
        set_link(device, namespace=namespace, up=True)

    def of_near() -> list[str]:
        return [entry.address for entry in list_addresses(namespace=namespace) if entry.device == "near" and "." in entry.address]

    with running("nc", "-l", "8080", "-v", "--device", "eth", "--interface", "near", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        assert of_near() == []
        with open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(("10.8.0.2", 8080))
            client.sendall(b"across the pair")
        assert ours.stdout.read() == b"across the pair"
        told = _rest(ours)
        assert ours.process.returncode == 0
        assert "─ ?" in told  # whose states the peer's are is not known here: none is claimed
    assert of_near() == ["10.8.0.2/24"]


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_capture_on_a_full_disk_is_named_once(namespace: str, size: int) -> None:
    """Whether it shows when the file is closed, or, with more data, while the stack runs."""
    before = list_devices(namespace=namespace)
    with kernel_listener(namespace) as listener, ThreadPoolExecutor(1) as pool:
        arguments = ["-N", KERNEL, "9000", "--netns", namespace, "--pcap", "/dev/full"]
        done = pool.submit(userstack, "nc", *arguments, stdin=bytes(size))
        with accept(listener) as connection, suppress(ConnectionResetError):
            everything(connection)
        ended = done.result(10)
    assert (ended.returncode, ended.stderr) == (1, b"userstack nc: /dev/full: No space left on device\n")
    assert list_devices(namespace=namespace) == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("device", ["tun", "veth"])
def test_a_signal_ends_it_quietly_and_removes_everything(namespace: str, number: signal.Signals, code: int, device: str) -> None:
    before = list_devices(namespace=namespace)
    with running("nc", "-l", "8080", "-v", "--netns", namespace, "--device", device) as ours:
        ours.wait_for(LISTENING)
        assert len(list_devices(namespace=namespace)) > len(before)
        ours.process.send_signal(number)
        assert "Traceback" not in _rest(ours)
        assert ours.process.returncode == code
    assert list_devices(namespace=namespace) == before


def test_a_second_signal_does_not_break_into_the_removal() -> None:
    removed = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0.05)
            removed.append("all of it")
        return 0

    assert run_async(work()) == 143
    assert removed == ["all of it"]


def test_a_hangup_that_nohup_ignores_is_ignored(namespace: str) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace, prefix=["nohup"]) as ours:
        ours.wait_for(LISTENING)
        ours.process.send_signal(signal.SIGHUP)
        with kernel_client(namespace) as client:
            client.sendall(b"still here")
        assert ours.stdout.read() == b"still here"
        assert ours.process.wait(10) == 0


def test_a_reader_of_our_output_that_goes_away_ends_it_in_one_line(namespace: str) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for(LISTENING)
        ours.stdout.close()
        with kernel_client(namespace) as client:
            client.sendall(b"nobody reads this")
            told = _rest(ours)
    assert ours.process.returncode == 1
    assert told.endswith("userstack nc: Broken pipe\n")


def test_a_closed_standard_input_is_not_taken_for_the_device(namespace: str) -> None:
    """A shell's ``<&-``: the next descriptor opened would be 0, and that is the TUN."""
    closed = ["sh", "-c", 'exec "$@" <&-', "sh"]
    with kernel_listener(namespace) as listener, ThreadPoolExecutor(1) as pool:
        done = pool.submit(userstack, "nc", "-N", KERNEL, "9000", "--netns", namespace, prefix=closed)
        with accept(listener) as connection:
            assert everything(connection) == b""
        assert done.result(10).returncode == 0


def test_a_place_for_the_control_socket_is_not_needed(namespace: str) -> None:
    readonly = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro,mode=700 tmpfs /run/userstack && exec "$@"', "sh"]
    Path("/run/userstack").mkdir(mode=0o700, exist_ok=True)
    with kernel_listener(namespace):
        done = userstack("nc", "-z", KERNEL, "9000", "--netns", namespace, prefix=readonly)
    assert done.returncode == 0
    assert done.stderr.startswith(b"userstack ss will not see this stack: cannot make ")


def _rest(ours: Running) -> str:
    """All that it said on standard error, once it has ended."""
    ours.process.wait(10)
    return ours.told + ours.stderr.read().decode()
