"""The training of the compiled build goes the ways that it is there for, to the end."""

import asyncio

import pytest

from userstack.bench import training
from userstack.bench.training import OffloadingDevice
from userstack.packetio.memory import MemoryDevice
from userstack.wire.offload import Outbound

pytestmark = pytest.mark.once


class Measuring(OffloadingDevice):
    """Notes the longest packet that it takes in."""

    longest = 0

    def read(self) -> tuple[bytes, bool] | None:
        arrived = super().read()
        if arrived is not None:
            Measuring.longest = max(Measuring.longest, len(arrived[0]))
        return arrived


class Counting(MemoryDevice):
    """Counts what it sends."""

    sent = 0

    def _put(self, packet: Outbound) -> None:
        Counting.sent += 1
        super()._put(packet)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "CONNECTIONS", 8)
    monkeypatch.setattr(training, "AT_ONCE", 4)
    monkeypatch.setattr(training, "ROUND_TRIPS", 10)
    monkeypatch.setattr(training, "BULK", 2 << 20)


@pytest.mark.parametrize("addresses", training.ADDRESSES)
def test_super_segments_pass_whole_where_the_device_takes_them(addresses: tuple[str, str]) -> None:
    asyncio.run(training.train(addresses, Measuring))
    assert Measuring.longest > 32 << 10


@pytest.mark.parametrize("addresses", training.ADDRESSES)
def test_and_are_cut_where_it_does_not(addresses: tuple[str, str]) -> None:
    asyncio.run(training.train(addresses, Counting))
    assert Counting.sent > (4 << 20) / 1460


def test_all_of_it_runs() -> None:
    asyncio.run(training.main())
