"""Header prediction takes the same traffic as the long way, and all is the same after it: states, counters, what is sent, when."""

import hashlib
import random
from contextlib import suppress
from dataclasses import replace
from typing import cast

import pytest

from tests.sim.nets import Net
from tests.support.dump import dump_host
from tests.support.virtual import Impaired, VirtualNetwork
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.net.host import Host
from userstack.sim import VirtualHost, VirtualSocket
from userstack.wire.codec import Codec
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import TcpSegment


class CountingCodec:
    """Stands before the codec of a host, and counts the segments that go the long way."""

    def __init__(self, host: Host) -> None:
        self.counters = host.counters
        self.codec = host.codec
        self.decoded = 0
        host.codec = cast("Codec", self)

    def decode_tcp(self, packet: IPPacket, *, verify: bool = True) -> TcpSegment:
        self.decoded += 1
        return self.codec.decode_tcp(packet, verify=verify)

    def __getattr__(self, name: str) -> object:
        return getattr(self.codec, name)

    @property
    def predicted(self) -> int:
        return self.counters["TcpInSegs"] - self.decoded


def forget_fast_path(host: VirtualHost) -> None:
    host._engine.core._fast_path = None


class Watched(VirtualNetwork):
    """Notes what both hosts are after each event."""

    def watch(self) -> None:
        self.digest = hashlib.sha256()

    def _step(self, moment: int) -> None:
        super()._step(moment)
        for host in self._hosts:
            self.digest.update(repr(dump_host(host)).encode())
        for sent, packet in self.log:
            self.digest.update(sent.to_bytes(8, "big") + packet)


def transfer(net: Net, seed: int, config: StackConfig, *, fast: bool) -> tuple[str, int]:
    """Texts both ways over a link that may be bad; a digest of all that either end ever was, and how much was predicted."""
    pick = random.Random(f"prediction {seed}")
    suffix = net.prefix[net.prefix.index("/") :]
    hosts = {
        name: VirtualHost([name + suffix], 1500, config, seed=seed + index) for index, name in enumerate((net.there, net.here))
    }
    counting = [CountingCodec(host._engine.core) for host in hosts.values()]
    if not fast:
        for host in hosts.values():
            forget_fast_path(host)
    bad = pick.choice((0.0, 0.0, 0.01))
    wire = Watched(
        hosts, delay=pick.choice((0, 1, 20)) * MILLISECOND, fate=Impaired(seed, loss=bad, duplicate=bad, corrupt=bad, reorder=bad)
    )
    wire.watch()
    listener = hosts[net.here].socket(net.family)
    listener.bind((net.here, 80))
    listener.listen(1)
    client = hosts[net.there].socket(net.family)
    client.connect_ex((net.here, 80))
    wire.run_for(5 * SECOND)
    server = listener.accept()[0]
    rest = {client: pick.randbytes(30_000), server: pick.randbytes(pick.choice((0, 500, 30_000)))}
    sent = rest[client] + rest[server]
    got: dict[VirtualSocket, bytes] = {client: b"", server: b""}
    while len(got[server]) + len(got[client]) < len(sent):
        for sock in (client, server):
            with suppress(BlockingIOError):
                rest[sock] = rest[sock][sock.send(rest[sock][: pick.choice((1, 700, 9000, 40_000))]) :] if rest[sock] else b""
            with suppress(BlockingIOError):
                got[sock] += sock.recv(pick.choice((1, 5000, 70_000)))
        wire.run_for(pick.choice((0, 1, 5, 50)) * MILLISECOND)
    assert got[server] + got[client] == sent
    for sock in (client, server):
        sock.close()
    wire.run_for(200 * SECOND)
    return wire.digest.hexdigest(), sum(end.predicted for end in counting)


CONFIGS = {
    "default": StackConfig(),
    "without options": StackConfig(timestamps=False, sack=False, window_scaling=False),
    "NewReno": StackConfig(sack=False),
    "RACK": StackConfig(rack=True),
    "Linux": StackConfig.linux(),
    "FreeBSD": StackConfig.freebsd(),
    "ECN": StackConfig(ecn=1),
    "small buffers": StackConfig(receive_buffer=3000, send_buffer=4000),
    "user timeout": StackConfig(uto=True),
    "keep-alive": StackConfig(keepalive=True, keepalive_time=1 * SECOND, keepalive_intvl=1 * SECOND),
    "offload": StackConfig(offload=True),
    "offload, RACK": replace(StackConfig.linux(), offload=True),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_predicted_ends_as_on_the_long_way(net: Net, name: str) -> None:
    predicted = 0
    for seed in range(2):
        fast, taken = transfer(net, seed, CONFIGS[name], fast=True)
        predicted += taken
        assert transfer(net, seed, CONFIGS[name], fast=False) == (fast, 0), f"seed {seed}"
    assert predicted > 0 or name in ("ECN", "user timeout")
