"""TCP Fast Open between two hosts in virtual time: who is remembered for what, how much may be pending, and chance."""

import errno
from dataclasses import replace

import pytest

from tests.sim.nets import Net
from tests.support.virtual import Impaired, VirtualNetwork
from userstack.address import pack_address
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.sim.fast_open_options import TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY, TCP_FASTOPEN_NO_COOKIE
from userstack.sim.transfer import MSG_FASTOPEN
from userstack.sim.virtual_socket import VirtualSocket
from userstack.tcp.fastopen import read_cookie
from userstack.tcp.state import State
from userstack.wire.codec import make_codec
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, EXPERIMENT, FAST_OPEN, FIN, RST, SYN, Option, TcpSegment

CODEC = make_codec("fast")
BOTH = StackConfig(fast_open=3)
TCP_LEVEL = 6
DATA = b"twelve bytes"


class Two:
    """A client's host and a server's with a listener, joined."""

    def __init__(self, net: Net, *, client: StackConfig = BOTH, server: StackConfig = BOTH, queue: int = 5, seed: int = 0) -> None:
        self.net = net
        suffix = net.prefix[net.prefix.index("/") :]
        self.client = VirtualHost([net.there + suffix], config=client, seed=seed)
        self.server = VirtualHost([net.prefix], config=server, seed=seed + 1)
        self.listener = self.server.socket(net.family)
        self.listener.bind((net.here, 80))
        self.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN, queue)
        self.listener.listen(8)
        self.cut = False
        self.wire = VirtualNetwork({net.there: self.client, net.here: self.server}, fate=self._fate)

    def _fate(self, _index: int, packet: bytes) -> list[tuple[int, bytes]]:
        return [] if self.cut else [(0, packet)]

    def open(self, data: bytes = DATA, port: int = 80) -> tuple[VirtualSocket, int]:
        """A client that sends with its SYN, and how many octets that took."""
        sock = self.client.socket(self.net.family)
        try:
            return sock, sock.sendto(data, MSG_FASTOPEN, (self.net.here, port))
        except BlockingIOError:
            return sock, 0

    def finish(self, sock: VirtualSocket) -> bytes:
        """Let the handshake end and both ends close; what the server got."""
        self.wire.run_for(200 * MILLISECOND)
        accepted, _ = self.listener.accept()
        data = accepted.recv(100) if accepted.queued()[0] else b""
        sock.close()
        accepted.close()
        self.wire.run_for(200 * MILLISECOND)
        return data

    def syns(self) -> list[tuple[int, bytes | None]]:
        """Of each SYN of the client's on the wire: the octets of text, and what the option says; the wire forgets them."""
        self.wire.run_for(0)
        segments = [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in self.wire.log]
        self.wire.log.clear()
        opened = [segment for segment in segments if segment.flags & (SYN | ACK) == SYN]
        return [(len(segment.payload), cookie_of(segment)) for segment in opened]

    def last_kind(self) -> int:
        """Of the option of Fast Open that the client sent last."""
        segments = [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in self.wire.log]
        return [kind for segment in segments for kind, _ in segment.options if kind in (FAST_OPEN, EXPERIMENT)][-1]

    def learn(self) -> None:
        """The client gets its cookie."""
        sock, taken = self.open(b"")
        assert taken == 0
        self.finish(sock)
        assert self.syns() == [(0, b"")]


def cookie_of(segment: TcpSegment) -> bytes | None:
    cookie = read_cookie(segment.options)
    return None if cookie is None else cookie.value


def test_a_cookie_is_asked_for_once_and_used_then(net: Net) -> None:
    two = Two(net)
    two.learn()
    for _ in range(2):
        sock, taken = two.open()
        assert taken == len(DATA)
        assert two.finish(sock) == DATA
        ((octets, cookie),) = two.syns()
        assert octets == len(DATA)
        assert cookie is not None
        assert len(cookie) == 8
    assert two.client.counters["TcpExtTCPFastOpenActive"] == two.server.counters["TcpExtTCPFastOpenPassive"] == 2
    assert two.server.counters["TcpExtTCPFastOpenCookieReqd"] == 1
    assert two.server.counters["TcpPassiveOpens"] == 3


def test_the_text_is_accepted_and_answered_within_half_a_round_trip(net: Net) -> None:
    two = Two(net)
    two.learn()
    sock, _ = two.open()
    two.wire.run_for(MILLISECOND)
    accepted, _ = two.listener.accept()
    assert (accepted.state, accepted.recv(100)) == (State.SYN_RECEIVED, DATA)
    assert accepted.send(b"answer") == 6
    two.wire.run_for(MILLISECOND)
    assert (sock.state, sock.recv(100)) == (State.ESTABLISHED, b"answer")
    two.wire.run_for(MILLISECOND)
    assert accepted.state is State.ESTABLISHED


