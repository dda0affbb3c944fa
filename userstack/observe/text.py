"""Packets as tcpdump writes them: one line each, with relative sequence numbers after the SYN."""

from userstack.address import Endpoint, format_address
from userstack.observe.flow import FlowTable
from userstack.observe.icmp import describe_icmp, describe_icmpv6
from userstack.observe.options import describe_options
from userstack.trace import PacketReceived, PacketSent
from userstack.wire import ip
from userstack.wire.codec import Codec, WireError
from userstack.wire.ip import IPPacket
from userstack.wire.source_route import destination_of
from userstack.wire.tcp import ACK, AE, CWR, ECE, FIN, PSH, RST, SYN, URG, TcpSegment

_LETTERS = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (ACK, "."), (URG, "U"), (ECE, "E"), (CWR, "W"), (AE, "e"))


class PacketText:
    """Writes packets as text; it remembers each connection's first numbers.

    Args:
        codec: reads the packets.
        start: the stack's time that counts as 0, in nanoseconds.
    """

    def __init__(self, codec: Codec, start: int = 0) -> None:
        self._codec = codec
        self._start = start
        self._flows = FlowTable()

    def line(self, event: PacketReceived | PacketSent) -> str:
        """``0.000123 IP 10.9.0.1.41234 > 10.9.0.2.80: Flags [S], seq 1, win 64240, length 0``."""
        stamp = f"{(event.time - self._start) / 1_000_000_000:.6f}"
        try:
            packet = self._codec.decode_ip(event.packet)
            return f"{stamp} {self._packet(packet, sent=isinstance(event, PacketSent))}"
        except WireError as error:
            return f"{stamp} [{error}] length {len(event.packet)}"

    def _packet(self, packet: IPPacket, *, sent: bool) -> str:
        family = "IP" if packet.version == 4 else "IP6"
        source, destination = format_address(packet.source), format_address(packet.destination)
        if packet.is_fragment:
            return f"{family} {source} > {destination}: fragment, offset {packet.fragment_offset * 8}, length {len(packet.payload)}"
        if packet.protocol == ip.TCP:
            segment = self._codec.decode_tcp(packet, verify=False)
            ends = f"{source}.{segment.source_port} > {destination}.{segment.destination_port}"
            return f"{family} {ends}: {self._segment(packet, segment, sent=sent)}"
        if packet.protocol in (ip.ICMP, ip.ICMPV6):
            describe = describe_icmp if packet.protocol == ip.ICMP else describe_icmpv6
            return f"{family} {source} > {destination}: {describe(self._codec, packet)}, length {len(packet.payload)}"
        return f"{family} {source} > {destination}: ip-proto-{packet.protocol} {len(packet.payload)}"

    def _segment(self, packet: IPPacket, segment: TcpSegment, *, sent: bool) -> str:
        destination = destination_of(packet.destination, packet.options)
        here, there = Endpoint(packet.source, segment.source_port), Endpoint(destination, segment.destination_port)
        flow = self._flows.flow(*((here, there) if sent else (there, here)))
        reading = flow.read(segment, sent=sent)
        parts = [f"Flags [{_letters(segment.flags)}]"]
        length = len(segment.payload)
        if segment.flags & SYN:
            parts.append(f"seq {segment.seq}")
        elif length or segment.flags & (FIN | RST):
            parts.append(f"seq {reading.seq}:{reading.seq + length}" if length else f"seq {reading.seq}")
        if reading.ack is not None:
            parts.append(f"ack {segment.ack if segment.flags & SYN else reading.ack}")
        parts.append(f"win {reading.window}")
        if segment.flags & URG:
            parts.append(f"urg {segment.urgent_pointer}")
        if segment.options:
            parts.append(f"options [{','.join(describe_options(segment.options))}]")
        return ", ".join((*parts, f"length {length}"))


def _letters(flags: int) -> str:
    return "".join(letter for bit, letter in _LETTERS if flags & bit) or "none"
