"""The pcapng file, read back by tshark: everything in it, at its time, with its direction, nothing malformed."""

import struct
import subprocess
from pathlib import Path

import pytest

from tests.observe.scenes import CODEC, Scene, peer_closes_first
from userstack.errors import SetupError
from userstack.observe.capture import Capture, complete_checksum
from userstack.trace import Event, PacketReceived, PacketSent
from userstack.wire.checksum import pseudo_header_sum
from userstack.wire.ip import ICMP, IPPacket
from userstack.wire.tcp import ACK, FIN, PSH, SYN

WALL = 1_700_000_000 * 10**9


def capture(path: Path, events: list[Event]) -> int:
    with Capture(str(path), wall=WALL, codec=CODEC) as writer:
        for event in events:
            writer(event)
        return writer.packets


def tshark(path: Path, *fields: str) -> list[list[str]]:
    """The fields of each packet, with both checksums verified."""
    command = ["tshark", "-n", "-r", str(path), "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return [line.split("\t") for line in shown.stdout.decode().splitlines()]


def partial(packet: bytes) -> bytes:
    """The packet as a kernel with transmit offload leaves it: the field holds the pseudo header's sum."""
    outer = CODEC.decode_ip(packet)
    total = pseudo_header_sum(outer.source, outer.destination, 6, len(outer.payload))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return packet[:36] + struct.pack("!H", total) + packet[38:]


def test_tshark_reads_what_was_written(tmp_path: Path) -> None:
    events = peer_closes_first().events
    assert capture(tmp_path / "file.pcapng", events) == 10
    rows = tshark(tmp_path / "file.pcapng", "frame.time_epoch", "ip.src", "tcp.flags", "tcp.len", "frame.packet_flags_direction")
    assert rows[0][:2] == ["1700000000.001000000", "10.9.0.1"]
    flags = [SYN, SYN | ACK, ACK, PSH | ACK, PSH | ACK, ACK, FIN | ACK, ACK, FIN | ACK, ACK]
    assert [int(row[2], 16) for row in rows] == flags
    assert [row[3] for row in rows] == ["0", "0", "0", "22", "21", "0", "0", "0", "0", "0"]
    assert [int(row[4], 16) for row in rows] == [1, 2, 1, 1, 2, 1, 1, 2, 2, 1]
    checks = tshark(tmp_path / "file.pcapng", "ip.checksum.status", "tcp.checksum.status", "_ws.malformed")
    assert {tuple(row) for row in checks} == {("1", "1", "")}


def test_times_are_exact_to_the_microsecond(tmp_path: Path) -> None:
    scene = Scene()
    packet = scene.sent("SYN", 0)
    times = [1_999, 123_456_789, 999_999_999]
    capture(tmp_path / "file.pcapng", [PacketSent(time, packet) for time in times])
    rows = tshark(tmp_path / "file.pcapng", "frame.time_epoch")
    assert [row[0] for row in rows] == ["1700000000.000001000", "1700000000.123456000", "1700000000.999999000"]


def test_a_checksum_left_to_the_device_is_filled_in(tmp_path: Path) -> None:
    packet = Scene().received("PSH,ACK", 5, 6, b"odd")
    assert complete_checksum(partial(packet), CODEC) == packet
    capture(tmp_path / "file.pcapng", [PacketReceived(1, partial(packet))])
    assert tshark(tmp_path / "file.pcapng", "tcp.checksum.status") == [["1"]]


@pytest.mark.parametrize("spoiled", [b"\x12\x34", b"\0\0"])
def test_any_other_wrong_checksum_is_shown_as_it_came(spoiled: bytes) -> None:
    packet = Scene().received("ACK", 5, 6)
    broken = packet[:36] + spoiled + packet[38:]
    assert complete_checksum(broken, CODEC) == broken


def test_what_is_not_tcp_is_left_alone() -> None:
    ping = CODEC.encode_ip(IPPacket(bytes(4), bytes(4), ICMP, bytes(30)))
    short = CODEC.encode_ip(IPPacket(bytes(4), bytes(4), 6, bytes(10)))
    for packet in (ping, short, b"junk"):
        assert complete_checksum(packet, CODEC) == packet


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "file.pcapng"
    with pytest.raises(SetupError, match=r"^cannot write the capture .*: No such file or directory$"):
        Capture(str(path), wall=0, codec=CODEC)


def test_a_full_disk_is_told_with_the_name_of_the_file() -> None:
    packet = PacketSent(1, Scene().sent("PSH,ACK", 1, 1, bytes(1000)))
    writer = Capture("/dev/full", wall=0, codec=CODEC)
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        list(map(writer, [packet] * 1000))
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        writer.close()
    writer.close()


def test_an_empty_capture_is_a_valid_file(tmp_path: Path) -> None:
    assert capture(tmp_path / "file.pcapng", []) == 0
    assert tshark(tmp_path / "file.pcapng", "frame.number") == []
