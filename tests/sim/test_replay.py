"""The same seed and the same calls give the same bytes; another seed gives others."""

import hashlib

from tests.sim.nets import Net
from tests.support.virtual import Impaired, VirtualNetwork
from userstack.config import SECOND
from userstack.sim import VirtualHost, VirtualSocket
from userstack.sim.virtual_host import Row

CLIENTS = 12
SIZE = 40_000


def scenario(net: Net, seed: int, wire: int = 7) -> tuple[str, list[Row], dict[str, int]]:
    """Many connections over a bad link, each echoing, then the long silence; a digest of all that was sent and when."""
    client = VirtualHost([net.prefix], seed=seed)
    server = VirtualHost([f"{net.there}/64" if ":" in net.there else f"{net.there}/16"], seed=seed + 1)
    fate = Impaired(wire, loss=0.05, duplicate=0.05, corrupt=0.02, reorder=0.1)
    network = VirtualNetwork({net.here: client, net.there: server}, fate=fate)
    listener = server.socket(net.family)
    listener.bind((net.there, 7))
    listener.listen(CLIENTS)
    talks = [Talk(client.socket(net.family), net.there, bytes([index]) * SIZE) for index in range(CLIENTS)]
    echoes: list[Echo] = []

    def done() -> bool:
        echoes.extend(accepted(listener))
        for talk in talks:
            talk.act()
        for echo in echoes:
            echo.act()
        return all(talk.done for talk in talks)

    network.run_until(done, limit=600 * SECOND)
    middle = client.connections()
    network.run_for(1000 * SECOND)
    assert client.connections() == []
    text = "\n".join(f"{when} {packet.hex()}" for when, packet in network.log)
    return hashlib.sha256(text.encode()).hexdigest(), middle, client.counters.snapshot()


def accepted(listener: VirtualSocket) -> "list[Echo]":
    try:
        return [Echo(listener.accept()[0])]
    except BlockingIOError:
        return []


class Talk:
    """Sends its data, reads it back, closes."""

    def __init__(self, s: VirtualSocket, server: str, data: bytes) -> None:
        self.socket = s
        self.unsent = memoryview(data)
        self.data = data
        self.received = bytearray()
        self.done = False
        s.connect_ex((server, 7))

    def act(self) -> None:
        if self.done:
            return
        try:
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            pass
        try:
            while len(self.received) < len(self.data):
                self.received += self.socket.recv(5000)
        except BlockingIOError:
            return
        assert self.received == self.data
        self.socket.close()
        self.done = True


class Echo:
    """Sends back what comes, closes when the peer has."""

    def __init__(self, s: VirtualSocket) -> None:
        self.socket = s
        self.waiting = b""
        self.done = False

    def act(self) -> None:
        try:
            while not self.done:
                if not self.waiting:
                    self.waiting = self.socket.recv(3000)
                    self.done = not self.waiting
                if self.waiting:
                    self.waiting = self.waiting[self.socket.send(self.waiting) :]
            self.socket.close()
        except BlockingIOError:
            return


def test_the_same_seed_replays_to_the_byte(net: Net) -> None:
    assert scenario(net, 1) == scenario(net, 1)


def test_another_seed_sends_other_bytes(net: Net) -> None:
    first, second = (VirtualHost([net.prefix], seed=seed) for seed in (1, 2))
    for host in (first, second):
        host.socket(net.family).connect_ex((net.there, 7))
    assert first.take() != second.take()


def test_negative_seeds_are_seeds_of_their_own(net: Net) -> None:
    first, second = (VirtualHost([net.prefix], seed=seed) for seed in (3, -3))
    for host in (first, second):
        host.socket(net.family).connect_ex((net.there, 7))
    assert first.take() != second.take()
