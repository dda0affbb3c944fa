import gc
from collections.abc import Iterator
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.sendrecv import sniff

from tests.support.netns import kernel_namespace, nothing_left_behind
from userstack.config import MILLISECOND, SECOND
from userstack.errors import InvalidArgument
from userstack.packetio.impaired import RETRY, ImpairedDevice
from userstack.packetio.impairment import Impairment
from userstack.packetio.memory import MemoryDevice, memory_pair
from userstack.packetio.wrapped import WrappedDevice

HOUR = 3600 * SECOND


class StoppedClock:
    """A time that moves when the test says so."""

    def __init__(self) -> None:
        self.time = 1000

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def far() -> Iterator[tuple[MemoryDevice, MemoryDevice]]:
    with nothing_left_behind():
        near, far = memory_pair(queue=16384)
        with near, far:
            yield near, far


Pair = tuple[MemoryDevice, MemoryDevice]


def read_all(device: MemoryDevice | ImpairedDevice) -> list[bytes]:
    found = []
    while (arrived := device.read()) is not None:
        found.append(arrived[0])
    return found


def test_good_link_is_a_plain_wire(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    with ImpairedDevice(near, Impairment(), clock) as device:
        assert (device.name, device.level, device.mtu, device.fileno()) == (near.name, 3, 1500, near.fileno())
        assert device.write(b"out")
        other.write(b"in")
        assert read_all(other) == [b"out"]
        assert device.read() == (b"in", False)
        assert device.next_deadline(clock()) is None
    assert near.closed


def test_outgoing_packet_leaves_when_its_delay_is_over(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    device = ImpairedDevice(near, Impairment(delay=50 * MILLISECOND), clock, inbound=Impairment())
    with device:
        device.write(b"out")
        deadline = device.next_deadline(clock())
        assert deadline == clock() + 50 * MILLISECOND
        clock.time = deadline - 1
        assert device.read() is None
        assert read_all(other) == []
        clock.time = deadline
        assert device.read() is None
        assert read_all(other) == [b"out"]
        assert device.next_deadline(clock()) is None


def test_incoming_packet_is_read_when_its_delay_is_over(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    device = ImpairedDevice(near, Impairment(), clock, inbound=Impairment(delay=50 * MILLISECOND))
    with device:
        other.write(b"in")
        assert device.read() is None
        deadline = device.next_deadline(clock())
        assert deadline == clock() + 50 * MILLISECOND
        clock.time = deadline - 1
        assert device.read() is None
        clock.time = deadline
        assert device.read() == (b"in", False)
        assert device.next_deadline(clock()) is None


def test_packets_that_are_due_but_not_read_are_due_now(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    with ImpairedDevice(near, Impairment(), clock) as device:
        other.write(b"1")
        other.write(b"2")
        assert device.read() == (b"1", False)
        assert device.next_deadline(clock()) == clock()
        assert device.read() == (b"2", False)
        assert device.next_deadline(clock()) is None


def test_full_inner_device_is_full_and_tried_again(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    with ImpairedDevice(near, Impairment(), clock) as device:
        taken = 0
        while device.write(bytes([taken % 256]) * 1000):
            taken += 1
            assert taken < 1000
        assert device.next_deadline(clock()) == clock() + RETRY
        arrived = read_all(other)
        assert device.read() is None
        arrived += read_all(other)
        assert device.next_deadline(clock()) is None
        assert arrived == [bytes([number % 256]) * 1000 for number in range(taken)]
        assert device.write(b"again")


def test_directions_have_chance_of_their_own(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    impairment = Impairment(loss=0.5, seed=3)
    with ImpairedDevice(near, impairment, clock) as device:
        out, back = [], []
        for number in range(64):
            device.write(bytes([number]))
            other.write(bytes([number]))
            out += read_all(other)
            back += read_all(device)
        assert out != back
        assert 10 < len(out) < 54
        assert 10 < len(back) < 54
        assert device.outbound.counters["lost"] == 64 - len(out)
        assert device.inbound.counters["lost"] == 64 - len(back)


def test_one_direction_may_be_good(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    with ImpairedDevice(near, Impairment(loss=1.0), clock, inbound=Impairment()) as device:
        device.write(b"out")
        other.write(b"in")
        assert read_all(other) == []
        assert read_all(device) == [b"in"]


class Vouching(WrappedDevice):
    """A device that vouches for everything."""

    def read(self) -> tuple[bytes, bool] | None:
        arrived = self.inner.read()
        return None if arrived is None else (bytes(arrived[0]), True)


@pytest.mark.parametrize(("corrupt", "vouched"), [(0.0, True), (1.0, False)])
def test_corrupted_packet_is_not_vouched_for(far: Pair, clock: StoppedClock, corrupt: float, vouched: bool) -> None:
    near, other = far
    with ImpairedDevice(Vouching(near), Impairment(corrupt=corrupt), clock) as device:
        other.write(b"in")
        arrived = device.read()
        assert arrived is not None
        assert arrived[1] == vouched
        assert (arrived[0] == b"in") == vouched


def test_scapy_waits_for_a_delayed_packet() -> None:
    near, other = memory_pair()
    with other, ImpairedDevice(near, Impairment(delay=20 * MILLISECOND)) as device:
        ping = IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / b"hello"
        other.send(ping)
        assert [bytes(packet) for packet in sniff(opened_socket=device, count=1, timeout=10)] == [bytes(ping)]
        device.send(ping)
        device.sniff(timeout=0.05)
        assert other.recv() is not None


def test_kernel_is_pinged_over_a_bad_link() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.keep(ImpairedDevice(kernel.tun(), Impairment(delay=5 * MILLISECOND, jitter=5 * MILLISECOND, duplicate=1.0)))
        device.send(IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=77) / b"hello")
        replies = sniff(opened_socket=device, lfilter=lambda packet: ICMP in packet, count=4, timeout=10)
        assert [packet[ICMP].type for packet in replies] == [0, 0, 0, 0]


def test_deadline_of_the_inner_device_counts(far: Pair, clock: StoppedClock) -> None:
    near, other = far
    inner = ImpairedDevice(near, Impairment(delay=HOUR), clock)
    with ImpairedDevice(inner, Impairment(), clock) as device:
        device.write(b"out")
        assert device.next_deadline(clock()) == clock() + HOUR
        clock.time += HOUR
        device.read()
        assert read_all(other) == [b"out"]


@pytest.mark.parametrize("given", [{"impairment": {"loss": 0.5}}, {"impairment": Impairment(), "inbound": {}}])
def test_device_stays_the_callers_when_the_impairment_is_none(far: Pair, given: Any) -> None:
    near, other = far
    with pytest.raises(InvalidArgument, match=r"an impairment is told by .*, not by \{"):
        ImpairedDevice(near, **given)
    gc.collect()
    assert not near.closed
    assert near.write(b"alive")
    assert read_all(other) == [b"alive"]
