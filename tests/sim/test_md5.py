"""Signed connections (RFC 2385) from their SYN to the end of TIME-WAIT: all that goes out is signed, nothing else is taken."""

import contextlib
import errno
import socket
import struct

import pytest

from tests.sim.nets import Net
from tests.support.md5 import FLAG_PREFIX, TCP_MD5SIG, TCP_MD5SIG_EXT, tcp_md5sig
from tests.support.virtual import VirtualNetwork
from userstack.address import pack_address
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.sim.fast_open_options import TCP_FASTOPEN
from userstack.sim.transfer import MSG_FASTOPEN
from userstack.sim.virtual_socket import VirtualSocket
from userstack.tcp import md5sig
from userstack.tcp.state import State
from userstack.tcp.uto import USER_TIMEOUT
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import (
    ACK,
    FAST_OPEN,
    FIN,
    MD5,
    MSS,
    NOP,
    PSH,
    RST,
    SACK,
    SACK_PERMITTED,
    SYN,
    TIMESTAMPS,
    WINDOW_SCALE,
    Option,
    TcpSegment,
)

CODEC = make_codec("fast")
KEY = b"secret"


def give_key(sock: VirtualSocket, peer: str, key: bytes) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, tcp_md5sig(peer, key))


class Router:
    """A peer that the test plays: signs what it says, unless told otherwise, and checks the signature of all that it hears."""

    def __init__(self, net: Net, host: VirtualHost, *, port: int = 5000, target: int = 179) -> None:
        self.host = host
        self.here, self.there = pack_address(net.here), pack_address(net.there)
        self.port, self.target = port, target

    def say(
        self,
        flags: int,
        seq: int,
        ack: int = 0,
        data: bytes = b"",
        *,
        options: tuple[Option, ...] = (),
        key: bytes | None = KEY,
        target: int | None = None,
    ) -> list[TcpSegment]:
        """What the host answers."""
        segment = TcpSegment(self.port, target or self.target, seq, ack, flags, 65535, options=options, payload=data)
        if key is not None:
            md5sig.sign(segment, self.there, self.here, key)
        octets = CODEC.encode_tcp(segment, self.there, self.here)
        self.host.deliver(CODEC.encode_ip(IPPacket(self.there, self.here, TCP, octets)))
        return self.hear()

    def hear(self, *, signed: bool = True) -> list[TcpSegment]:
        """What the host has sent since."""
        heard = []
        for _, packet in self.host.take():
            segment = CODEC.decode_tcp(CODEC.decode_ip(packet))
            assert md5sig.failure(segment, self.here, self.there, KEY if signed else None) is None
            heard.append(segment)
        return heard

    def waits(self, duration: int) -> list[TcpSegment]:
        self.host.run(self.host.now + duration)
        return self.hear()


def listening(net: Net, config: StackConfig | None = None, *, port: int = 179) -> tuple[VirtualHost, VirtualSocket, Router]:
    host = VirtualHost([net.prefix], config=config or StackConfig())
    listener = host.socket(net.family)
    give_key(listener, net.there, KEY)
    listener.bind((net.here, port))
    listener.listen(5)
    return host, listener, Router(net, host)


def established(net: Net, config: StackConfig | None = None) -> tuple[VirtualHost, VirtualSocket, Router, int]:
    """And our ISS."""
    host, listener, router = listening(net, config)
    (answer,) = router.say(SYN, 0, options=(Option(MSS, b"\x23\x28"), Option(SACK_PERMITTED)))
    router.say(ACK, 1, answer.seq + 1)
    return host, listener.accept()[0], router, answer.seq


def kinds(segment: TcpSegment) -> list[int]:
    return [kind for kind, _ in segment.options if kind != NOP]


