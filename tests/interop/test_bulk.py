"""A hundred mebibytes each way at once between ``userstack nc`` and the kernel's ``nc``, from just below the wrap of SEQ on."""

from pathlib import Path

import pytest

from tests.interop.netcat import KERNEL, OURS, netcats
from tests.interop.tshark import read_capture
from tests.interop.world import kernel_alone

MEBIBYTE = 1 << 20
SIZE = 100 * MEBIBYTE
MSS = 1460
ISN = 2**32 - 1000
MEMORY = 200 * MEBIBYTE


@pytest.mark.parametrize(("device", "we_listen"), [("tun", True), ("veth", False)])
def test_a_hundred_mebibytes_each_way_at_once(device: str, we_listen: bool, tmp_path: Path) -> None:
    capture = tmp_path / "bulk.pcapng"
    options = ("--device", device, "--isn", str(ISN), "--pcap", str(capture))
    with kernel_alone() as kernel, netcats(kernel, SIZE, *options, we_listen=we_listen) as pair:
        pair.wait_until_through()
        peak = pair.ours.peak_memory
        pair.release.set()
        assert pair.ours.finish() == (0, "")
        assert pair.kernel.finish() == (0, "")
        assert pair.ours.received.result() == pair.kernel.sent.result()
        assert pair.kernel.received.result() == pair.ours.sent.result()
        assert peak < MEMORY, f"{peak} bytes"
    reading = read_capture(capture, own=OURS)
    assert reading.complaints == []
    assert reading.syns[OURS] == [ISN]
    assert reading.lowest[OURS] < ISN
    assert reading.sent[OURS] >= SIZE // MSS
    assert reading.sent[KERNEL] > 1000