def test_each_host_has_a_key_of_its_own_and_a_listener_may_have_another(net: Net) -> None:
    def cookie(seed: int, key: bytes | None = None) -> bytes | None:
        two = Two(net, seed=seed)
        if key is not None:
            two.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, key)
        two.learn()
        two.open()
        return two.syns()[0][1]

    assert len({cookie(0), cookie(0), cookie(2), cookie(0, b"k" * 16)}) == 3


def test_a_cookie_of_another_key_is_refused_and_replaced(net: Net) -> None:
    two = Two(net)
    two.learn()
    two.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, b"k" * 16)
    for fails in (1, 1):
        sock, taken = two.open()
        assert taken == len(DATA)
        assert two.finish(sock) == DATA
        assert two.client.counters["TcpExtTCPFastOpenActiveFail"] == two.server.counters["TcpExtTCPFastOpenPassiveFail"] == fails
    assert two.client.counters["TcpExtTCPFastOpenActive"] == 1


def test_a_former_key_is_good_and_the_new_one_follows(net: Net) -> None:
    two = Two(net)
    two.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, b"k" * 16)
    two.learn()
    two.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, b"l" * 16 + b"k" * 16)
    for _ in range(2):
        assert two.finish(two.open()[0]) == DATA
    assert two.server.counters["TcpExtTCPFastOpenPassive"] == 2
    assert two.server.counters["TcpExtTCPFastOpenPassiveAltKey"] == 1, "the second time it had the new one"


def test_who_makes_nothing_of_fast_open_is_spared_it_for_a_minute(net: Net) -> None:
    """RFC 7413 4.1.3.1, 4.2.1."""
    two = Two(net, queue=0)
    for at, said in ((0, b""), (59, None), (61, b"")):
        two.wire.run(at * SECOND)
        two.finish(two.open()[0])
        assert two.syns() == [(0, said)]


def test_linux_asks_again_at_once_and_by_the_other_option(net: Net) -> None:
    two = Two(net, client=StackConfig.linux(), queue=0)
    kinds = []
    for _ in range(3):
        two.finish(two.open()[0])
        kinds.append(two.last_kind())
    assert kinds == [FAST_OPEN, EXPERIMENT, FAST_OPEN]


def test_only_the_path_that_failed_is_spared(net: Net) -> None:
    two = Two(net, queue=0)
    two.finish(two.open()[0])
    two.syns()
    two.open(port=81)
    assert two.syns() == [(0, b"")], "another port is another path"


def test_nothing_at_all_that_comes_back_is_a_negative_answer_too(net: Net) -> None:
    two = Two(net, client=replace(BOTH, r2_syn=3 * SECOND))
    two.learn()
    two.cut = True
    two.open()
    two.wire.run_for(5 * SECOND)
    assert [octets for octets, _ in two.syns()] == [len(DATA), 0]
    two.open()
    assert two.syns() == [(0, None)]


