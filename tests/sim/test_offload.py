"""The same goes over the wire whether TCP makes each segment, or super-segments that the host cuts, or that the device cuts."""

import random
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.sim.nets import Net
from tests.support.tso import is_super
from tests.support.virtual import VirtualNetwork
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualHost, VirtualSocket
from userstack.tcp import train

pytestmark = pytest.mark.once

CONFIGS = {
    "default": StackConfig(send_buffer=1 << 20, receive_buffer=1 << 20),
    "without options": StackConfig(timestamps=False, sack=False, window_scaling=False),
    "Linux": StackConfig.linux(),
    "small peer window": StackConfig(receive_buffer=7000),
    "small segments": StackConfig(max_segment=100),
}


class Taped(VirtualNetwork):
    """Counts what left as more than one segment."""

    supers = 0

    def _collect(self) -> None:
        for host in self._hosts:
            engine = host._engine
            self.supers += sum(is_super(packet) for _, packet in engine._sent)
        super()._collect()


def conversation(net: Net, config: StackConfig, seed: int, mtu: int) -> tuple[list[tuple[int, bytes]], int]:
    """A text each way, written and read in pieces, and what the wire saw of it."""
    pick = random.Random(f"offload {seed}")
    suffix = net.prefix[net.prefix.index("/") :]
    hosts = {name: VirtualHost([name + suffix], mtu, config, seed=index) for index, name in enumerate((net.there, net.here))}
    wire = Taped(hosts, delay=10 * MILLISECOND)
    listener = hosts[net.here].socket(net.family)
    listener.bind((net.here, 80))
    listener.listen(1)
    client = hosts[net.there].socket(net.family)
    client.connect_ex((net.here, 80))
    wire.run_for(1 * SECOND)
    server = listener.accept()[0]
    rest: dict[VirtualSocket, bytes] = {client: pick.randbytes(200_000), server: pick.randbytes(pick.choice((0, 30_000)))}
    ends = set()
    sizes = [pick.choice((1, 1448, 5000, 60_000)) for _ in range(40)]
    for turn in range(2000):
        for sock in (client, server):
            with suppress(BlockingIOError):
                if rest[sock]:
                    rest[sock] = rest[sock][sock.send(rest[sock][: sizes[turn % len(sizes)]]) :]
                elif sock not in ends:
                    ends.add(sock)
                    sock.shutdown(1)
            with suppress(BlockingIOError):
                while sock.recv(1 << 20):
                    pass
        wire.run_for(15 * MILLISECOND)
        if len(ends) == 2:
            break
    wire.run_for(5 * SECOND)
    return wire.log, wire.supers


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("mtu", [1500, 9000])
def test_the_wire_sees_the_same_packets(net: Net, name: str, mtu: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte; a device counts the identification of IPv4 on by itself (RFC 6864)."""
    cut, none = conversation(net, CONFIGS[name], 1, mtu)
    offloaded, supers = conversation(net, replace(CONFIGS[name], offload=True), 1, mtu)
    monkeypatch.setattr(train, "count", lambda *_: 1)
    plain, _ = conversation(net, CONFIGS[name], 1, mtu)
    assert none == 0
    assert supers > 0 or CONFIGS[name].receive_buffer < mtu
    assert cut == plain
    assert [without_identification(packet) for _, packet in offloaded] == [without_identification(packet) for _, packet in plain]
    assert [time for time, _ in offloaded] == [time for time, _ in plain]


def without_identification(packet: bytes) -> bytes:
    """IPv4: without the field and the checksum that covers it."""
    return packet if packet[0] >> 4 == 6 else packet[:4] + packet[6:10] + packet[12:]
