"""Which segment of the demo is lost on purpose. Law: it is chosen by what stands on the wire, once, and by nothing else."""

from enum import StrEnum

from userstack.observe.steps import Phase
from userstack.packetio.droponce import Direction
from userstack.wire.codec import Codec, WireError
from userstack.wire.ip import TCP
from userstack.wire.tcp import ACK, FIN, SYN, TcpSegment

ETHERNET_HEADER = 14


class Drop(StrEnum):
    """The segment of ours that is lost."""

    SYN = "syn"
    SYN_ACK = "synack"
    FIN = "fin"
    LAST_ACK = "lastack"


PHASES = {Drop.SYN: Phase.SYN, Drop.SYN_ACK: Phase.SYN_ACK, Drop.FIN: Phase.FIRST_FIN, Drop.LAST_ACK: Phase.SECOND_FIN_ACK}

STORIES = {
    Drop.SYN: "our SYN of act 2 will be lost once: nobody answers, and the retransmission timer sends it again (RFC 6298)",
    Drop.SYN_ACK: "our SYN,ACK of act 1 will be lost once: the kernel repeats its SYN, and we repeat our SYN,ACK",
    Drop.FIN: "our FIN of act 2 will be lost once: we stay in FIN-WAIT-1, and the retransmission timer sends it again",
    Drop.LAST_ACK: "our last ACK of act 2 will be lost once: the kernel repeats its FIN from LAST-ACK, and TIME-WAIT answers again",
}


class Doomed:
    """The predicate for ``DropOnce``.

    Args:
        drop: what to lose.
        port: the peer's port in act 2, where FIN and last ACK are lost.
        level: the device's: on 2 the packets are in Ethernet frames.
        codec: reads them.
    """

    def __init__(self, drop: Drop, *, port: int, level: int, codec: Codec) -> None:
        self._drop = drop
        self._port = port
        self._skip = ETHERNET_HEADER if level == 2 else 0
        self._codec = codec
        self._after_fin: int | None = None

    def packet(self, data: bytes) -> bytes:
        """The IP packet in what the device carries."""
        return data[self._skip :]

    def __call__(self, data: bytes, direction: Direction) -> bool:
        """Whether this is the one."""
        segment = self._segment(data)
        if segment is None:
            return False
        if direction is Direction.IN:
            if segment.source_port == self._port and segment.flags & FIN:
                self._after_fin = (segment.seq + len(segment.payload) + 1) & 0xFFFFFFFF
            return False
        match self._drop:
            case Drop.SYN:
                return segment.flags & (SYN | ACK) == SYN
            case Drop.SYN_ACK:
                return segment.flags & (SYN | ACK) == SYN | ACK
            case Drop.FIN:
                return segment.destination_port == self._port and bool(segment.flags & FIN)
            case Drop.LAST_ACK:
                return segment.destination_port == self._port and segment.ack == self._after_fin

    def _segment(self, data: bytes) -> TcpSegment | None:
        try:
            packet = self._codec.decode_ip(self.packet(data))
            return self._codec.decode_tcp(packet, verify=False) if packet.protocol == TCP else None
        except WireError:
            return None  # ARP, for one
