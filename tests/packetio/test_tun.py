import asyncio
import errno
import os
import time
from contextlib import closing

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw
from scapy.sendrecv import AsyncSniffer, sniff

from tests.packetio.frames import answer_arp, checksum_is_right, receive
from tests.support.confined import without_capabilities, without_tun
from tests.support.netns import DEVICE_PREFIX, kernel_namespace, nothing_left_behind
from userstack.errors import InvalidArgument, NetworkError, SetupError
from userstack.host.addresses import list_addresses
from userstack.host.inside import write_sysctl
from userstack.host.links import list_devices, read_link, remove_link, set_link
from userstack.packetio.device import DeviceGone
from userstack.packetio.tun import TapDevice, TunDevice


def ping(number: int = 1) -> Packet:
    return IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=77, seq=number) / b"hello"


def test_kernel_answers_a_ping_made_with_scapy() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        reply = kernel.tun().sr1(ping(), timeout=5, verbose=0)
        assert reply is not None
        assert (reply[IP].src, reply[IP].dst, reply[ICMP].type, reply[Raw].load) == ("10.77.0.1", "10.77.0.2", 0, b"hello")


def test_kernel_resets_a_syn_to_a_closed_port() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        syn = IP(src="10.77.0.2", dst="10.77.0.1") / TCP(sport=1000, dport=9, flags="S", seq=5)
        reply = kernel.tun().sr1(syn, timeout=5, verbose=0)
        assert reply is not None
        assert (str(reply[TCP].flags), reply[TCP].ack, reply[TCP].sport) == ("RA", 6, 9)


def test_constructor_makes_the_device_as_asked_and_closing_removes_it() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = TunDevice(namespace=kernel.name, kernel_addresses=["10.77.0.1/24"], mtu=1400, queue_length=222)
        assert (device.name, device.mtu, device.mac, device.level) == ("userstack0", 1400, None, 3)
        link = read_link("userstack0", namespace=kernel.name)
        assert (link.mtu, link.queue_length, link.up, link.carrier) == (1400, 222, True, True)
        assert "10.77.0.1/24" in [entry.address for entry in list_addresses(namespace=kernel.name)]
        device.close()
        device.close()
        assert device.closed
        assert list_devices(namespace=kernel.name) == ["lo"]
        with pytest.raises(DeviceGone, match="the device userstack0 is gone"):
            device.read()


@pytest.mark.parametrize("kind", [TunDevice, TapDevice])
def test_constructor_that_fails_leaves_nothing(kind: type[TunDevice | TapDevice]) -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        kernel.tun("10.77.0.1/24")
        before = list_devices(namespace=kernel.name)
        with pytest.raises(SetupError, match=r"10\.77\.0\.1 is taken"):
            kind(namespace=kernel.name, kernel_addresses=["10.77.0.1/24"])
        with pytest.raises(SetupError, match="no address with a prefix length"):
            kind(namespace=kernel.name, kernel_addresses=["10.77.0.1111/24"])
        with pytest.raises(SetupError, match="an MTU is 68 to 65535 bytes, not 5"):
            kind(namespace=kernel.name, mtu=5)
        with pytest.raises(SetupError, match=r"mknod /dev/net/tun"):
            without_tun(lambda: kind(namespace=None))
        with pytest.raises(SetupError, match="sudo"):
            without_capabilities(lambda: kind(f"{DEVICE_PREFIX}z"))
        assert list_devices(namespace=kernel.name) == before


def test_nothing_to_read_is_none_and_does_not_block() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun(None)
        set_link(device.name, namespace=kernel.name, up=False)
        while device.read() is not None:
            pass
        assert device.recv() is None


def test_checksum_of_the_kernel_is_complete_and_not_vouched_for() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        client = kernel.socket()
        client.setblocking(False)
        client.connect_ex(("10.77.0.2", 80))
        syn, vouched = receive(device, lambda packet: TCP in packet)
        assert not vouched
        assert checksum_is_right(syn)


def test_garbage_is_dropped_and_counted() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        assert device.write(b"")
        assert device.write(b"\x00" * 40)
        assert device.counters["tx_dropped"] == 2
        assert device.write(b"\x45" + b"\xff" * 39)
        assert device.counters["tx_packets"] == 1


def test_packet_for_a_device_that_is_down_is_dropped_and_counted() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        set_link(device.name, namespace=kernel.name, up=False)
        assert device.write(bytes(ping()))
        assert device.counters["tx_dropped"] == 1
        set_link(device.name, namespace=kernel.name, up=True)
        assert device.sr1(ping(), timeout=5, verbose=0) is not None


@pytest.mark.asyncio
async def test_device_removed_in_use_wakes_the_loop_and_says_so() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
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
        remove_link(device.name, namespace=kernel.name)
        error = await asyncio.wait_for(said, 10)
        assert isinstance(error, DeviceGone)
        assert error.errno == errno.ENODEV
        assert f"the device {device.name} is gone" in str(error)
        with pytest.raises(DeviceGone):
            device.write(bytes(ping()))


