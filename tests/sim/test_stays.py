"""The ``stay`` rows of transitions.csv that IP decides, with a whole host: RFC 9293 3.9.2.2 and 3.9.2.3."""

import pytest

from tests.sim.peer import CODEC, Peer
from tests.tcp.stays import OPENED, stays
from userstack.address import pack_address
from userstack.sim import VirtualHost, VirtualSocket
from userstack.tcp.state import State
from userstack.wire.icmp import IcmpMessage
from userstack.wire.ip import ICMP, IPPacket

US, THEM, PORT = "192.168.0.1", "192.168.0.2", 5000
SOURCE_QUENCH = 4
IRS = 1000


class Played:
    """A host with one connection, and the peer that leads it into a state."""

    def __init__(self) -> None:
        self.host = VirtualHost([f"{US}/16"])
        self.socket: VirtualSocket = self.host.socket()
        self.socket.connect_ex((THEM, PORT))
        self.sent = self.host.take()
        self.peer = Peer(self.host, self.socket.getsockname()[:2], (THEM, PORT))
        self.iss = CODEC.decode_tcp(CODEC.decode_ip(self.sent[0][1])).seq

    def says(self, flags: str, *, seq: int, ack: int) -> None:
        self.host.deliver(self.peer.packet(flags, seq=IRS + seq, ack=self.iss + ack))
        self.sent += self.host.take()

    def shuts_down(self) -> None:
        self.socket.shutdown(1)
        self.sent += self.host.take()

    def reaches(self, state: State) -> None:
        """The shortest way there from SYN-SENT."""
        if state is State.SYN_RECEIVED:
            self.says("SYN", seq=0, ack=0)
        elif state is not State.SYN_SENT:
            self.says("SYN,ACK", seq=0, ack=1)
        if state in (State.CLOSE_WAIT, State.LAST_ACK):
            self.says("FIN,ACK", seq=1, ack=1)
        if state not in (State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT):
            self.shuts_down()
        if state is State.CLOSING:
            self.says("FIN,ACK", seq=1, ack=1)
        if state in (State.FIN_WAIT_2, State.TIME_WAIT):
            self.says("ACK", seq=1, ack=2)
        if state is State.TIME_WAIT:
            self.says("FIN,ACK", seq=1, ack=2)
        assert self.states() == [state]

    def states(self) -> list[State]:
        return [row.state for row in self.host.connections()]


@stays("ICMP source quench", of=OPENED)
@pytest.mark.requirement("MUST-55")
def test_source_quench_is_discarded(state: State, record: bool) -> None:
    played = Played()
    played.reaches(state)
    deadline = played.host.next_deadline()
    quote = played.sent[-1][1]
    message = CODEC.encode_icmp(IcmpMessage(SOURCE_QUENCH, 0, 0, quote))
    played.host.deliver(CODEC.encode_ip(IPPacket(pack_address(THEM), pack_address(US), ICMP, message)))
    assert played.host.take() == []
    assert played.states() == [state]
    assert played.host.next_deadline() == deadline
    assert played.socket.getsockopt(1, 4) == 0, "SO_ERROR: nobody is told"


@stays("segment: SYN | invalid source, or broadcast/multicast destination", of=(State.LISTEN,))
@pytest.mark.requirement("MUST-57")
@pytest.mark.requirement("MUST-63")
@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("255.255.255.255", US),
        ("224.0.0.1", US),
        ("0.0.0.0", US),
        ("127.0.0.1", US),
        ("192.168.255.255", US),
        (THEM, "255.255.255.255"),
        (THEM, "192.168.255.255"),
        (THEM, "224.0.0.1"),
    ],
)
def test_a_syn_of_or_to_what_is_no_host_is_discarded(state: State, record: bool, source: str, destination: str) -> None:
    host = VirtualHost([f"{US}/16"])
    listener = host.socket()
    listener.bind(("0.0.0.0", 80))
    listener.listen(5)
    assert Peer(host, (destination, 80), (source, PORT)).say("SYN", seq=1) == []
    assert [row.state for row in host.connections()] == [state]
    assert [heard.flags for heard in Peer(host, (US, 80), (THEM, PORT)).say("SYN", seq=1)] == ["SYN,ACK"]
