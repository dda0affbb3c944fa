"""Many mebibytes each way at once between ``userstack nc`` and the kernel's ``nc``, from just below the wrap of SEQ on."""

from pathlib import Path

import pytest

from tests.interop.families import IPV4, IPV6, Family
from tests.interop.netcat import netcats
from tests.interop.tshark import read_capture
from tests.interop.world import kernel_alone
from userstack.wire.offload import LARGEST_PACKET

MEBIBYTE = 1 << 20
ISN = 2**32 - 1000
MEMORY = 200 * MEBIBYTE


RUNS = [("tun", IPV4, True, 100), ("veth", IPV6, False, 100), ("veth", IPV4, True, 25), ("tun", IPV6, False, 25)]


@pytest.mark.early
@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("device", "family", "we_listen", "mebibytes"), RUNS, ids=str)
def test_many_mebibytes_each_way_at_once(device: str, family: Family, we_listen: bool, mebibytes: int, tmp_path: Path) -> None:
    size = mebibytes * MEBIBYTE
    capture = tmp_path / "bulk.pcapng"
    options = ("--device", device, "--isn", str(ISN), "--pcap", str(capture))
    with kernel_alone() as kernel, netcats(kernel, size, *options, family=family, we_listen=we_listen) as pair:
        pair.wait_until_through()
        peak = pair.ours.peak_memory
        pair.release.set()
        assert pair.ours.finish() == (0, "")
        assert pair.kernel.finish() == (0, "")
        assert pair.ours.received.result() == pair.kernel.sent.result()
        assert pair.kernel.received.result() == pair.ours.sent.result()
        assert peak < MEMORY, f"{peak} bytes"
    ours = family.netcat_ours
    reading = read_capture(capture, own=[ours])
    assert reading.complaints == []
    assert reading.syns[ours] == [ISN]
    assert reading.lowest[ours] < ISN
    assert reading.sent[ours] >= size // LARGEST_PACKET
    assert reading.sent[family.netcat_kernel] > 100