def test_a_whole_life_is_signed(net: Net) -> None:
    keepalive = StackConfig(keepalive=True, keepalive_time=10 * SECOND)
    _, ours, router, iss = established(net, keepalive)
    mine = iss + 1
    ours.send(b"x" * 100)
    (sent,) = router.hear()
    (again,) = router.waits(3 * SECOND // 2)
    assert again.seq == sent.seq == mine
    router.say(ACK, 1, mine + 100)
    assert [segment.flags for segment in router.waits(11 * SECOND)] == [ACK]  # keep-alive
    router.say(ACK, 1, mine + 100)
    assert router.say(ACK | PSH, 1, mine + 100, b"text") + router.waits(SECOND) != []
    assert router.say(SYN, 1, 0) != []  # challenge ACK
    ours.recv(10)
    ours.shutdown(socket.SHUT_WR)
    assert [segment.flags for segment in router.hear()] == [FIN | ACK]
    assert [segment.flags for segment in router.say(FIN | ACK, 5, mine + 101)] == [ACK]
    assert ours._connection is not None
    assert ours._connection.state is State.TIME_WAIT
    assert [segment.flags for segment in router.say(FIN | ACK, 5, mine + 101)] == [ACK]  # TIME-WAIT's own


def test_a_reset_is_signed(net: Net) -> None:
    host, ours, router, _ = established(net)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours.close()
    assert [bool(segment.flags & RST) for segment in router.hear()] == [True]
    assert host.counters["TcpOutRsts"] == 1


@pytest.mark.parametrize(
    ("key", "counter"), [(None, "TcpExtTCPMD5NotFound"), (b"wrong", "TcpExtTCPMD5Failure")], ids=["unsigned", "wrong key"]
)
def test_what_is_not_signed_rightly_is_neither_answered_nor_taken_in_any_state(net: Net, key: bytes | None, counter: str) -> None:
    host, listener, router = listening(net)
    assert router.say(SYN, 0, key=key) == []
    assert router.say(ACK, 0, 9, key=key) == []  # a listener's RST would be the answer
    assert host.counters[counter] == 2
    (answer,) = router.say(SYN, 0)
    mine = answer.seq + 1
    assert router.say(RST, 1, key=key) == []  # SYN-RECEIVED
    assert router.say(ACK, 1, mine, key=key) == []
    with pytest.raises(BlockingIOError):
        listener.accept()
    router.say(ACK, 1, mine)
    ours, _ = listener.accept()
    for flags, seq in ((RST, 1), (RST, 3), (SYN, 1), (ACK | PSH, 1), (ACK | FIN, 1), (ACK, 90_000)):
        assert router.say(flags, seq, mine, b"forged" if flags & PSH else b"", key=key) == []
    ours.shutdown(socket.SHUT_WR)
    router.hear()
    router.say(FIN | ACK, 1, mine + 1)
    for flags, seq in ((FIN | ACK, 1), (RST, 2), (SYN, 100_000), (SYN, 2)):
        assert router.say(flags, seq, mine + 1, key=key) == []  # TIME-WAIT
    assert ours._connection is not None
    assert ours._connection.state is State.TIME_WAIT
    assert host.counters[counter] == 14
    assert host.counters["TcpOutRsts"] == 0


def test_without_a_key_a_signature_is_unexpected(net: Net) -> None:
    host = VirtualHost([net.prefix])
    listener = host.socket(net.family)
    listener.bind((net.here, 179))
    listener.listen(5)
    router = Router(net, host)
    assert router.say(SYN, 0) == []
    assert router.say(SYN, 0, target=4) == []
    assert host.counters["TcpExtTCPMD5Unexpected"] == 2


def test_a_new_incarnation_out_of_time_wait_is_signed_too(net: Net) -> None:
    host, ours, router, iss = established(net)
    ours.close()
    router.hear()
    router.say(FIN | ACK, 1, iss + 2)
    (answer,) = router.say(SYN, 100_000)
    assert answer.flags == SYN | ACK
    assert kinds(answer)[0] == MD5
    assert [row.state for row in host.connections()] == [State.LISTEN, State.SYN_RECEIVED]


@pytest.mark.parametrize(("sack", "expected"), [(True, [MD5, MSS, SACK_PERMITTED]), (False, [MD5, MSS, TIMESTAMPS])])
def test_timestamps_give_way_where_sack_needs_the_room(net: Net, sack: bool, expected: list[int]) -> None:
    _, _, router = listening(net)
    asked = (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes(8)))
    (answer,) = router.say(SYN, 0, options=(*asked, Option(SACK_PERMITTED)) if sack else asked)
    assert kinds(answer) == expected


def test_our_own_syn_goes_without_timestamps(net: Net) -> None:
    host = VirtualHost([net.prefix])
    client = host.socket(net.family)
    give_key(client, net.there, KEY)
    client.bind((net.here, 4000))
    assert client.connect_ex((net.there, 179)) == errno.EINPROGRESS
    router = Router(net, host, port=179, target=4000)
    (syn,) = router.hear()
    assert kinds(syn) == [MD5, MSS, SACK_PERMITTED, 3]
    assert 20 + 40 >= syn.header == 52
    # Whoever offers them all the same does not get them.
    stamps = (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes(8)))
    (ack,) = router.say(SYN | ACK, 0, syn.seq + 1, options=stamps)
    assert kinds(ack) == [MD5]
    assert client.connect_ex((net.there, 179)) == 0


