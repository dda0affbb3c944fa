"""Ten mebibytes each way at once through a link that loses, doubles, reorders and damages in both directions."""

import asyncio
from ipaddress import ip_interface
from pathlib import Path
from random import Random

import pytest

from tests.interop import netcat
from tests.interop.families import FAMILIES, IPV4, Family
from tests.interop.tshark import read_capture
from tests.interop.world import LIMIT, PORT, World, facing_kernel, kernel_alone, receive_all
from userstack import Connection, Impairment, StackConfig
from userstack.config import MILLISECOND
from userstack.host.addresses import list_addresses
from userstack.packetio.impaired import ImpairedDevice

MEBIBYTE = 1 << 20
SIZE = 10 * MEBIBYTE
SMALL = MEBIBYTE // 2
ISN = 2**32 - 1000
BAD = Impairment(loss=0.02, duplicate=0.02, reorder=0.05, corrupt=0.01, seed=2)
# Without SACK most of the time goes into waiting for retransmission time-outs, at both ends. Neither delays an ACK as long as this.
RTO_MIN = 50
CONFIG = StackConfig(rto_min=RTO_MIN * MILLISECOND, msl=500 * MILLISECOND)


@pytest.mark.early
@FAMILIES
@pytest.mark.parametrize("device", ["tun", "veth"])
@pytest.mark.asyncio
async def test_ten_mebibytes_each_way(device: str, family: Family, tmp_path: Path) -> None:
    ours_text, theirs_text = Random(1).randbytes(SIZE), Random(2).randbytes(SIZE)
    given, taken = tmp_path / "given", tmp_path / "taken"
    given.write_bytes(theirs_text)
    async with facing_kernel(device, tmp_path, family, impairment=BAD, config=CONFIG, isn=lambda local, remote, now: ISN) as world:
        await hurry(world)
        async with await world.stack.listen(PORT) as listener:
            with given.open("rb") as source, taken.open("wb") as sink:
                nc = world.kernel.popen(["nc", "-N", family.ours, str(PORT)], stdin=source, stdout=sink)
            async with await listener.accept() as connection:
                _, received = await asyncio.gather(send(connection, ours_text), receive_all(connection))
                _, complaint = await asyncio.to_thread(nc.communicate, timeout=LIMIT)
                await connection.wait_closed()
        assert (nc.returncode, complaint) == (0, b"")
        assert received == theirs_text
        assert taken.read_bytes() == ours_text
        info, counters, link = connection.info(), world.stack.counters, world.stack.device
        assert isinstance(link, ImpairedDevice)
        for direction in (link.inbound, link.outbound):
            for what in ("lost", "duplicated", "reordered", "corrupted"):
                assert direction.counters[what] > 10, what
        assert counters["TcpInCsumErrors"] > 10  # on veth one frame of the kernel may hold many segments
        assert counters["TcpRetransSegs"] > SIZE / family.mss / 100
        assert info.bytes_received == info.bytes_acked == SIZE
    # What the stack sent is captured before the link gets it; what it received has been damaged by then.
    assert world.reading is not None
    assert [complaint for complaint in world.reading.complaints if f" from {family.ours}: " in complaint] == []
    assert world.reading.complaints != []
    assert world.reading.sent[family.ours] > SIZE // family.mss
    assert world.reading.lowest[family.ours] < ISN == world.reading.syns[family.ours][0]


async def hurry(world: World) -> None:
    """Give the kernel's end the same floor; it is a matter of the route."""
    family = world.family
    own = f"{family.kernel}/{family.prefix}"
    device = next(entry.device for entry in list_addresses(namespace=world.kernel.name) if entry.address == own)
    words = ["src", family.kernel, "scope", "link"] if family is IPV4 else ["proto", "kernel", "metric", "256"]
    network = str(ip_interface(own).network)
    done = await world.run("ip", "route", "replace", network, "dev", device, *words, "rto_min", f"{RTO_MIN}ms")
    assert done.code == 0, done.complaint


async def send(connection: Connection, text: bytes) -> None:
    await connection.send(text)
    await connection.shutdown()


@FAMILIES
def test_netcat_on_a_bad_link(family: Family, tmp_path: Path) -> None:
    capture = tmp_path / "nc.pcapng"
    link = ("--loss", "0.02", "--duplicate", "0.02", "--reorder", "0.05", "--corrupt", "0.01", "--seed", "3")
    options = (*link, "--isn", str(ISN), "--pcap", str(capture))
    with kernel_alone() as kernel, netcat.netcats(kernel, SMALL, *options, family=family, we_listen=False) as pair:
        pair.wait_until_through()
        counters = pair.ours.ask("counters")
        pair.release.set()
        assert pair.ours.finish() == (0, "")
        assert pair.kernel.finish() == (0, "")
        assert pair.ours.received.result() == pair.kernel.sent.result()
        assert pair.kernel.received.result() == pair.ours.sent.result()
        assert counters["TcpRetransSegs"] > 0
        assert counters["TcpInCsumErrors"] > 0
    ours, theirs = family.netcat_ours, family.netcat_kernel
    reading = read_capture(capture, own=[ours])
    assert [complaint for complaint in reading.complaints if f" from {ours}: " in complaint] == []
    assert set(reading.syns[ours]) == {ISN}
    assert reading.sent[ours] > SMALL // family.mss
    assert reading.sent[theirs] > SMALL // family.mss // 2
