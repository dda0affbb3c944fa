"""The stack's side of the comparison: a ``VirtualHost`` with one connection, and what can be seen of it from outside."""

from socket import AF_INET, AF_INET6, SHUT_WR, SO_ERROR, SO_OOBINLINE, SOL_SOCKET
from typing import NamedTuple

from tests.oracle.values import MODULO, Segment, Sent
from userstack.address import pack_address
from userstack.config import StackConfig
from userstack.sim import VirtualHost
from userstack.sim.virtual_socket import VirtualSocket
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, TcpSegment

CODEC = make_codec("fast")
BITS = {"S": SYN, "F": FIN, "R": RST, "A": ACK, "P": PSH, "U": URG, "E": ECE, "C": CWR}
LOCAL_PORT, REMOTE_PORT = 80, 5000
BUFFER = 200
"""RCV.BUFF: one packet fills it."""
ISN_TICK = 4_000
"""Nanoseconds in which the clock of initial sequence numbers moves by one (RFC 9293 3.4.1)."""


class Family(NamedTuple):
    """An address family, and the addresses of both ends."""

    name: str
    number: int
    local: str
    remote: str
    prefix: int
    mss: int
    """Eff.snd.MSS where the peer names none (3.7.1)."""


IPV4 = Family("IPv4", AF_INET, "192.0.2.1", "192.0.2.2", 24, 536)
IPV6 = Family("IPv6", AF_INET6, "2001:db8::1", "2001:db8::2", 64, 1220)
FAMILIES = (IPV4, IPV6)


def config(**settings: object) -> StackConfig:
    """The settings of the comparison: a small buffer, no Nagle, and no throttle unless it is asked for."""
    return StackConfig(**{"receive_buffer": BUFFER, "nagle": False, "challenge_ack_limit": 10**6, **settings})  # type: ignore[arg-type]


def letters(flags: int) -> str:
    """The control bits that the oracle knows, in its order; PSH says nothing that it could judge."""
    return "".join(letter for letter in "SFRA" if flags & BITS[letter])


class Stack:
    """One host, its listener, and the socket of the one connection."""

    def __init__(self, family: Family, settings: StackConfig, start: int = 0) -> None:
        self.family = family
        self.host = VirtualHost([f"{family.local}/{family.prefix}"], config=settings, start=start)
        self.source, self.destination = pack_address(family.remote), pack_address(family.local)
        self.listener: VirtualSocket | None = None
        self.socket: VirtualSocket | None = None

    # --- packets ---

    def packet(self, segment: Segment) -> bytes:
        """The segment from the peer as an IP packet."""
        flags = sum(BITS[letter] for letter in segment.ctl)
        value = TcpSegment(REMOTE_PORT, LOCAL_PORT, segment.seq, segment.ack, flags, segment.wnd, segment.urg, payload=segment.data)
        payload = CODEC.encode_tcp(value, self.source, self.destination)
        return CODEC.encode_ip(IPPacket(self.source, self.destination, TCP, payload))

    def deliver(self, packet: bytes) -> None:
        self.host.deliver(packet)

    def sent(self) -> list[Sent]:
        """What was sent since the last call."""
        return [self._read(packet) for _, packet in self.host.take()]

    def _read(self, packet: bytes) -> Sent:
        ip = CODEC.decode_ip(packet)
        assert (ip.source, ip.destination) == (self.destination, self.source)
        value = CODEC.decode_tcp(ip)
        assert (value.source_port, value.destination_port) == (LOCAL_PORT, REMOTE_PORT)
        window = None if value.flags & RST else value.window
        return Sent(letters(value.flags), value.seq, value.ack if value.flags & ACK else 0, bytes(value.payload), window)

    # --- calls ---

    def listen(self) -> None:
        self.listener = self.host.socket(self.family.number)
        self.listener.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)
        self.listener.bind((self.family.local, LOCAL_PORT))
        self.listener.listen(5)

    def connect(self) -> None:
        self.socket = self.host.socket(self.family.number)
        self.socket.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)  # urgent data is text as any other (RFC 6093 2.1)
        self.socket.bind((self.family.local, LOCAL_PORT))
        self.socket.connect_ex((self.family.remote, REMOTE_PORT))

    def accept(self) -> bool:
        """Take the connection where it has been established; whether there was one."""
        assert self.listener is not None
        try:
            self.socket, _ = self.listener.accept()
        except BlockingIOError:
            return False
        return True

    def send(self, data: bytes) -> None:
        assert self.socket is not None
        assert self.socket.send(data) == len(data)

    def shutdown(self) -> None:
        assert self.socket is not None
        self.socket.shutdown(SHUT_WR)

    def close(self) -> None:
        assert self.socket is not None
        self.socket.close()
        self.socket = None

    def forget(self) -> None:
        """Let go of the socket as it is."""
        self.socket = None

    def receive(self) -> bytes | int:
        """All that can be read, or the errno."""
        assert self.socket is not None
        try:
            got = self.socket.recv(2 * BUFFER)
        except OSError as error:
            return error.errno or 0
        # Reading stops where the last urgent octet is next.
        more = self.socket.sockatmark() and self.socket.queued()[0] > 0
        return got + self.socket.recv(2 * BUFFER) if more else got

    def send_nothing(self) -> int:
        """The errno of a send() of no octets, 0 where they are taken."""
        assert self.socket is not None
        try:
            return self.socket.send(b"")
        except OSError as error:
            return error.errno or 0

    def take_error(self) -> int:
        """SO_ERROR."""
        assert self.socket is not None
        value = self.socket.getsockopt(SOL_SOCKET, SO_ERROR)
        assert isinstance(value, int)
        return value

    def run(self, duration: int) -> None:
        self.host.run(self.host.now + duration)

    # --- what netstat shows ---

    def state(self) -> tuple[str, str]:
        """The state of the pair of sockets, and the timer that fires next."""
        rows = [row for row in self.host.connections() if row.remote is not None]
        if rows:
            (row,) = rows
            return row.state.value, row.timer
        return "LISTEN" if self.listener is not None else "CLOSED", ""


def start_for(family: Family, iss: int) -> int:
    """The start of the clock with which the connection's ISS is ``iss``."""
    stack = Stack(family, config())
    stack.connect()
    (syn,) = stack.sent()
    return (iss - syn.seq) % MODULO * ISN_TICK