@pytest.mark.asyncio
async def test_loop_hears_of_a_packet() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        while device.read() is not None:
            pass
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_reader(device.fileno(), heard.set)
        device.write(bytes(ping()))
        await asyncio.wait_for(heard.wait(), 10)
        loop.remove_reader(device.fileno())
        packet, _ = receive(device, lambda packet: ICMP in packet)
        assert packet[ICMP].type == 0


def test_longest_packet_passes_both_ways() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun(mtu=65535)
        long_ping = IP(src="10.77.0.2", dst="10.77.0.1") / ICMP(id=77) / os.urandom(65535 - 28)
        reply = device.sr1(long_ping, timeout=5, verbose=0)
        assert reply is not None
        assert reply[Raw].load == long_ping[Raw].load


def test_scapy_sniffs_on_an_opened_device() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        device.send(ping(1))
        found = sniff(opened_socket=device, lfilter=lambda packet: ICMP in packet, count=1, timeout=5)
        assert [packet[ICMP].type for packet in found] == [0]
        assert not device.closed


def test_scapy_sniffs_on_a_thread_of_its_own() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        sniffer = AsyncSniffer(opened_socket=device, lfilter=lambda packet: ICMP in packet, count=3)
        sniffer.start()
        for number in range(3):
            device.send(ping(number))
        sniffer.join(timeout=10)
        assert [packet[ICMP].seq for packet in sniffer.results] == [0, 1, 2]


def test_scapy_layer_follows_the_ip_version() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tun()
        assert device.basecls is IP
        found = sniff(opened_socket=device, lfilter=lambda packet: IPv6 in packet, count=1, timeout=10)
        assert found[0].src.startswith("fe80:")


def test_tap_carries_frames_with_a_mac_of_our_own() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tap()
        assert (device.level, device.basecls) == (2, Ether)
        mac = device.mac
        assert mac is not None
        assert mac[0] & 3 == 2
        assert mac != read_link(device.name, namespace=kernel.name).mac
        who_has = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="10.77.0.2", pdst="10.77.0.1")
        reply = device.sr1(who_has, timeout=5, verbose=0)
        assert reply is not None
        answered = device.sr1(Ether(src=mac, dst=reply.src) / ping(), timeout=5, verbose=0)
        assert answered is not None
        assert answered[ICMP].type == 0


def test_kernel_asks_for_the_mac_of_a_tap() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = kernel.tap()
        pinging = kernel.popen(["ping", "-c", "1", "-W", "5", "10.77.0.2"])
        assert answer_arp(device)[ARP].pdst == "10.77.0.2"
        request, vouched = receive(device, lambda packet: ICMP in packet)
        assert not vouched
        device.send(
            Ether(src=device.mac, dst=request.src)
            / IP(src="10.77.0.2", dst="10.77.0.1")
            / ICMP(type=0, id=request[ICMP].id, seq=1)
            / request[Raw]
        )
        assert pinging.wait(10) == 0


def test_device_that_nobody_closed_is_a_resource_warning() -> None:
    with nothing_left_behind(), kernel_namespace() as kernel:
        device = TunDevice(namespace=kernel.name)
        with pytest.warns(ResourceWarning, match="unclosed device userstack0"):
            del device


def test_tun_has_no_hardware_address() -> None:
    with nothing_left_behind(), pytest.raises(InvalidArgument, match="a TUN device carries IP packets and has no hardware address"):
        TunDevice(mac=bytes(6))


def test_kernel_gets_addresses_of_both_families_and_uses_them_at_once() -> None:
    """Also where IPv6 is off for new devices, as container engines have it."""
    with nothing_left_behind(), kernel_namespace() as kernel:
        write_sysctl("net.ipv6.conf.default.disable_ipv6", "1", namespace=kernel.name)
        device = kernel.tun("10.77.0.1/24", "fd77::1/64")
        assert device.sr1(ping(), timeout=5, verbose=0) is not None
        request = IPv6(src="fd77::2", dst="fd77::1") / ICMPv6EchoRequest(id=77, data=b"hello")
        sniffer = AsyncSniffer(opened_socket=device, lfilter=lambda packet: ICMPv6EchoReply in packet, count=1)
        sniffer.start()
        device.send(request)
        sniffer.join(timeout=10)
        assert [(packet[IPv6].src, packet[ICMPv6EchoReply].data) for packet in sniffer.results] == [("fd77::1", b"hello")]


def test_kernel_takes_what_comes_for_its_ipv6_address_as_soon_as_the_device_is_made() -> None:
    """Its route to itself is set up by a worker, which a machine without a free processor lets wait: packets were for nobody."""
    request = bytes(IPv6(src="fd77::2", dst="fd77::1") / ICMPv6EchoRequest(id=77, data=b"hello"))
    with nothing_left_behind(), kernel_namespace() as kernel:
        for _ in range(5):
            with closing(TunDevice(namespace=kernel.name, kernel_addresses=["fd77::1/64"])) as device:
                for _ in range(50):
                    assert device.write(request)
                for _ in range(50):
                    receive_ipv6(device)


def receive_ipv6(device: TunDevice) -> None:
    """Wait for an echo reply of the kernel's."""
    end = time.monotonic() + 5
    while (arrived := device.read()) is None or ICMPv6EchoReply not in IPv6(arrived[0]):
        assert time.monotonic() < end, "the kernel does not answer"
