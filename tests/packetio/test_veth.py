import asyncio
import socket

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from scapy.sendrecv import sniff

from tests.packetio.frames import answer_arp, checksum_is_right, receive
from tests.support.confined import without_capabilities
from tests.support.netns import DEVICE_PREFIX, KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.errors import NetworkError, SetupError
from userstack.host.inside import write_sysctl
from userstack.host.links import list_devices, read_link, remove_link, set_link
from userstack.host.netns import temporary_namespace
from userstack.host.offload import all_offload, set_offload
from userstack.host.quiet import allow_forwarding, stop_ipv6
from userstack.packetio.device import PATIENCE, DeviceGone
from userstack.packetio.veth import VethDevice, VethPair

PORT = 80
MSS = 1460


def connecting(kernel: KernelNamespace, device: VethPair) -> tuple[socket.socket, Packet, bool]:
    """A kernel socket that connects to us: the socket, its SYN, and whether the device vouches for that."""
    client = kernel.socket()
    client.setblocking(False)
    client.connect_ex(("10.77.0.2", PORT))
    answer_arp(device)
    syn, vouched = receive(device, lambda packet: TCP in packet)
    return client, syn, vouched


def reply_to(packet: Packet, flags: str, **fields: object) -> Packet:
    """A segment in answer to one of the kernel's."""
    link = Ether(src=packet[Ether].dst, dst=packet[Ether].src) / IP(src=packet[IP].dst, dst=packet[IP].src)
    return link / TCP(sport=packet[TCP].dport, dport=packet[TCP].sport, flags=flags, window=65535, **fields)


def probe(device: VethDevice, text: bytes, **link: object) -> Packet:
    """A frame towards ``device`` that no kernel would send by itself."""
    return Ether(**{"src": "02:00:00:00:00:01", "dst": device.mac, **link}, type=0x88B5) / Raw(text.ljust(46, b"."))


def is_probe(packet: Packet) -> bool:
    return bool(packet[Ether].type == 0x88B5)


@pytest.fixture
def both_ends() -> object:
    """Our end, and a second device on the kernel's end, through which frames of any kind can be sent to us."""
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        yield kernel, device, kernel.keep(VethDevice(device.peer, namespace=kernel.name))


def test_kernel_answers_arp_and_ping() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        assert (device.level, device.mtu, device.mac) == (2, 1500, read_link(device.name).mac)
        who_has = Ether(src=device.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=device.mac, psrc="10.77.0.2", pdst="10.77.0.1")
        neighbour = device.sr1(who_has, timeout=5, verbose=0)
        assert neighbour is not None
        ping = Ether(src=device.mac, dst=neighbour.src) / IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=77) / b"hello"
        reply = device.sr1(ping, timeout=5, verbose=0)
        assert reply is not None
        assert reply[Raw].load == b"hello"


def test_partial_checksum_of_an_offloading_kernel_is_vouched_for() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        set_offload(device.peer, all_offload(True), namespace=kernel.name)
        _, syn, vouched = connecting(kernel, device)
        assert vouched
        assert not checksum_is_right(syn), "the kernel filled the checksum in: this machine does not show the trap"


def test_complete_checksum_of_a_kernel_without_offload_is_left_to_the_stack() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        set_offload(device.peer, all_offload(False), namespace=kernel.name)
        _, syn, vouched = connecting(kernel, device)
        assert not vouched
        assert checksum_is_right(syn)


@pytest.mark.parametrize("offload", [True, False])
def test_wrong_checksum_on_the_wire_is_not_vouched_for(offload: bool) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        set_offload(device.peer, all_offload(offload), namespace=kernel.name)
        connecting(kernel, device)  # so that the kernel has a neighbour to send to
        raw = kernel.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for port, checksum in ((7001, 0x1234), (7002, None)):
            packet = IP(src="10.77.0.1", dst="10.77.0.2") / TCP(sport=port, dport=PORT, chksum=checksum) / b"data"
            raw.sendto(bytes(packet), ("10.77.0.2", 0))
        wrong, vouched_for_wrong = receive(device, lambda packet: TCP in packet and packet[TCP].sport == 7001)
        right, vouched_for_right = receive(device, lambda packet: TCP in packet and packet[TCP].sport == 7002)
        assert (checksum_is_right(wrong), vouched_for_wrong) == (False, False)
        assert (checksum_is_right(right), vouched_for_right) == (True, False)


