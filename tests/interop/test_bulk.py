"""A hundred mebibytes each way at once between ``userstack nc`` and the kernel's ``nc``, from just below the wrap of SEQ on."""

from pathlib import Path

import pytest

from tests.interop.families import IPV4, IPV6, Family
from tests.interop.netcat import netcats
from tests.interop.tshark import read_capture
from tests.interop.world import kernel_alone

MEBIBYTE = 1 << 20
SIZE = 100 * MEBIBYTE
ISN = 2**32 - 1000
MEMORY = 200 * MEBIBYTE


RUNS = [("tun", IPV4, True), ("veth", IPV6, False), ("veth", IPV4, False), ("tun", IPV6, True)]


@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("device", "family", "we_listen"), RUNS, ids=str)
def test_a_hundred_mebibytes_each_way_at_once(device: str, family: Family, we_listen: bool, tmp_path: Path) -> None:
    capture = tmp_path / "bulk.pcapng"
    options = ("--device", device, "--isn", str(ISN), "--pcap", str(capture))
    with kernel_alone() as kernel, netcats(kernel, SIZE, *options, family=family, we_listen=we_listen) as pair:
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
    assert reading.sent[ours] >= SIZE // family.mss
    assert reading.sent[family.netcat_kernel] > 1000