def test_two_blocks_of_sack_fit_and_the_text_makes_room(net: Net) -> None:
    _, ours, router, iss = established(net)
    for first in (101, 301, 501):
        (ack,) = router.say(ACK | PSH, first, iss + 1, b"x" * 100)
    assert kinds(ack) == [MD5, SACK]
    assert len(ack.options[-1].data) == 16
    ours.send(b"y" * 3000)
    full = 1500 - (20 if net.family == socket.AF_INET else 40)
    assert [len(segment.payload) + segment.header for segment in router.hear()][:2] == [full, full]


def test_a_connection_that_is_lost_is_reset_by_the_key_of_whoever_listens_on_the_peers_port(net: Net) -> None:
    host, _, _ = listening(net)
    router = Router(net, host, port=179, target=40_000)
    assert [segment.flags & RST for segment in router.say(ACK, 1, 77)] == [RST]
    assert router.say(ACK, 1, 77, key=b"wrong") == []
    assert host.counters["TcpExtTCPMD5Failure"] == 1
    stranger = Router(net, host, port=180, target=40_000)
    assert stranger.say(ACK, 1, 77) == []
    assert host.counters["TcpExtTCPMD5Unexpected"] == 1
    assert host.counters["TcpOutRsts"] == 1


def test_a_listener_answers_what_is_nobodys_by_a_signed_reset(net: Net) -> None:
    _, _, router = listening(net)
    assert [segment.flags for segment in router.say(ACK, 1, 77)] == [RST]


def test_half_open_connections_follow_a_change_of_the_listeners_key(net: Net) -> None:
    host, listener, router = listening(net)
    (answer,) = router.say(SYN, 0, key=KEY)
    give_key(listener, net.there, b"new")
    router.say(ACK, 1, answer.seq + 1, key=KEY)
    assert host.counters["TcpExtTCPMD5Failure"] == 1
    router.say(ACK, 1, answer.seq + 1, key=b"new")
    assert listener.accept()[0].state is State.ESTABLISHED


def test_the_longest_prefix_wins_and_of_two_alike_the_later(net: Net) -> None:
    host, listener, router = listening(net)
    other = net.there[:-1] + "6"
    for peer, key, bits in ((net.there, b"first", 24), (other, b"later", 24), (other, b"wide", 8)):
        raw = tcp_md5sig(peer, key, prefix=bits, flags=FLAG_PREFIX)
        listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, raw)
    give_key(listener, net.there, b"")
    for key, counted in ((KEY, 1), (b"wide", 2), (b"first", 3), (b"later", 3)):
        segment = TcpSegment(5000, 179, 0, 0, SYN, 65535)
        md5sig.sign(segment, router.there, router.here, key)
        host.deliver(
            CODEC.encode_ip(IPPacket(router.there, router.here, TCP, CODEC.encode_tcp(segment, router.there, router.here)))
        )
        assert host.counters["TcpExtTCPMD5Failure"] == counted
    assert len(host.take()) == 1


def test_a_socket_has_so_many_keys_and_no_more(net: Net) -> None:
    host = VirtualHost([net.prefix], config=StackConfig(md5_keys=2))
    sock = host.socket(net.family)
    give_key(sock, net.here, KEY)
    give_key(sock, net.there, KEY)
    with pytest.raises(OSError, match="md5_keys") as caught:
        give_key(sock, net.other, KEY)
    assert caught.value.errno == errno.ENOMEM
    give_key(sock, net.there, b"changed")
    give_key(sock, net.there, b"")
    give_key(sock, net.other, KEY)


def test_over_a_dual_socket_a_mapped_peer_signs_over_ipv4() -> None:
    first, second = VirtualHost(["10.0.0.1/24"], seed=1), VirtualHost(["10.0.0.2/24", "fd3d::2/64"], seed=2)
    network = VirtualNetwork({"10.0.0.1": first, "10.0.0.2": second})
    listener, client = second.socket(socket.AF_INET6), first.socket(socket.AF_INET)
    give_key(listener, "::ffff:10.0.0.1", KEY)
    give_key(client, "10.0.0.2", KEY)
    listener.bind(("::", 179))
    listener.listen(1)
    client.connect_ex(("10.0.0.2", 179))
    network.run_for(10 * MILLISECOND)
    accepted, name = listener.accept()
    assert name[0] == "::ffff:10.0.0.1"
    client.send(b"open")
    network.run_for(10 * MILLISECOND)
    assert accepted.recv(10) == b"open"


