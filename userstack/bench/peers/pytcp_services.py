"""PyTCP over a TAP device: its sockets, and a thread for each connection, as its own examples have it.

    python -O -m userstack.bench.peers.pytcp_services DIRECTORY DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU

DIRECTORY is where it is installed, out of the way of all else. Without ``-O`` it writes a line of log for every step of a packet.
"""

import importlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from fcntl import ioctl
from typing import Protocol

ECHO, DISCARD, CHARGEN = 7, 9, 19
CHARACTERS = bytes(32 + at % 95 for at in range(16384))
UNSENT = 65536
"""Octets that chargen may have waiting: ``send`` takes any number, and keeps it in memory."""
PAUSE = 0.001
SIOCGIFFLAGS, IFF_UP = 0x8913, 0x1
READY = 0.2
"""Seconds between two looks whether the address is ours: it is probed for first (RFC 5227)."""


class _Session(Protocol):
    """What is used of PyTCP's connection."""

    _tx_buffer: bytearray


class _State(Protocol):
    """Its state, by name."""

    name: str


class _Socket(Protocol):
    """What is used of PyTCP's sockets. Its types cannot be imported where it is not installed."""

    state: _State
    tcp_session: _Session

    def bind(self, address: tuple[str, int]) -> None: ...
    def listen(self) -> None: ...
    def accept(self) -> tuple["_Socket", tuple[str, int]]: ...
    def recv(self, bufsize: int) -> bytes: ...
    def send(self, data: bytes) -> int: ...
    def close(self) -> None: ...


def receive(conn: _Socket) -> bytes:
    """The next octets; none at the end. PyTCP wakes its reader for nothing too, so the state has to tell."""
    while True:
        data = conn.recv(65536)
        if data or conn.state.name not in ("ESTABLISHED", "SYN_RCVD"):
            return data


def echo(conn: _Socket) -> None:
    """Send back what comes."""
    while data := receive(conn):
        conn.send(data)


def discard(conn: _Socket) -> None:
    """Read to the end."""
    while receive(conn):
        pass


def chargen(conn: _Socket) -> None:
    """Send until the peer has closed, which ends ``send`` or changes the state."""
    while conn.state.name == "ESTABLISHED":
        if len(conn.tcp_session._tx_buffer) < UNSENT:
            conn.send(CHARACTERS)
        else:
            time.sleep(PAUSE)


SERVICES: dict[int, Callable[[_Socket], None]] = {ECHO: echo, DISCARD: discard, CHARGEN: chargen}


def serve(listener: _Socket, port: int, service: Callable[[_Socket], None], address: str) -> None:
    """Take connections for ever, each on a thread of its own."""
    listener.bind((address, port))
    listener.listen()

    def run(conn: _Socket) -> None:
        try:
            service(conn)
        except OSError:  # the peer has reset it
            return
        conn.close()

    def accept() -> None:
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=run, args=(conn,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def wait_until_up(name: str) -> None:
    """Wait for the harness to raise the device: what PyTCP sends before is lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        while not struct.unpack_from("H", ioctl(sock, SIOCGIFFLAGS, struct.pack("16s24x", name.encode())), 16)[0] & IFF_UP:
            time.sleep(PAUSE)


def main(words: list[str]) -> None:
    """Serve until SIGTERM, whose default is the right end."""
    if len(words) != 6 or words[2] != "tun":
        raise SystemExit("arguments are DIRECTORY DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU")
    directory, device, _, address, kernel, mtu = words
    sys.path.insert(0, directory)
    pytcp, sockets, inside = (importlib.import_module(name) for name in ("pytcp", "pytcp.lib.socket", "pytcp.lib.stack"))
    stack = pytcp.TcpIpStack(interface=device, ip4_address=address, ip4_gateway=kernel)
    print("device", flush=True)
    wait_until_up(device)
    pytcp.config.TAP_MTU, pytcp.config.LOCAL_TCP_MSS, pytcp.config.IP6_SUPPORT = int(mtu), int(mtu) - 40, False
    stack.start()
    own = address.partition("/")[0]
    while own not in map(str, inside.packet_handler.ip4_unicast):
        time.sleep(READY)
    for port, service in SERVICES.items():
        serve(sockets.socket(), port, service, own)
    print("ready", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
