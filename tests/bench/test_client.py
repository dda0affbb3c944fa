"""The parts of the client that can be wrong without anybody noticing: the SYNs of the flood, percentiles."""

import ipaddress
import random
import socket

from userstack.bench.client.flood import build_syn
from userstack.bench.client.roundtrip import percentile
from userstack.bench.programs.loop import complement, window_scale

TARGET = socket.inet_aton("10.77.0.2")


def ones_complement_sum(data: bytes) -> int:
    """RFC 1071, word by word."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2], "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_syns_of_the_flood_are_good_and_come_from_everywhere() -> None:
    chance = random.Random(1)
    packets = [build_syn(chance, TARGET) for _ in range(500)]
    for packet in packets:
        tcp = packet[20:]
        assert ones_complement_sum(packet[12:20] + bytes((0, 6, 0, len(tcp))) + tcp) == 0xFFFF
        assert tcp[13] == 0x02
        assert int.from_bytes(packet[2:4], "big") == len(packet) == 44
    sources = [ipaddress.ip_address(packet[12:16]) for packet in packets]
    assert len(set(sources)) == 500
    assert all(source.is_global for source in sources if not source.is_private)
    assert not any(source.is_loopback or source.is_multicast for source in sources)


def test_percentiles() -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], 99) == 100.0
    assert percentile([float(value) for value in range(1000)], 99) == 990.0
    assert percentile([7.0], 99) == 7.0


def test_the_checksum_of_the_bare_loop_is_that_of_rfc_1071() -> None:
    chance = random.Random(2)
    for length in (20, 40, 1500):
        data = chance.randbytes(length)
        assert complement(int.from_bytes(data, "big")) == ones_complement_sum(data) ^ 0xFFFF


def test_the_bare_loop_finds_the_window_scale() -> None:
    assert window_scale(bytes.fromhex("020405b40402080a000000000000000001030307")) == 7
    assert window_scale(bytes.fromhex("020405b4")) == 0
    assert window_scale(bytes.fromhex("0300")) == 0
