"""What comes in a batch and is taken as one has the effect of its packets one by one: what is answered, read, counted."""

import random
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.sim.nets import Net
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualHost, VirtualSocket

pytestmark = pytest.mark.once

CONFIGS = {
    "default": StackConfig(),
    "without options": StackConfig(timestamps=False, sack=False, window_scaling=False),
    "RACK": StackConfig(rack=True),
    "Linux": StackConfig.linux(),
    "small buffers": StackConfig(receive_buffer=3000, send_buffer=4000),
    "offload": StackConfig(offload=True),
    "offload, Linux": replace(StackConfig.linux(), offload=True),
}


class Twins:
    """A server twice: the same packets come to both, to the second in batches."""

    def __init__(self, net: Net, config: StackConfig, seed: int) -> None:
        suffix = net.prefix[net.prefix.index("/") :]
        self.client = VirtualHost([net.there + suffix], 1500, config, seed=seed)
        self.servers = [VirtualHost([net.here + suffix], 1500, config, seed=seed + 1) for _ in range(2)]
        self.pick = random.Random(f"gro {seed}")
        self.vouched = config.offload
        self.bundled = 0
        listeners = [host.socket(net.family) for host in self.servers]
        for listener in listeners:
            listener.bind((net.here, 80))
            listener.listen(1)
        self.ours = self.client.socket(net.family)
        self.ours.connect_ex((net.here, 80))
        for _ in range(4):
            self.pass_on(0.0)
        self.theirs = [listener.accept()[0] for listener in listeners]

    def pass_on(self, bad: float) -> None:
        """All that was sent arrives 1 ms later, the servers' answers another one."""
        batch = [packet for _, packet in self.client.take()]
        for host in (self.client, *self.servers):
            host.run(host.now + MILLISECOND)
        for packet in list(batch):
            if self.pick.random() < bad:
                self.spoil(batch, packet)
        for host, more in zip(self.servers, (False, True), strict=True):
            core, taken = host._engine.core, 0
            for packet in batch:
                before = host.counters["TcpInSegs"]
                core.deliver(packet, now=host.now, checksum_ok=self.vouched, more=more)
                taken += host.counters["TcpInSegs"] == before
            if more:
                core.settle(now=host.now)
                self.bundled += taken
            host._engine.flush()
        one, other = (host.take() for host in self.servers)
        assert one == other
        for host in (self.client, *self.servers):
            host.run(host.now + MILLISECOND)
        for _, packet in one:
            self.client.deliver(packet)

    def spoil(self, batch: list[bytes], packet: bytes) -> None:
        at = batch.index(packet)
        match self.pick.randrange(4):
            case 0:
                del batch[at]
            case 1:
                batch.insert(self.pick.randrange(len(batch) + 1), packet)
            case 2:
                batch.append(batch.pop(at))
            case _ if not self.vouched:
                place = self.pick.randrange(len(packet))
                batch[at] = packet[:place] + bytes([packet[place] ^ 1 << self.pick.randrange(8)]) + packet[place + 1 :]


@pytest.mark.parametrize("bad", [0.0, 0.02])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_has_the_effect_of_its_packets(net: Net, name: str, bad: float) -> None:
    twins = Twins(net, CONFIGS[name], 1)
    pick = random.Random(f"batch {name}")
    most = 400_000 if twins.vouched else 100_000
    rest = [pick.randbytes(most)]
    rest += [pick.randbytes(60_000)] * 2
    got = [b"", b"", b""]
    ends: list[VirtualSocket] = [twins.ours, *twins.theirs]
    for _ in range(600):
        size, room = pick.choice((1, 700, 9000, 40_000)), pick.choice((1000, 100_000))
        for index, end in enumerate(ends):
            with suppress(BlockingIOError):
                if rest[index]:
                    rest[index] = rest[index][end.send(rest[index][:size]) :]
            with suppress(BlockingIOError):
                limit = len(got[index]) + room
                while len(got[index]) < limit:
                    got[index] += end.recv(limit - len(got[index]))
        assert got[1] == got[2]
        twins.pass_on(bad)
        one, other = (host.counters.snapshot() for host in twins.servers)
        assert one == other
        if len(got[0]) == 60_000 and len(got[1]) == most:
            break
        if pick.random() < 0.05:
            for host in (twins.client, *twins.servers):
                host.run(host.now + SECOND)
    assert (len(got[0]), len(got[1])) == (60_000, most)
    assert twins.bundled > 0