def test_a_lost_syn_comes_again_without_text_and_option_and_the_text_follows(net: Net) -> None:
    two = Two(net)
    two.learn()
    two.cut = True
    sock, _ = two.open()
    two.wire.run_for(SECOND // 2)
    two.cut = False
    two.wire.run_for(2 * SECOND)
    assert two.syns()[1:] == [(0, None)]
    assert two.finish(sock) == DATA
    assert two.client.counters["TcpExtTCPFastOpenActiveFail"] == 1


def test_a_black_hole_is_avoided_longer_each_time_until_a_peers_text_comes(net: Net) -> None:
    two = Two(net, client=replace(BOTH, fast_open_blackhole_timeout=100 * SECOND, fast_open_backoff=0, r2_syn=20 * SECOND))
    two.learn()
    for holes, away in ((1, 100), (2, 200)):
        two.cut = True
        two.open()
        two.wire.run_for(20 * SECOND)  # the third timeout comes after 7 s
        two.cut = False
        assert two.client.counters["TcpExtTCPFastOpenBlackhole"] == holes
        two.wire.run_for((away - 14) * SECOND)
        two.syns()
        two.open(port=9)
        assert two.syns() == [(0, None)], "it is avoided"
        two.wire.run_for(2 * SECOND)
    sock, taken = two.open()
    assert taken == len(DATA)
    two.wire.run_for(SECOND)
    accepted, _ = two.listener.accept()
    accepted.send(b"text")
    two.wire.run_for(SECOND)
    sock.close()
    accepted.close()
    two.wire.run_for(SECOND)
    two.cut = True
    two.open()
    two.wire.run_for(20 * SECOND)
    two.wire.run_for(90 * SECOND)
    two.syns()
    two.open()
    assert two.syns() != [(0, None)], "the third hole counted as the first"


@pytest.mark.parametrize(("retries", "holes"), [(1, 1), (2, 1), (3, 1), (5, 1)])
def test_the_third_timeout_or_an_end_before_it_tells_of_a_black_hole_once(net: Net, retries: int, holes: int) -> None:
    two = Two(net, client=replace(BOTH, fast_open=7, fast_open_blackhole_timeout=100 * SECOND))
    two.cut = True
    sock = two.client.socket(net.family)
    sock.setsockopt(TCP_LEVEL, 7, retries)  # TCP_SYNCNT
    assert sock.sendto(DATA, MSG_FASTOPEN, (net.here, 80)) == len(DATA)
    two.wire.run_for(70 * SECOND)
    assert (sock.state, two.client.counters["TcpExtTCPFastOpenBlackhole"]) == (State.CLOSED, holes)


def test_cookies_are_remembered_of_so_many_servers(net: Net) -> None:
    two = Two(net, client=replace(BOTH, fast_open_cache=1))
    two.learn()
    other = VirtualHost([net.other + net.prefix[net.prefix.index("/") :]], config=BOTH)
    listener = other.socket(net.family)
    listener.bind((net.other, 80))
    listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN, 5)
    listener.listen(8)
    two.wire = VirtualNetwork({net.there: two.client, net.here: two.server, net.other: other})
    sock = two.client.socket(net.family)
    with pytest.raises(BlockingIOError):
        sock.sendto(DATA, MSG_FASTOPEN, (net.other, 80))
    two.wire.run_for(SECOND)
    assert two.client.counters["UserstackFastOpenForgotten"] == 1
    two.syns()
    two.open()
    assert two.syns() == [(0, b"")], "the older one is forgotten"


def test_a_deferred_connect_has_no_timer_and_leaves_nothing(net: Net) -> None:
    two = Two(net)
    two.learn()
    two.wire.run_for(120 * SECOND)
    sock = two.client.socket(net.family)
    sock.setsockopt(TCP_LEVEL, TCP_FASTOPEN_CONNECT, 1)
    sock.connect((net.here, 80))
    assert (sock.state, two.client.next_deadline()) == (State.SYN_SENT, None)
    sock.close()
    assert (two.client.connections(), two.client.take()) == ([], [])


def test_an_empty_write_sends_the_syn_that_waits_and_takes_nothing(net: Net) -> None:
    two = Two(net)
    two.learn()
    sock = two.client.socket(net.family)
    sock.setsockopt(TCP_LEVEL, TCP_FASTOPEN_CONNECT, 1)
    sock.connect((net.here, 80))
    for number in (errno.EINPROGRESS, errno.EAGAIN):
        with pytest.raises(BlockingIOError) as caught:
            sock.send(b"")
        assert caught.value.errno == number
    ((octets, cookie),) = two.syns()
    assert (octets, len(cookie or b"")) == (0, 8)


def test_a_socket_tells_its_own_key_and_never_the_hosts(net: Net) -> None:
    sock = VirtualHost([net.prefix], config=StackConfig(fast_open_key=b"h" * 16)).socket(net.family)
    assert (sock.getsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, 32), sock.getsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY)) == (b"", 0)
    sock.setsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, b"k" * 16)
    assert sock.getsockopt(TCP_LEVEL, TCP_FASTOPEN_KEY, 32) == b"k" * 16


def test_sendto_and_sendmsg_without_the_flag_are_send(net: Net) -> None:
    two = Two(net)
    sock, _ = two.open(b"")
    two.wire.run_for(SECOND)
    accepted, _ = two.listener.accept()
    assert (sock.sendto(b"ab", ("", 1)), sock.sendto(b"cd", 0, None), sock.sendmsg([b"e", b"fg"])) == (2, 2, 3)
    with pytest.raises(OSError, match="control messages"):
        sock.sendmsg([b"h"], [(1, 1, b"")])
    two.wire.run_for(SECOND)
    assert accepted.recv(100) == b"abcdefg"


