from scapy.layers.inet import ICMP, IP
from scapy.sendrecv import sniff

from tests.support.netns import kernel_namespace, nothing_left_behind
from userstack.packetio.droponce import Direction, DropOnce
from userstack.packetio.memory import memory_pair


def test_first_matching_packet_out_is_lost_and_told() -> None:
    with nothing_left_behind():
        near, far = memory_pair()
        told: list[tuple[bytes, Direction]] = []
        device = DropOnce(
            near, lambda packet, direction: direction is Direction.OUT and packet == b"b", lambda *lost: told.append(lost)
        )
        with far, device:
            far.write(b"b")
            for packet in (b"a", b"b", b"b", b"c"):
                assert device.write(packet)
            assert [far.read() for _ in range(4)] == [(b"a", False), (b"b", False), (b"c", False), None]
            assert device.read() == (b"b", False)
            assert told == [(b"b", Direction.OUT)]
            assert device.dropped
        assert near.closed


def test_first_matching_packet_in_is_lost_and_the_next_is_read_at_once() -> None:
    near, far = memory_pair()
    told: list[tuple[bytes, Direction]] = []
    device = DropOnce(near, lambda packet, direction: direction is Direction.IN and packet == b"b", lambda *lost: told.append(lost))
    with far, device:
        device.write(b"b")
        for packet in (b"a", b"b", b"b"):
            far.write(packet)
        assert not device.dropped
        assert [device.read() for _ in range(3)] == [(b"a", False), (b"b", False), None]
        assert told == [(b"b", Direction.IN)]
        assert far.read() == (b"b", False)


def test_only_packet_there_may_be_the_lost_one() -> None:
    near, far = memory_pair()
    with far, DropOnce(near, lambda *_: True, lambda *_: None) as device:
        far.write(b"1")
        assert device.read() is None
        far.write(b"2")
        assert device.read() == (b"2", False)


def test_ping_of_the_kernel_is_lost_once() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        lost: list[Direction] = []
        device = DropOnce(
            kernel.tun(),
            lambda packet, direction: direction is Direction.IN and packet[9] == 1,
            lambda _, direction: lost.append(direction),
        )
        kernel.keep(device)
        for number in (1, 2):
            device.send(IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=77, seq=number))
        found = sniff(opened_socket=device, lfilter=lambda packet: ICMP in packet, count=1, timeout=10)
        assert [packet[ICMP].seq for packet in found] == [2]
        assert lost == [Direction.IN]
