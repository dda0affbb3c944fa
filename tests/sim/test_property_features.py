"""Two real machines, each with its own features, over a bad link whose MTU changes: the same bytes arrive, and both ends close."""

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest

from tests.sim.nets import Net
from tests.support.features import FEATURES, draw_config, set_key
from tests.support.mallory import forward, too_big
from tests.support.virtual import Impaired, VirtualNetwork
from tests.support.watch import check_bounds, check_nothing_left, check_packet
from userstack.config import FAST_OPEN_CLIENT, MILLISECOND, SECOND
from userstack.sim import VirtualHost, VirtualSocket
from userstack.sim.fast_open_options import TCP_FASTOPEN, TCP_FASTOPEN_CONNECT
from userstack.sim.transfer import MSG_FASTOPEN
from userstack.tcp.state import State

PORT = 80
ROUTE = b"\x83\x07\x04\xc0\xa8\x08\x08"
"""By the router that tests/support/mallory plays."""
LIMITS: dict[str, tuple[object, ...]] = {
    "receive_buffer": (200, 3000, 64 << 10),
    "send_buffer": (100, 3000, 64 << 10),
    "max_segment": (None, 88, 536),
    "min_snd_mss": (1, 48, 536),
    "initial_window": (1, 10),
    "out_of_order_ranges": (1, 3, 256),
    "sack_ranges": (1, 2, 512),
    "min_path_mtu": (68, 552),
    "fast_open_cache": (0, 1024),
    "max_paths": (1, 1024),
    "keepalive_time": (5 * SECOND, 7200 * SECOND),
}
"""Small ones too, and none that ends a connection."""
SIZES = (0, 1, 300, 4000, 20_000)
FIXED: dict[str, object] = {"keepalive_intvl": 30 * SECOND, "uto_lower": 100 * SECOND, "uto_upper": 400 * SECOND}


class End:
    """A program: writes its text in pieces, some of them urgent, ends; reads whatever comes, and closes once it has all."""

    def __init__(self, sock: VirtualSocket, text: bytes, pick: random.Random, *, hasty: bool) -> None:
        self.sock = sock
        self.text = memoryview(text)
        self.pick = pick
        self.received = bytearray()
        self.eof = self.shut = self.closed = False
        self.greed = pick.choice((0.1, 0.6, 1.0))
        self.hasty = hasty

    def act(self) -> None:
        if self.closed:
            return
        for step in (self.write, self.read):
            with contextlib.suppress(BlockingIOError):
                step()
        if self.done and (self.hasty or not self.sock.queued()[1]):
            self.sock.close()
            self.closed = True

    @property
    def done(self) -> bool:
        """Everything is written and read."""
        return self.eof and self.shut

    def write(self) -> None:
        if self.sock.state in (State.SYN_SENT, State.CLOSED):
            return
        while self.text:
            piece = self.text[: self.pick.choice((1, 100, 3000))]
            self.text = self.text[self.sock.send(piece, self.pick.choice((0, 0, 0, socket.MSG_OOB, socket.MSG_MORE))) :]
        if not self.shut:
            self.sock.shutdown(socket.SHUT_WR)
            self.shut = True

    def read(self) -> None:
        while not self.eof and self.pick.random() < self.greed:
            data = self.sock.recv(self.pick.choice((1, 100, 5000)))
            self.received += data
            self.eof = not data