@pytest.mark.parametrize("offload", [True, False])
def test_super_frames_arrive_whole(offload: bool) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        set_offload(device.peer, all_offload(offload), namespace=kernel.name)
        client, syn, _ = connecting(kernel, device)
        device.send(reply_to(syn, "SA", seq=1000, ack=syn.seq + 1, options=[("MSS", MSS)]))
        receive(device, lambda packet: TCP in packet and packet[TCP].flags == "A")
        data = bytes(range(256)) * 40
        client.send(data)
        taken, longest, vouches = b"", 0, set()
        while len(taken) < len(data):
            packet, vouched = receive(device, lambda packet: TCP in packet and Raw in packet)
            assert packet[IP].len == len(packet[IP]), "a frame was cut short"
            assert packet.seq == syn.seq + 1 + len(taken)
            assert vouched or checksum_is_right(packet)
            taken += packet[Raw].load
            longest = max(longest, len(packet[Raw].load))
            vouches.add(vouched)
            device.send(reply_to(packet, "A", seq=1001, ack=syn.seq + 1 + len(taken)))
        assert taken == data
        assert vouches == {offload}
        assert longest > MSS if offload else longest <= MSS


def test_frames_for_others_are_passed_over(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    _, device, other = both_ends
    other.send(probe(device, b"for another", dst="02:00:00:00:00:99"))
    other.send(probe(device, b"for some", dst="01:00:5e:00:00:01"))
    other.send(probe(device, b"for all", dst="ff:ff:ff:ff:ff:ff"))
    other.send(probe(device, b"for an IPv6 group", dst="33:33:ff:00:00:02"))
    other.send(probe(device, b"for us"))
    found = [receive(device, is_probe)[0][Raw].load.rstrip(b".") for _ in range(3)]
    assert found == [b"for all", b"for an IPv6 group", b"for us"]
    assert device.counters["rx_dropped"] >= 2


def test_a_card_is_asked_for_every_group_as_long_as_the_device_is_open(
    both_ends: tuple[KernelNamespace, VethPair, VethDevice],
) -> None:
    kernel, _, other = both_ends

    def asked() -> int:
        shown = kernel.run(["ip", "-d", "link", "show", "dev", other.name]).stdout.decode()
        return int(shown.split("allmulti ")[1].split()[0])

    before = asked()
    second = VethDevice(other.name, namespace=kernel.name)
    assert asked() == before + 1
    second.close()
    assert asked() == before


def test_own_frames_are_not_heard(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    kernel, device, other = both_ends
    stop_ipv6(other.name, namespace=kernel.name)
    while device.read() is not None:
        pass
    dropped = device.counters["rx_dropped"]
    device.send(probe(other, b"from us"))
    other.send(probe(device, b"to us"))
    assert receive(other, is_probe)[0][Raw].load.startswith(b"from us")
    assert receive(device, is_probe)[0][Raw].load.startswith(b"to us")
    assert device.counters["rx_dropped"] == dropped


def test_frames_of_another_vlan_are_not_taken_for_ours(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    _, device, other = both_ends
    for identifier, text in ((5, b"of VLAN 5"), (0, b"with a priority alone")):
        tagged = (
            Ether(src=other.mac, dst=device.mac, type=0x8100) / Dot1Q(vlan=identifier, prio=3, type=0x88B5) / Raw(text.ljust(46))
        )
        other.send(tagged)
    assert receive(device, is_probe)[0][Raw].load.startswith(b"with a priority alone")


def test_peer_that_refuses_a_frame_does_not_hold_up_the_rest(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    kernel, device, other = both_ends
    set_link(other.name, namespace=kernel.name, mtu=1000)
    too_long = bytes(probe(other, bytes(1400)))
    answers = [device.write(too_long) for _ in range(PATIENCE)]
    assert answers == [False] * (PATIENCE - 1) + [True]
    assert device.counters["tx_dropped"] == 1
    assert not device.write(too_long)
    assert device.write(bytes(probe(other, b"short")))
    assert receive(other, is_probe)[0][Raw].load.startswith(b"short")
    assert not any(device.write(too_long) for _ in range(PATIENCE - 1))


def test_garbage_is_dropped_and_counted(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    _, device, _ = both_ends
    for frame in (b"", b"short", bytes(70000)):
        assert device.write(frame)
    assert device.counters["tx_dropped"] == 3


def test_device_that_is_down_for_a_while_is_not_gone(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    _, device, other = both_ends
    set_link(device.name, up=False)
    assert device.write(bytes(probe(other, b"lost")))
    while device.read() is not None:
        pass
    assert device.counters["rx_errors"] == 1
    assert device.counters["tx_dropped"] == 1
    set_link(device.name, up=True)
    device.send(probe(other, b"back"))
    assert receive(other, is_probe)[0][Raw].load.startswith(b"back")


@pytest.mark.asyncio
async def test_device_removed_in_use_wakes_the_loop_and_says_so() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        loop = asyncio.get_running_loop()
        said = loop.create_future()

        def on_readable() -> None:
            try:
                while device.read() is not None:
                    pass
            except NetworkError as error:
                loop.remove_reader(device.fileno())
                said.set_result(error)

        loop.add_reader(device.fileno(), on_readable)
        remove_link(device.name)
        assert isinstance(await asyncio.wait_for(said, 10), DeviceGone)
        with pytest.raises(DeviceGone, match=f"the device {device.name} is gone"):
            device.write(bytes(60))


def test_pair_that_fails_leaves_nothing() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        kernel.veth("10.77.0.1/24")
        before = list_devices(namespace=kernel.name)
        names = (f"{DEVICE_PREFIX}p", f"{DEVICE_PREFIX}q")
        for wrong, reason in (("10.77.0.1/24", "is taken"), ("10.77.0.1", "prefix length is missing")):
            with pytest.raises(SetupError, match=reason):
                VethPair(*names, peer_namespace=kernel.name, peer_addresses=[wrong])
        with pytest.raises(SetupError, match="sudo"):
            without_capabilities(lambda: VethPair(*names, peer_namespace=kernel.name))
        assert list_devices(namespace=kernel.name) == before


def test_packet_socket_that_cannot_be_had_is_said() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        name = kernel.veth().name
        with pytest.raises(SetupError, match="there is no device nodevice here"):
            VethDevice("nodevice")
        with pytest.raises(SetupError, match="cannot open a socket: operation not permitted; run it with sudo"):
            without_capabilities(lambda: VethDevice(name))
        set_link(name, up=False)
        with pytest.raises(SetupError, match=f"the device {name} is down: raise it with: ip link set {name} up"):
            VethDevice(name)


def test_closing_twice_removes_the_pair_once() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.veth()
        device.close()
        device.close()
        assert list_devices(namespace=kernel.name) == ["lo"]
        assert device.fileno() == -1


def test_pair_survives_the_loss_of_its_peers_namespace() -> None:
    with nothing_left_behind():
        with temporary_namespace(DEVICE_PREFIX) as name:
            device = VethPair(f"{DEVICE_PREFIX}p", f"{DEVICE_PREFIX}q", peer_namespace=name)
        device.close()


def test_scapy_sniffs_on_an_opened_device(both_ends: tuple[KernelNamespace, VethPair, VethDevice]) -> None:
    _, device, other = both_ends
    other.send(probe(device, b"sniff me"))
    found = sniff(opened_socket=device, lfilter=is_probe, count=1, timeout=5)
    assert found[0][Raw].load.startswith(b"sniff me")


def test_kernel_of_our_end_does_not_pass_our_packets_on() -> None:
    with nothing_left_behind(), kernel_namespace() as router, kernel_namespace() as kernel:
        for setting, value in (
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv4.conf.all.rp_filter", "0"),
            ("net.ipv4.conf.default.rp_filter", "0"),
        ):
            write_sysctl(setting, value, namespace=router.name)
        elsewhere = router.tun("10.88.0.1/24")
        router.run(["ip", "route", "add", "default", "via", "10.88.0.2"])
        device = router.keep(VethPair("us", "them", namespace=router.name, peer_namespace=kernel.name))
        other = kernel.keep(VethDevice("them", namespace=kernel.name))
        packets = [
            Ether(src=other.mac, dst=device.mac) / IP(src="10.77.0.1", dst="10.77.0.2", id=number) / ICMP() for number in (1, 2)
        ]
        other.send(packets[0])
        assert receive(device, lambda packet: IP in packet)[0][IP].id == 1
        allow_forwarding("us", namespace=router.name)
        other.send(packets[1])
        leaked, _ = receive(elsewhere, lambda packet: packet[IP].dst == "10.77.0.2")
        assert leaked[IP].id == 2, "the first packet, sent while forwarding was off, was passed on"


def test_device_without_frames_is_refused() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        name = kernel.tun().name
        with pytest.raises(SetupError, match=f"the device {name} has no hardware address: choose an Ethernet device"):
            VethDevice(name, namespace=kernel.name)
