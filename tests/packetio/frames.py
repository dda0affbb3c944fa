"""Waiting for a packet of a device, and judging its checksum without the code under test."""

import select
import time
from collections.abc import Callable

from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from userstack.packetio.device import Device

PATIENCE = 10.0
"""Seconds after which a test fails rather than wait on."""


def receive(device: Device, wanted: Callable[[Packet], bool], *, seconds: float = PATIENCE) -> tuple[Packet, bool]:
    """The next packet that is ``wanted``, dissected, and whether it is vouched for; others are passed over."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        arrived = device.read()
        if arrived is None:
            select.select([device], [], [], left)
            continue
        packet = (Ether if device.level == 2 else IP)(bytes(arrived[0]))
        if wanted(packet):
            return packet, arrived[1]
    raise AssertionError("the packet did not come")


def checksum_is_right(packet: Packet) -> bool:
    """Whether the TCP checksum is what scapy makes of the segment."""
    again = IP(bytes(packet[IP]))
    del again[TCP].chksum
    return bool(IP(bytes(again))[TCP].chksum == packet[TCP].chksum)


def answer_arp(device: Device) -> Packet:
    """Wait for the kernel's question for an address of ours, and answer it. Returns the question."""
    question, _ = receive(device, lambda packet: ARP in packet and packet[ARP].op == 1)
    reply = ARP(op=2, hwsrc=device.mac, psrc=question[ARP].pdst, hwdst=question[ARP].hwsrc, pdst=question[ARP].psrc)
    device.send(Ether(src=device.mac, dst=question.src) / reply)
    return question