@pytest.mark.parametrize("sack", [True, False])
def test_a_signed_cookie_agrees_to_nothing_that_its_timestamp_does_not_carry(net: Net, sack: bool) -> None:
    _, listener, router = listening(net, StackConfig(syncookies=2, receive_buffer=1 << 20))
    beside = (Option(SACK_PERMITTED),) if sack else ()
    stamps = (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes(8)))
    (answer,) = router.say(SYN, 0, options=(*stamps, *SCALE, *beside))
    assert kinds(answer) == [MD5, MSS] if sack else [MD5, MSS, TIMESTAMPS, WINDOW_SCALE]
    echoed = next((option.data[:4] for option in answer.options if option.kind == TIMESTAMPS), b"")
    router.say(ACK, 1, answer.seq + 1, options=(Option(TIMESTAMPS, bytes(4) + echoed),) if echoed else ())
    info = listener.accept()[0].info()
    assert (info.snd_wscale, info.sack_permitted, info.timestamps) == ((None, False, False) if sack else (7, False, True))


# --- what of the options has room beside the signature (RFC 2385 4.3) ---


SCALE = (Option(NOP), Option(WINDOW_SCALE, b"\x07"))
STAMPS = (Option(NOP), Option(NOP), Option(TIMESTAMPS, bytes(8)))


@pytest.mark.parametrize(("beside", "told"), [(STAMPS, False), ((Option(SACK_PERMITTED),), True)])
def test_the_user_timeout_goes_with_a_signed_syn_ack_where_it_has_room(net: Net, beside: tuple[Option, ...], told: bool) -> None:
    _, _, router = listening(net, StackConfig(uto=True))
    (answer,) = router.say(SYN, 0, options=(Option(MSS, b"\x23\x28"), *beside, *SCALE))
    assert WINDOW_SCALE in kinds(answer)
    assert (USER_TIMEOUT in kinds(answer)) is told
    (ack, *_) = router.say(ACK | PSH, 1, answer.seq + 1, b"x") or router.waits(SECOND)
    assert USER_TIMEOUT in kinds(ack)  # RFC 5482 3: in the first segment without SYN too


@pytest.mark.parametrize("beside", [STAMPS, (Option(SACK_PERMITTED), *SCALE)], ids=["timestamps", "sack"])
def test_a_fast_open_cookie_has_no_room_in_a_signed_syn_ack(net: Net, beside: tuple[Option, ...]) -> None:
    host = VirtualHost([net.prefix], config=StackConfig(fast_open=3))
    listener = host.socket(net.family)
    give_key(listener, net.there, KEY)
    listener.bind((net.here, 179))
    listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 5)
    listener.listen(5)
    router = Router(net, host)
    (answer,) = router.say(SYN, 0, options=(Option(MSS, b"\x23\x28"), *beside, Option(FAST_OPEN)))
    assert answer.flags == SYN | ACK
    assert FAST_OPEN not in kinds(answer)
    router.say(ACK, 1, answer.seq + 1)
    listener.accept()


def test_a_signed_syn_that_has_no_room_for_its_cookie_carries_no_text(net: Net) -> None:
    host = VirtualHost([net.prefix], config=StackConfig(fast_open=3))
    mss = Option(MSS, b"\x05\xb4")

    def opens(port: int) -> tuple[VirtualSocket, Router, TcpSegment]:
        client = host.socket(net.family)
        give_key(client, net.there, KEY)
        client.bind((net.here, port))
        with contextlib.suppress(BlockingIOError):
            client.sendto(b"hello", MSG_FASTOPEN, (net.there, 179))
        router = Router(net, host, port=179, target=port)
        (syn,) = router.hear()
        return client, router, syn

    _, router, syn = opens(4000)
    assert FAST_OPEN in kinds(syn)  # which asks for a cookie
    router.say(SYN | ACK, 0, syn.seq + 1, options=(mss, Option(FAST_OPEN, b"12345678")))
    _, router, syn = opens(4001)
    assert FAST_OPEN not in kinds(syn)
    assert bytes(syn.payload) == b""
    sent = router.say(SYN | ACK, 0, syn.seq + 1, options=(mss,))
    assert b"".join(bytes(segment.payload) for segment in sent) == b"hello"
    _, _, syn = opens(4002)
    assert FAST_OPEN not in kinds(syn)