def test_a_server_sends_no_more_than_the_initial_window_before_the_handshake_is_over(net: Net) -> None:
    """RFC 7413 4.2.2, step 6."""
    two = Two(net, server=replace(BOTH, nagle=False))
    two.learn()
    two.open()
    two.wire.run_for(MILLISECOND)
    accepted, _ = two.listener.accept()
    two.cut = True
    two.wire.log.clear()
    accepted.send(bytes(60000))
    two.wire.run_for(MILLISECOND)
    sizes = [len(CODEC.decode_tcp(CODEC.decode_ip(packet)).payload) for _, packet in two.wire.log]
    assert len(set(sizes[:-1])) == 1
    assert sizes[0] == accepted.info().snd_mss
    window = min(10 * sizes[0], 14600)
    assert window - sizes[0] < sum(sizes) <= window
    assert accepted.info().cwnd == window


def test_the_acknowledgement_of_the_syn_alone_does_not_open_the_congestion_window(net: Net) -> None:
    two = Two(net)
    two.learn()
    two.open()
    two.wire.run_for(MILLISECOND)
    accepted, _ = two.listener.accept()
    before = accepted.info().cwnd
    two.wire.run_for(SECOND)
    assert (accepted.state, accepted.info().cwnd) == (State.ESTABLISHED, before)


# --- a server against a peer that the test plays ---


class Forger:
    """A server without cookies, and a peer who says what it likes."""

    def __init__(self, net: Net, config: StackConfig, queue: int = 2) -> None:
        self.net = net
        self.host = VirtualHost([net.prefix], config=replace(config, fast_open=3))
        self.listener = self.host.socket(net.family)
        self.listener.bind((net.here, 80))
        self.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN, queue)
        self.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN_NO_COOKIE, 1)
        self.listener.listen(8)

    def say(
        self, flags: int, seq: int, ack: int = 0, data: bytes = b"", port: int = 5000, cookie: bytes | None = None
    ) -> list[TcpSegment]:
        here, there = pack_address(self.net.here), pack_address(self.net.there)
        options = () if cookie is None else (Option(FAST_OPEN, cookie),)
        segment = TcpSegment(port, 80, seq, ack, flags, 60000, options=options, payload=data)
        self.host.deliver(CODEC.encode_ip(IPPacket(there, here, TCP, CODEC.encode_tcp(segment, there, here))))
        return [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in self.host.take()]


CONFIGS = pytest.mark.parametrize("config", [StackConfig(), StackConfig.linux()], ids=["rfc", "linux"])


@CONFIGS
def test_a_syn_in_the_window_does_not_take_the_connection_from_the_application(net: Net, config: StackConfig) -> None:
    forger = Forger(net, config)
    (answer,) = forger.say(SYN, 100, data=DATA)
    accepted, _ = forger.listener.accept()
    (challenge,) = forger.say(SYN, 101 + len(DATA))
    assert (challenge.flags, accepted.state) == (ACK, State.SYN_RECEIVED)
    forger.say(ACK, 101 + len(DATA), answer.seq + 1)
    assert (accepted.state, accepted.recv(100)) == (State.ESTABLISHED, DATA)


def test_a_fin_with_the_syn_waits_for_the_handshake(net: Net) -> None:
    forger = Forger(net, StackConfig())
    (answer,) = forger.say(SYN | FIN, 100, data=DATA)
    assert answer.ack == 101 + len(DATA)
    accepted, _ = forger.listener.accept()
    assert accepted.recv(100) == DATA
    with pytest.raises(BlockingIOError):
        accepted.recv(100)
    forger.say(ACK, 102 + len(DATA), answer.seq + 1)
    assert (accepted.state, accepted.recv(100)) == (State.CLOSE_WAIT, b"")


@CONFIGS
def test_a_request_that_was_accepted_and_reset_counts_for_a_minute(net: Net, config: StackConfig) -> None:
    """RFC 7413 5.1."""
    forger = Forger(net, config, queue=1)

    def taken(port: int) -> bool:
        (answer,) = forger.say(SYN, 100, data=DATA, port=port)
        return answer.ack == 101 + len(DATA)

    assert taken(5000)
    forger.say(RST, 101 + len(DATA))
    assert taken(5001), "nobody had accepted the first one"
    for _ in range(2):
        accepted, _ = forger.listener.accept()
    forger.say(RST, 101 + len(DATA), port=5001)
    assert accepted.recv(100) == DATA
    with pytest.raises(ConnectionResetError):
        accepted.recv(100)
    assert not taken(5002)
    assert forger.host.counters["TcpExtTCPFastOpenListenOverflow"] == 1
    forger.say(RST, 101, port=5002)
    forger.host.run(forger.host.now + 59 * SECOND)
    forger.host.take()
    assert not taken(5003)
    forger.host.run(forger.host.now + 2 * SECOND)
    forger.host.take()
    assert taken(5004)


