import asyncio
import os
import select
import subprocess
import sys

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.sendrecv import sniff

from tests.support.confined import without_capabilities
from tests.support.netns import nothing_left_behind
from userstack.packetio.memory import MemoryDevice, memory_pair


def readable(device: MemoryDevice) -> bool:
    return bool(select.select([device], [], [], 0)[0])


def writable(device: MemoryDevice) -> bool:
    return bool(select.select([], [device], [], 0)[1])


def test_packets_cross_whole_in_order_and_both_ways() -> None:
    with nothing_left_behind():
        first, second = memory_pair()
        with first, second:
            packets = [os.urandom(size) for size in (1, 40, 1500, 65535)]
            for packet in packets:
                assert first.write(packet)
                assert second.write(packet[::-1])
            assert [second.read() for _ in packets] == [(packet, False) for packet in packets]
            assert [first.read() for _ in packets] == [(packet[::-1], False) for packet in packets]
            assert first.read() is None
            assert (first.counters["tx_packets"], first.counters["rx_packets"]) == (4, 4)


def test_descriptor_is_readable_exactly_when_a_packet_is_there() -> None:
    first, second = memory_pair()
    with first, second:
        assert not readable(second)
        first.write(b"1")
        first.write(b"2")
        second.read()
        assert readable(second)
        second.read()
        assert not readable(second)
        assert not readable(first)


def test_full_pair_refuses_until_the_other_end_reads() -> None:
    first, second = memory_pair(queue=16384)
    with first, second:
        taken = 0
        while first.write(bytes(1000)):
            taken += 1
            assert taken < 1000
        assert taken > 4
        assert not writable(first)
        assert writable(second)
        while second.read() is not None:
            pass
        assert writable(first)
        assert first.write(bytes(1000))
        assert first.counters["tx_packets"] == taken + 1
        assert first.counters["tx_dropped"] == 0


@pytest.mark.asyncio
async def test_loop_hears_of_packets_and_of_room() -> None:
    first, second = memory_pair(queue=16384)
    with first, second:
        loop = asyncio.get_running_loop()
        room, heard = asyncio.Event(), asyncio.Event()
        while first.write(bytes(1000)):
            pass
        loop.add_writer(first.fileno(), room.set)
        loop.add_reader(second.fileno(), heard.set)
        await asyncio.wait_for(heard.wait(), 10)
        assert not room.is_set()
        while second.read() is not None:
            pass
        await asyncio.wait_for(room.wait(), 10)
        loop.remove_writer(first.fileno())
        loop.remove_reader(second.fileno())


def test_what_is_written_to_a_closed_end_is_lost_and_counted() -> None:
    first, second = memory_pair()
    with first:
        second.write(b"before the end")
        first.write(b"never read")
        second.close()
        assert first.read() == (b"before the end", False)
        assert first.read() is None
        assert first.read() is None
        assert not readable(first)
        assert first.write(b"into the void")
        assert first.counters["tx_dropped"] == 1


def test_levels_differ_in_layer_and_address() -> None:
    for level, layer in ((3, IP), (2, Ether)):
        first, second = memory_pair(level, mtu=9000)
        with first, second:
            assert (first.level, first.basecls, first.mtu) == (level, layer, 9000)
            assert (first.mac is None) == (level == 3)
            assert first.mac is None or first.mac != second.mac
            assert first.name != second.name


def test_scapy_sends_and_sniffs() -> None:
    first, second = memory_pair()
    with first, second:
        ping = IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / b"hello"
        assert first.send(ping) == len(ping)
        assert [bytes(packet) for packet in sniff(opened_socket=second, count=1, timeout=5)] == [bytes(ping)]
        assert second.recv() is None


def test_scapy_send_on_a_full_device_is_an_error() -> None:
    first, second = memory_pair(queue=4096)
    ping = IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / bytes(1000)

    def fill() -> None:
        for _ in range(1000):
            first.send(ping)

    with first, second, pytest.raises(BlockingIOError, match=f"the device {first.name} is full"):
        fill()


def test_no_privilege_is_needed() -> None:
    def exchange() -> tuple[bytes, bool] | None:
        first, second = memory_pair()
        with first, second:
            first.write(b"packet")
            return second.read()

    assert without_capabilities(exchange) == (b"packet", False)


def test_pair_loads_neither_pyroute2_nor_scapys_layers() -> None:
    code = (
        "import sys; from userstack.packetio.memory import memory_pair; "
        "a, b = memory_pair(); a.write(b'1'); b.read(); a.close(); b.close(); "
        "sys.exit(any(name in sys.modules for name in ('pyroute2', 'scapy.layers.inet', 'scapy.layers.l2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