class Pair:
    """Both hosts and the path between them, all from one seed."""

    def __init__(self, net: Net, seed: int) -> None:
        self.net = net
        self.pick = pick = random.Random(f"pair {seed}")
        least, self.header = (256, 20) if net.family == socket.AF_INET else (1280, 40)
        self.routed = net.family == socket.AF_INET and pick.random() < 0.15
        self.key = b"a key" if pick.random() < 0.3 else b""
        fixed = FIXED | ({"accept_source_route": True} if self.routed else {})
        self.client, self.server = (
            VirtualHost(
                [name + net.prefix[net.prefix.index("/") :]],
                pick.choice((least, max(least, 576), 1500, 1500, 9000)),
                draw_config(pick, FEATURES, LIMITS, fixed=fixed),
                seed=seed + index,
            )
            for index, name in enumerate((net.there, net.here))
        )
        self.mtus = {name: host._engine.core.transport.paths._link_mtu for name, host in self.hosts.items()}
        bad = pick.choice((0.0, 0.02, 0.08))
        self.hasty = bad < 0.05
        """Programs close before all is acknowledged: what nobody waits for is given up sooner."""
        self.impaired = Impaired(seed, loss=bad, duplicate=bad, corrupt=bad / 4, reorder=2 * bad)
        self.opening = True
        self.path = 65535
        """The MTU of the path, which may be smaller than both links'."""
        self.path_mtus = (least, max(least, 600), 1400, 65535)
        self.wire = VirtualNetwork(self.hosts, delay=pick.choice((1, 20, 200)) * MILLISECOND, fate=self._fate)

    @property
    def hosts(self) -> dict[str, VirtualHost]:
        return {self.net.there: self.client, self.net.here: self.server}

    def _fate(self, index: int, packet: bytes) -> list[tuple[int, bytes]]:
        four = packet[0] >> 4 == 4
        check_packet(packet, self.mtus[socket.inet_ntop(self.net.family, packet[12:16] if four else packet[8:24])])
        if len(packet) > self.path and (not four or packet[6] & 0x40):
            return [(0, too_big(packet, self.path))]
        if self.opening and self.server._engine.core.config.syncookies == 2:
            # RFC 4987 3.6: who keeps nothing needs the segment behind the SYN, and resets where a later one comes before it.
            return [(0, forward(packet))]
        return self.impaired(index, forward(packet))

    def _socket(self, host: VirtualHost, other: str) -> VirtualSocket:
        sock = host.socket(self.net.family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, self.pick.randrange(2))
        if self.pick.random() < 0.3:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 600_000)
        if self.key:
            set_key(sock, other, self.key)
        return sock

    def transfer(self) -> None:
        """One connection from its first SYN to the end, with a listener of its own."""
        pick, net = self.pick, self.net
        listener = self._socket(self.server, net.there)
        listener.bind((net.here, PORT))
        listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 5)
        listener.listen(5)
        texts = [random.Random(f"text {pick.random()}").randbytes(pick.choice(SIZES)) for _ in range(2)]
        client = self._socket(self.client, net.here)
        if self.routed and pick.random() < 0.7:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, ROUTE)
        self.opening = True
        ends = [End(client, texts[0][self._open(client, texts[0]) :], pick, hasty=self.hasty)]
        for _ in self._moments():
            for end in ends:
                end.act()
            if len(ends) == 1:
                try:
                    ends.append(End(listener.accept()[0], texts[1], pick, hasty=self.hasty))
                    self.opening = False
                except BlockingIOError:
                    continue
            if len(ends) == 2 and all(end.closed for end in ends):
                break
            if pick.random() < 0.02:
                self.path = pick.choice(self.path_mtus)
        assert [bytes(end.received) for end in ends] == [texts[1], texts[0]]
        listener.close()
        self.wire.run_for(2000 * SECOND)
        assert [end.sock.state for end in ends] == [State.CLOSED, State.CLOSED]
        for host in self.hosts.values():
            check_nothing_left(host)

    def _moments(self) -> Iterator[None]:
        """Virtual time, in small steps, up to a limit."""
        for step in range(20_000):
            self.wire.run_for(self.pick.choice((5, 100, 1000)) * MILLISECOND)
            self.wire.log.clear()
            if step % 20 == 0:
                for host in self.hosts.values():
                    check_bounds(host)
            yield
        raise TimeoutError(f"it does not end: {self.client.connections()} {self.server.connections()}")

    def _open(self, sock: VirtualSocket, text: bytes) -> int:
        """Begin to connect in one of three ways; how much of the text is the stack's already."""
        address = (self.net.here, PORT)
        how = self.pick.randrange(3 if text else 1)
        with contextlib.suppress(BlockingIOError):
            if how == 1 and self.client._engine.core.config.fast_open & FAST_OPEN_CLIENT:
                return sock.sendto(text, MSG_FASTOPEN, address)
            if how == 2 and self.client._engine.core.config.fast_open & FAST_OPEN_CLIENT:
                sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
            sock.connect_ex(address)
            return sock.send(text) if how == 2 else 0
        return 0


def run(net: Net, seed: int) -> None:
    """Three connections, one after the other: the later ones know cookies and path MTUs."""
    pair = Pair(net, seed)
    for _ in range(3):
        pair.transfer()


@pytest.mark.parametrize("seed", range(10))
def test_the_same_bytes_arrive_and_both_ends_close(net: Net, seed: int) -> None:
    run(net, seed)


@pytest.mark.once
@pytest.mark.parametrize("first", range(100, 160, 20))
def test_more_pairs(net: Net, first: int) -> None:
    for seed in range(first, first + 20):
        run(net, seed)
