"""``userstack nc`` over IPv6: both roles, -4 and -6, both families at once, links in names."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import kernel, running, userstack
from tests.cli.test_nc import LISTENING, accept, everything, listening, talk_until_both_have_closed
from tests.cli.test_ss import part_of
from userstack.host.addresses import add_address
from userstack.host.inside import open_socket
from userstack.host.links import read_link

pytestmark = pytest.mark.once

US, KERNEL = "fd3d::2", "fd3d::1"
BOTH = ("--address", "10.9.0.2/24", "--address", "fd3d::2/64")


@contextmanager
def kernel_client(namespace: str, address: str, port: int = 8080) -> Iterator[socket.socket]:
    """A connection of the kernel's to us."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with open_socket(namespace, family, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect((address, port))
        yield client


@pytest.mark.parametrize(("device", "codec"), [("tun", "scapy"), ("tap", "fast"), ("veth", "scapy")])
def test_the_kernels_nc_connects_to_us(namespace: str, device: str, codec: str) -> None:
    with running("nc", "-6", "-l", "-N", "-v", "8080", "--netns", namespace, "--device", device, "--codec", codec) as ours:
        assert ours.wait_for(LISTENING) == "Listening on :: 8080\n"
        told = talk_until_both_have_closed(ours, namespace, US)
    assert "Connection from fd3d::1 " in told
    assert "SYN-RECEIVED ─── SYN,ACK seq 0 ack 1" in told
    assert "▶ ESTABLISHED   2/3" in told  # the kernel's own word
    assert "[fd3d::2]:8080" in told


@pytest.mark.parametrize(
    ("device", "target"), [("tun", [KERNEL, "9000"]), ("tap", [f"[{KERNEL}]:9000"]), ("veth", [f"[{KERNEL}]", "9000"])]
)
def test_we_connect_to_the_kernels_nc(namespace: str, device: str, target: list[str]) -> None:
    with kernel(namespace, "nc", "-6", "-l", "-N", "9000") as theirs:
        listening(namespace, 9000)
        theirs.type(b"from the kernel\n")
        theirs.stdin.close()
        done = userstack("nc", *target, "-N", "--netns", namespace, "--device", device, stdin=b"from us\n")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"from the kernel\n", b"")
        assert theirs.stdout.read() == b"from us\n"


def test_one_word_is_enough_for_ipv4_too(namespace: str) -> None:
    done = userstack("nc", "10.9.0.1:9000", "--netns", namespace)
    assert (done.returncode, done.stderr) == (1, b"userstack nc: connect to 10.9.0.1 port 9000 (tcp) failed: Connection refused\n")


def test_a_closed_port_refuses_at_once(namespace: str) -> None:
    done = userstack("nc", f"[{KERNEL}]:9000", "--netns", namespace)
    assert (done.returncode, done.stderr) == (1, b"userstack nc: connect to fd3d::1 port 9000 (tcp) failed: Connection refused\n")


@pytest.mark.parametrize("options", [[], ["-6"]])
def test_a_mapped_address_is_one_of_ipv4(namespace: str, options: list[str]) -> None:
    done = userstack("nc", *options, "[::ffff:10.9.0.1]:9000", "--netns", namespace)
    told = b"userstack nc: connect to ::ffff:10.9.0.1 port 9000 (tcp) failed: Connection refused\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_both_families_are_listened_to_and_each_client_is_told_by_its_own_address(namespace: str) -> None:
    with running("nc", "-l", "-k", "-v", "8080", *BOTH, "--netns", namespace) as ours:
        assert ours.wait_for(LISTENING) == "Listening on :: 8080\n"
        for address, peer in ((US, "Connection from fd3d::1 "), ("10.9.0.2", "Connection from 10.9.0.1 ")):
            with kernel_client(namespace, address) as client:
                client.sendall(b"word")
                ours.wait_for(peer)
                assert ours.stdout.read(4) == b"word"
                table = part_of(ours.process.pid, userstack("ss").stdout)
                assert ("[fd3d::1]:" if ":" in address else " 10.9.0.1:") in table
                assert "::ffff" not in table


@pytest.mark.parametrize(
    ("option", "told", "heard", "deaf"),
    [("-4", "Listening on 0.0.0.0 8080\n", "10.9.0.2", US), ("-6", "Listening on :: 8080\n", US, "10.9.0.2")],
)
def test_one_family_alone(namespace: str, option: str, told: str, heard: str, deaf: str) -> None:
    with running("nc", "-l", option, "-v", "8080", *BOTH, "--netns", namespace) as ours:
        assert ours.wait_for(LISTENING) == told
        with pytest.raises(ConnectionRefusedError), kernel_client(namespace, deaf):
            pass
        with kernel_client(namespace, heard) as client:
            client.sendall(b"heard")
        assert ours.stdout.read() == b"heard"
        assert ours.process.wait(10) == 0


def test_a_link_in_a_name(namespace: str) -> None:
    """The kernel's end of our TUN has fe80::1; ours is fe80::2, and the link goes by the name of the device."""
    arguments = ["nc", "-l", "-k", "-v", "8080", "--address", "fe80::2/64", "--name", "us6", "--netns", namespace]
    with running(*arguments) as ours:
        ours.wait_for(LISTENING)
        scope = read_link("us6", namespace=namespace).index
        with open_socket(namespace, socket.AF_INET6, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.bind(("fe80::1", 0, 0, scope))
            client.connect(("fe80::2", 8080, 0, scope))
            assert ours.wait_for("Connection from") == f"Connection from fe80::1%us6 {client.getsockname()[1]}\n"
            assert f"[fe80::1%us6]:{client.getsockname()[1]}" in part_of(ours.process.pid, userstack("ss").stdout)


def test_we_connect_by_a_link_local_address(namespace: str) -> None:
    with open_socket(namespace, socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.bind(("::", 9000))
        listener.listen()
        listener.settimeout(10)
        options = ["--address", "fe80::2/64", "--name", "us6", "--netns", namespace]
        with running("nc", "-N", "-v", *options, "fe80::1%us6", "9000") as ours:
            with accept(listener) as connection:
                ours.type(b"word")
                ours.stdin.close()
                assert everything(connection) == b"word"
            told = ours.told + ours.stderr.read().decode()
            assert ours.process.wait(10) == 0
    assert "Connection to fe80::1%us6 9000 port [tcp/*] succeeded!" in told
    assert "ESTABLISHED   3/3" in told  # the kernel's own word, of a connection between link-local addresses


def test_the_kernels_other_addresses_are_reached(namespace: str, tmp_path: Path) -> None:
    add_address("lo", "fd99::1/128", namespace=namespace)
    with open_socket(namespace, socket.AF_INET6, socket.SOCK_STREAM) as listener:
        listener.bind(("fd99::1", 9000))
        listener.listen()
        listener.settimeout(10)
        options = ["--device", "veth", "--gateway", KERNEL, "--pcap", str(tmp_path / "nc.pcapng"), "--netns", namespace]
        with running("nc", "-N", *options, "fd99::1", "9000") as ours:
            with accept(listener) as connection:
                ours.type(b"word")
                ours.stdin.close()
                assert everything(connection) == b"word"
            assert ours.process.wait(10) == 0