def test_a_request_that_is_never_confirmed_ends_and_makes_room(net: Net) -> None:
    forger = Forger(net, replace(StackConfig(), r2_synack=10 * SECOND), queue=1)
    forger.say(SYN, 100, data=DATA)
    accepted, _ = forger.listener.accept()
    forger.host.run(11 * SECOND)
    forger.host.take()
    assert accepted.recv(100) == DATA
    with pytest.raises(TimeoutError):
        accepted.recv(100)
    (answer,) = forger.say(SYN, 100, data=DATA, port=5001)
    assert answer.ack == 101 + len(DATA)


@pytest.mark.parametrize("cookie", [b"abc", b"abcde", bytes(18)], ids=["short", "odd", "long"])
def test_an_option_of_an_illegal_length_is_ignored(net: Net, cookie: bytes) -> None:
    """RFC 7413 4.1.1."""
    forger = Forger(net, StackConfig())
    forger.listener.setsockopt(TCP_LEVEL, TCP_FASTOPEN_NO_COOKIE, 0)
    (answer,) = forger.say(SYN, 100, data=DATA, cookie=cookie)
    assert (answer.ack, cookie_of(answer)) == (101, None)
    assert forger.host.counters["TcpExtTCPFastOpenPassiveFail"] == 0


def test_a_connection_in_time_wait_is_reopened_with_its_text(net: Net) -> None:
    forger = Forger(net, StackConfig(timestamps=False))
    (answer,) = forger.say(SYN, 100, data=DATA)
    end = 101 + len(DATA)
    accepted, _ = forger.listener.accept()
    accepted.recv(100)
    forger.say(ACK, end, answer.seq + 1)
    accepted.close()
    forger.host.take()
    forger.say(FIN | ACK, end, answer.seq + 2)
    assert [row.state for row in forger.host.connections()] == [State.LISTEN, State.TIME_WAIT]
    (again,) = forger.say(SYN, 1000, data=DATA)
    assert (again.flags & (SYN | ACK), again.ack) == (SYN | ACK, 1001 + len(DATA))
    reopened, _ = forger.listener.accept()
    assert reopened.recv(100) == DATA


def test_closing_the_listener_resets_what_nobody_has_accepted(net: Net) -> None:
    forger = Forger(net, StackConfig())
    forger.say(SYN, 100, data=DATA)
    forger.say(SYN, 100, data=DATA, port=5001)
    accepted, _ = forger.listener.accept()
    forger.listener.close()
    (reset,) = [CODEC.decode_tcp(CODEC.decode_ip(packet)) for _, packet in forger.host.take()]
    assert (reset.flags & RST, reset.destination_port) == (RST, 5001)
    assert accepted.state is State.SYN_RECEIVED


# --- chance ---


@CONFIGS
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_lost_doubled_and_late_each_end_gets_what_the_other_sent(net: Net, config: StackConfig, seed: int) -> None:
    config = replace(config, fast_open=0x207, fast_open_backoff=0, r2_syn=600 * SECOND, r2_synack=600 * SECOND, r2=900 * SECOND)
    two = Two(net, client=config, server=config, seed=seed)
    two.wire.fate = Impaired(seed, loss=0.25, duplicate=0.1, reorder=0.2)
    request, answer = bytes(range(256)) * 9, bytes(range(255, -1, -1)) * 90
    sock, taken = two.open(request)
    two.wire.run_until(two.listener.poll, limit=600 * SECOND)
    accepted, _ = two.listener.accept()
    ends = {sock: bytearray(request[taken:]), accepted: bytearray(answer)}
    got = {sock: bytearray(), accepted: bytearray()}
    closed: set[VirtualSocket] = set()

    def step() -> bool:
        for end, rest in ends.items():
            try:
                while rest:
                    del rest[: end.send(rest)]
            except BlockingIOError:
                pass
            if not rest and end not in closed and end.state in {State.ESTABLISHED, State.SYN_RECEIVED, State.CLOSE_WAIT}:
                end.shutdown(1)
                closed.add(end)
            try:
                while part := end.recv(65536):
                    got[end] += part
            except BlockingIOError:
                pass
        return len(got[sock]) == len(answer) and len(got[accepted]) == len(request)

    two.wire.run_until(step, limit=900 * SECOND)
    assert (bytes(got[accepted]), bytes(got[sock])) == (request, answer)
