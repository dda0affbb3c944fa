"""What a packetdrill script cannot write: octets of a TCP header that mean nothing, and yet come."""

import itertools

import pytest

from tests.sim.nets import Net
from userstack.address import pack_address
from userstack.config import SECOND
from userstack.sim import VirtualHost
from userstack.wire.checksum import finish, pseudo_header_sum, word_sum
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, AE, FIN, PSH, RST, SYN, TcpSegment

CODEC = make_codec("fast")


class RawPeer:
    """Says segments octet by octet."""

    def __init__(self, net: Net) -> None:
        self.host = VirtualHost([net.prefix])
        self.here, self.there = pack_address(net.here), pack_address(net.there)
        self.listener = self.host.socket(net.family)
        self.listener.bind((net.here, 80))
        self.listener.listen(1)
        self.mine = 0

    def say(self, flags: int, seq: int, *, options: bytes = b"", reserved: int = 0, data: bytes = b"") -> list[TcpSegment]:
        """What the host answers."""
        bits = (20 + len(options)) << 10 | reserved << 9 | flags
        ack = self.mine if flags & ACK else 0
        head = b"".join(
            number.to_bytes(size, "big")
            for number, size in ((5000, 2), (80, 2), (seq, 4), (ack, 4), (bits, 2), (65535, 2), (0, 2), (0, 2))
        )
        octets = head + options + data
        checksum = finish(pseudo_header_sum(self.there, self.here, TCP, len(octets)) + word_sum(octets))
        octets = octets[:16] + checksum.to_bytes(2, "big") + octets[18:]
        self.host.deliver(CODEC.encode_ip(IPPacket(self.there, self.here, TCP, octets)))
        self.host.run(self.host.now + SECOND // 10)
        heard = [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in self.host.take()]
        self.mine = next((segment.seq + 1 for segment in heard if segment.flags & SYN), self.mine)
        return heard

    def converses(self, *, options: bytes = b"", reserved: int = 0) -> list[TcpSegment]:
        """A whole connection whose segments of ours all carry these octets; all that the host has said."""
        heard = self.say(SYN, 7, options=options, reserved=reserved)
        heard += self.say(ACK, 8, options=options, reserved=reserved)
        heard += self.say(ACK | PSH, 8, options=options, reserved=reserved, data=b"text")
        accepted, _ = self.listener.accept()
        assert accepted.recv(10) == b"text"
        heard += self.say(FIN | ACK, 12, options=options, reserved=reserved)
        assert accepted.recv(10) == b""
        accepted.close()
        self.host.take()
        self.mine += 1
        heard += self.say(ACK, 13, options=options, reserved=reserved)
        assert [row.remote for row in self.host.connections()] == [None]
        return heard


@pytest.mark.parametrize("reserved", [1, 2, 4, 7])
def test_reserved_bits_are_ignored_and_never_sent_back(net: Net, reserved: int) -> None:
    heard = RawPeer(net).converses(reserved=reserved)
    assert [segment.flags for segment in heard] == [SYN | ACK, ACK, ACK]
    assert {segment.reserved for segment in heard} == {0}


@pytest.mark.parametrize(
    "options",
    [
        bytes(40),
        b"\1" * 40,
        b"\0" + b"\xff" * 39,
        b"\1\1\0" + b"\2\0" + b"\xff" * 3,
        b"\xfe\x28" + b"\xaa" * 38,
        b"\xfd\2\xfc\2" * 10,
        b"\2\2\3\2\4\3\0\5\2\5\3\0\x08\2\x08\4\0\0\2\3\0\1",
    ],
    ids=lambda options: options.hex()[:16],
)
def test_a_whole_connection_with_odd_options_on_every_segment(net: Net, options: bytes) -> None:
    padded = options + b"\1" * (-len(options) % 4)
    heard = RawPeer(net).converses(options=padded)
    assert [segment.flags for segment in heard] == [SYN | ACK, ACK, ACK]
    assert [option.kind for option in heard[0].options] == [2]


def test_the_options_of_a_syn_in_every_order(net: Net) -> None:
    pieces = [b"\2\4\3\xe8", b"\1\3\3\7", b"\4\2\1\1", b"\1\x08\x0a" + bytes(8) + b"\1", b"\xfe\4\xab\xcd"]
    answers = {RawPeer(net).say(SYN, 7, options=b"".join(order))[0].options[0] for order in itertools.permutations(pieces)}
    kinds = {
        tuple(option.kind for option in RawPeer(net).say(SYN, 7, options=b"".join(order))[0].options)
        for order in itertools.islice(itertools.permutations(pieces), 0, None, 7)
    }
    assert len(answers) == 1
    assert kinds == {(2, 4, 8, 1, 3)}


def test_the_text_of_a_syn_is_there_once_the_connection_is(net: Net) -> None:
    peer = RawPeer(net)
    (answer,) = peer.say(SYN | PSH, 7, data=b"early")
    assert answer.ack == 8
    (ack,) = peer.say(ACK, 8)
    assert ack.ack == 13
    accepted, _ = peer.listener.accept()
    assert accepted.recv(10) == b"early"


@pytest.mark.requirement("SHLD-2")
@pytest.mark.parametrize("flags", [RST, RST | ACK, RST | PSH | ACK | AE])
def test_a_reset_with_text_resets(net: Net, flags: int) -> None:
    peer = RawPeer(net)
    peer.say(SYN, 7)
    peer.say(ACK, 8)
    accepted, _ = peer.listener.accept()
    assert peer.say(flags, 8, data=b"because") == []
    with pytest.raises(ConnectionResetError):
        accepted.recv(10)
