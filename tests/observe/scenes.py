"""Scenes of two ends as trace events: what a stack would tell of them, written down by hand after RFC 9293's own figures."""

from dataclasses import dataclass, field

from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND
from userstack.trace import Event, Freed, PacketReceived, PacketSent, Transition
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import FLAG_NAMES, MSS, SACK_PERMITTED, TIMESTAMPS, WINDOW_SCALE, Option, TcpSegment

LOCAL = Endpoint(pack_address("10.9.0.2"), 7)
REMOTE = Endpoint(pack_address("10.9.0.1"), 40000)
ISS = 0xFFFFFFFE
IRS = 0x7FFFFFF0
KERNEL_SYN = (
    Option(MSS, bytes.fromhex("05b4")),
    Option(SACK_PERMITTED),
    Option(TIMESTAMPS, bytes(8)),
    Option(1),
    Option(WINDOW_SCALE, b"\x07"),
)
OUR_SYN = (Option(MSS, bytes.fromhex("05b4")),)
CODEC = make_codec("fast")


@dataclass
class Scene:
    """Collects events; every call takes a millisecond. Numbers are relative, and wrap on the wire."""

    local: Endpoint = LOCAL
    remote: Endpoint = REMOTE
    iss: int = ISS
    irs: int = IRS
    now: int = 0
    events: list[Event] = field(default_factory=list)

    def sent(self, flags: str, seq: int, ack: int | None = None, data: bytes = b"", options: tuple[Option, ...] = ()) -> bytes:
        """A segment of ours; gives the packet."""
        wire = (self.iss + seq, 0 if ack is None else self.irs + ack)
        packet = build(self.local, self.remote, flags, wire, data, options, 65535)
        self.events.append(PacketSent(self._tick(), packet))
        return packet

    def received(self, flags: str, seq: int, ack: int | None = None, data: bytes = b"", options: tuple[Option, ...] = ()) -> bytes:
        """A segment of the peer's; gives the packet."""
        wire = (self.irs + seq, 0 if ack is None else self.iss + ack)
        packet = build(self.remote, self.local, flags, wire, data, options, 64240)
        self.events.append(PacketReceived(self._tick(), packet))
        return packet

    def moves(self, old: str, new: str, cause: str, clause: str, *, listener: bool = False) -> None:
        """A transition of ours, in the same instant as what came before."""
        self.events.append(Transition(self.now, self.local, None if listener else self.remote, old, new, cause, clause))

    def freed(self) -> None:
        """The TCB is gone."""
        self.events.append(Freed(self.now, self.local, self.remote))

    def _tick(self) -> int:
        self.now += MILLISECOND
        return self.now


def build(
    source: Endpoint,
    destination: Endpoint,
    flags: str,
    wire: tuple[int, int],
    data: bytes,
    options: tuple[Option, ...],
    window: int,
    urgent_pointer: int = 0,
) -> bytes:
    """One packet with right checksums."""
    bits = {name: bit for bit, name in FLAG_NAMES}
    segment = TcpSegment(
        source.port,
        destination.port,
        wire[0] & 0xFFFFFFFF,
        wire[1] & 0xFFFFFFFF,
        sum(bits[name] for name in flags.split(",")),
        window,
        urgent_pointer,
        options,
        data,
    )
    payload = CODEC.encode_tcp(segment, source.address, destination.address)
    return CODEC.encode_ip(IPPacket(source.address, destination.address, TCP, payload))


def peer_closes_first() -> Scene:
    """Passive open; data both ways; the peer closes first, in four segments."""
    scene = Scene()
    scene.moves("CLOSED", "LISTEN", "call OPEN", "3.10.1", listener=True)
    scene.received("SYN", 0, options=KERNEL_SYN)
    scene.moves("LISTEN", "SYN-RECEIVED", "segment SYN", "3.10.7.2")
    scene.sent("SYN,ACK", 0, 1, options=OUR_SYN)
    scene.received("ACK", 1, 1)
    scene.moves("SYN-RECEIVED", "ESTABLISHED", "segment ACK", "3.10.7.4 step 5")
    scene.received("PSH,ACK", 1, 1, b"hello from the kernel\n")
    scene.sent("PSH,ACK", 1, 23, b"hello from userstack\n")
    scene.received("ACK", 23, 22)
    scene.received("FIN,ACK", 23, 22)
    scene.moves("ESTABLISHED", "CLOSE-WAIT", "segment FIN,ACK", "3.10.7.4 step 8")
    scene.sent("ACK", 22, 24)
    scene.moves("CLOSE-WAIT", "LAST-ACK", "call CLOSE", "3.10.4")
    scene.sent("FIN,ACK", 22, 24)
    scene.received("ACK", 24, 23)
    scene.moves("LAST-ACK", "CLOSED", "segment ACK", "3.10.7.4 step 5")
    scene.freed()
    return scene


def we_close_first(*, merged: bool = False) -> Scene:
    """Active open; we close first; with ``merged`` the peer's FIN carries its acknowledgement of ours."""
    scene = Scene()
    scene.moves("CLOSED", "SYN-SENT", "call OPEN", "3.10.1")
    scene.sent("SYN", 0, options=OUR_SYN)
    scene.received("SYN,ACK", 0, 1, options=OUR_SYN)
    scene.moves("SYN-SENT", "ESTABLISHED", "segment SYN,ACK", "3.10.7.3 step 4")
    scene.sent("ACK", 1, 1)
    scene.sent("PSH,ACK", 1, 1, b"ping\n")
    scene.received("PSH,ACK", 1, 6, b"pong\n")
    scene.sent("ACK", 6, 6)
    scene.moves("ESTABLISHED", "FIN-WAIT-1", "call CLOSE", "3.10.4")
    scene.sent("FIN,ACK", 6, 6)
    if merged:
        scene.received("FIN,ACK", 6, 7)
        scene.moves("FIN-WAIT-1", "TIME-WAIT", "segment FIN,ACK", "3.10.7.4 step 8")
    else:
        scene.received("ACK", 6, 7)
        scene.moves("FIN-WAIT-1", "FIN-WAIT-2", "segment ACK", "3.10.7.4 step 5")
        scene.received("FIN,ACK", 6, 7)
        scene.moves("FIN-WAIT-2", "TIME-WAIT", "segment FIN,ACK", "3.10.7.4 step 8")
    scene.sent("ACK", 7, 7)
    scene.now += 2000 * MILLISECOND
    scene.moves("TIME-WAIT", "CLOSED", "timer TIME-WAIT", "3.10.8")
    scene.freed()
    return scene
