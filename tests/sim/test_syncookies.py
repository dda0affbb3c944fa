"""SYN cookies (RFC 4987 3.6): a SYN of which nothing is kept, and the connection that comes of it all the same."""

import gc
import random
import socket
import struct
from dataclasses import replace

import pytest

from tests.sim.nets import IPV4, Net
from tests.support.clients import CODEC, IRS, MASK, MSS, PORT, SACK, SCALE, Client, of, stamp
from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.net.flow import flow_of
from userstack.net.syncookies import MSS_IPV4, MSS_IPV6, PERIOD, SynCookies
from userstack.sim import VirtualHost
from userstack.sim.virtual_socket import VirtualSocket
from userstack.tcp.state import State
from userstack.trace import Event, Transition
from userstack.wire import tcp
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import ACK, CWR, ECE, FIN, RST, SYN, Option, TcpSegment

ALWAYS = StackConfig(syncookies=2)
LOCAL = Endpoint(pack_address("10.9.0.2"), 80)
REMOTE = Endpoint(pack_address("10.9.0.1"), 40_000)
FLOW = flow_of(LOCAL, REMOTE)


def listening(net: Net, config: StackConfig, *, backlog: int = 10, seed: int = 0) -> tuple[VirtualHost, VirtualSocket]:
    host = VirtualHost([net.prefix], config=config, seed=seed, start=1_000 * SECOND)
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    listener.listen(backlog)
    return host, listener


# --- the cookie itself ---


@pytest.mark.parametrize("mss", [*MSS_IPV4, 49, 1000, 1459, 1461, 65535])
def test_a_cookie_says_an_mss_that_is_never_above_the_peers(mss: int) -> None:
    cookies = SynCookies(b"secret")
    cookie = cookies.make(FLOW, IRS, mss, 0)
    assert cookie is not None
    assert cookies.check(cookie, FLOW, IRS, 0) == max(least for least in MSS_IPV4 if least <= mss)


def test_ipv6_has_a_table_of_its_own() -> None:
    local, remote = Endpoint(pack_address("fd3d::1"), 80), Endpoint(pack_address("fd3d::2"), 1)
    cookies = SynCookies(b"secret")
    cookie = cookies.make(flow_of(local, remote), IRS, 1440, 0)
    assert cookie is not None
    assert cookies.check(cookie, flow_of(local, remote), IRS, 0) == 1440
    assert len(MSS_IPV4) == len(MSS_IPV6) == 8  # three bits


@pytest.mark.requirement("MUST-16")
def test_who_takes_less_than_any_cookie_says_gets_none() -> None:
    assert SynCookies(b"secret").make(FLOW, IRS, 47, 0) is None


def test_a_cookie_is_good_in_its_minute_and_the_next() -> None:
    cookies = SynCookies(b"secret")
    for made in (0, 59 * SECOND, 255 * PERIOD, 12_345 * PERIOD + 1):
        cookie = cookies.make(FLOW, IRS, 1460, made)
        assert cookie is not None
        step = made // PERIOD
        good = [age for age in range(300) if cookies.check(cookie, FLOW, IRS, (step + age) * PERIOD) is not None]
        assert good == [0, 1]
        assert cookies.check(cookie, FLOW, IRS, (step - 1) * PERIOD) is None


@pytest.mark.parametrize(
    ("local", "remote", "irs"),
    [
        (LOCAL._replace(port=81), REMOTE, IRS),
        (LOCAL._replace(address=pack_address("10.9.0.3")), REMOTE, IRS),
        (LOCAL, REMOTE._replace(port=40_001), IRS),
        (LOCAL, REMOTE._replace(address=pack_address("10.9.0.4")), IRS),
        (LOCAL, REMOTE, IRS + 1),
        (LOCAL, REMOTE, IRS - 1),
    ],
)
def test_a_cookie_is_nobody_elses(local: Endpoint, remote: Endpoint, irs: int) -> None:
    cookies = SynCookies(b"secret")
    for irs_of, now in zip(range(200), range(200), strict=True):
        cookie = cookies.make(FLOW, IRS + 10 * irs_of, 1460, now * SECOND)
        assert cookie is not None
        assert cookies.check(cookie, flow_of(local, remote), irs + 10 * irs_of, now * SECOND) is None


def test_whoever_has_one_cookie_can_make_no_other_of_it() -> None:
    """Neither for another SEQ, nor another MSS, nor another minute: what is added to a cookie in the clear is in its hash too."""
    cookies = SynCookies(b"secret")
    cookie = cookies.make(FLOW, IRS, 1460, 0)
    assert cookie is not None
    assert [step for step in range(-500, 500) if step and cookies.check(cookie + step & MASK, FLOW, IRS + step, 0)] == []
    assert [step for step in range(1, 8) if cookies.check(cookie + (step << 21) & MASK, FLOW, IRS, 0)] == []
    assert [step for step in range(1, 9) if cookies.check(cookie + (step << 24) & MASK, FLOW, IRS, step * PERIOD)] == []


def test_who_guesses_finds_hardly_one_cookie_in_268_million() -> None:
    """2 of 256 minutes, and one of 2**21 hashes: of 40 000 guesses none is right, near a right one neither."""
    cookies, chance = SynCookies(b"secret"), random.Random(1)
    right = cookies.make(FLOW, IRS, 1460, 0)
    assert right is not None
    guesses = {chance.getrandbits(32) for _ in range(20_000)} | {right + step & MASK for step in range(-10_000, 10_000)}
    guesses -= {right}
    assert [guess for guess in guesses if cookies.check(guess, FLOW, IRS, 0) is not None] == []


def test_another_secret_makes_other_cookies() -> None:
    one, other = SynCookies(b"one"), SynCookies(b"other")
    made = [one.make(FLOW, irs, 1460, 0) for irs in range(1_000)]
    assert [cookie for irs, cookie in enumerate(made) if cookie is not None and other.check(cookie, FLOW, irs, 0)] == []


# --- the handshake ---


def test_nothing_is_kept_until_the_third_segment(net: Net) -> None:
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    answer = client.syn(MSS)
    assert answer is not None
    assert (answer.flags, answer.ack) == (SYN | ACK, IRS + 1)
    assert [row.state for row in host.connections()] == [State.LISTEN]
    assert client.ack() == []
    connection, _ = listener.accept()
    assert connection.state is State.ESTABLISHED
    assert connection.send(b"hello") == 5
    (data,) = client.hear()
    assert (data.seq, data.ack, bytes(data.payload)) == (client.iss + 1 & MASK, IRS + 1, b"hello")
    counted = {name: host.counters[f"TcpExt{name}"] for name in ("SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed")}
    assert counted == {"SyncookiesSent": 1, "SyncookiesRecv": 1, "SyncookiesFailed": 0}
    assert host.counters["TcpExtTCPReqQFullDoCookies"] == 1
    assert host.counters["TcpPassiveOpens"] == 1


def test_the_connection_goes_through_syn_received(net: Net) -> None:
    steps: list[tuple[str, str]] = []

    def trace(event: Event) -> None:
        if isinstance(event, Transition) and event.remote is not None:
            steps.append((event.old, event.new))

    host = VirtualHost([net.prefix], config=ALWAYS, trace=trace)
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    listener.listen(1)
    client = Client(host, net, 5000)
    client.syn(MSS)
    assert steps == []
    client.ack()
    assert steps == [(State.LISTEN, State.SYN_RECEIVED), (State.SYN_RECEIVED, State.ESTABLISHED)]


def test_what_a_timestamp_can_carry_is_agreed_to(net: Net) -> None:
    host, listener = listening(net, replace(ALWAYS, receive_buffer=1 << 20))
    client = Client(host, net, 5000)
    answer = client.syn(MSS, SACK, stamp(77), Option(tcp.NOP), SCALE, flags=SYN | ECE | CWR)
    assert answer is not None
    assert answer.flags == SYN | ACK | ECE
    assert of(answer, tcp.WINDOW_SCALE) == b"\x05"
    assert of(answer, tcp.SACK_PERMITTED) == b""
    host.run(until=host.now + 30 * MILLISECOND)
    client.ack(window=500)
    connection, _ = listener.accept()
    info = connection.info()
    assert (info.snd_wscale, info.rcv_wscale, info.sack_permitted, info.timestamps, info.ecn) == (7, 5, True, True, True)
    assert info.snd_wnd == 500 << 7
    assert info.snd_mss == (1460 if net is IPV4 else 1440) - 12
    assert info.srtt is None  # what came back in the timestamp was no time


@pytest.mark.parametrize("missing", [SACK, SCALE])
def test_what_the_peer_did_not_offer_is_not_agreed_to(net: Net, missing: Option) -> None:
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(*(option for option in (MSS, SACK, stamp(77), SCALE) if option is not missing))
    client.ack(window=500)
    info = listener.accept()[0].info()
    assert info.sack_permitted is (missing is not SACK)
    assert info.snd_wscale == (None if missing is SCALE else 7)
    assert not info.ecn


@pytest.mark.requirement("MUST-48")
@pytest.mark.requirement("MUST-49")
def test_it_goes_out_with_the_ttl_and_the_diffserv_field_of_the_listener(net: Net) -> None:
    """A peer that asks for a TTL of 255 (RFC 5082) would never hear of another."""
    host, listener = listening(net, ALWAYS)
    level, ttl, tos = (socket.IPPROTO_IP, 2, 1) if net is IPV4 else (socket.IPPROTO_IPV6, 16, 67)
    listener.setsockopt(level, ttl, 255)
    listener.setsockopt(level, tos, 0xC0)
    client = Client(host, net, 5000)
    segment = TcpSegment(5000, PORT, IRS, 0, SYN, 65_535, options=(MSS,))
    host.deliver(CODEC.encode_ip(IPPacket(client.there, client.here, TCP, CODEC.encode_tcp(segment, client.there, client.here))))
    (packet,) = (CODEC.decode_ip(packet) for _, packet in host.take())
    assert CODEC.decode_tcp(packet).flags == SYN | ACK
    assert (packet.ttl, packet.tos) == (255, 0xC0)


@pytest.mark.parametrize("config", [ALWAYS, replace(ALWAYS, timestamps=False)], ids=["peer", "own"])
def test_without_timestamps_there_is_the_mss_alone(net: Net, config: StackConfig) -> None:
    host, listener = listening(net, config)
    client = Client(host, net, 5000)
    stamps = (stamp(77),) if not config.timestamps else ()
    answer = client.syn(MSS, SACK, *stamps, SCALE, flags=SYN | ECE | CWR)
    assert answer is not None
    assert answer.flags == SYN | ACK
    assert [option.kind for option in answer.options] == [tcp.MSS]
    client.ack(window=500)
    info = listener.accept()[0].info()
    assert (info.snd_wscale, info.rcv_wscale, info.sack_permitted, info.timestamps, info.ecn) == (None, None, False, False, False)
    assert info.snd_wnd == 500
    assert info.snd_mss == (1460 if net is IPV4 else 1440)


def test_every_scale_comes_back(net: Net) -> None:
    host, listener = listening(net, ALWAYS, backlog=20)
    for scale in range(15):
        host.run(until=host.now + 7 * MILLISECOND)
        client = Client(host, net, 5000 + scale)
        client.syn(MSS, stamp(77), Option(tcp.WINDOW_SCALE, bytes([scale])))
        client.ack()
        assert listener.accept()[0].info().snd_wscale == scale


def test_the_timestamp_of_the_syn_ack_lies_less_than_64_ticks_back_and_the_next_not_before_it(net: Net) -> None:
    host, listener = listening(net, ALWAYS)
    for number in range(70):
        host.run(until=host.now + MILLISECOND)
        client = Client(host, net, 5000 + number)
        client.syn(MSS, SACK, stamp(77), SCALE)
        carried = client.tsval
        client.ack()
        connection, _ = listener.accept()
        connection.send(b"x")
        (data,) = client.hear()
        stamps = of(data, tcp.TIMESTAMPS)
        assert stamps is not None
        assert 0 <= int.from_bytes(stamps[:4], "big") - carried & MASK < 64
        assert int.from_bytes(stamps[4:], "big") == 78
        connection.close()
        list(client.hear())


def test_a_peer_that_names_no_mss_is_taken_to_have_the_default(net: Net) -> None:
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn()
    client.ack()
    assert listener.accept()[0].info().snd_mss == (536 if net is IPV4 else 1220)


def test_text_and_fin_of_the_third_segment_are_taken(net: Net) -> None:
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(MSS, stamp(77))
    (answer,) = client.ack(flags=ACK | FIN, data=b"hello")
    assert (answer.flags, answer.ack) == (ACK, IRS + 7)
    connection, _ = listener.accept()
    assert (connection.recv(100), connection.recv(100)) == (b"hello", b"")
    assert connection.state is State.CLOSE_WAIT


def test_text_with_the_syn_is_not_acknowledged(net: Net) -> None:
    """RFC 4987 3.5, 3.6: it is not kept, so it has to come again."""
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    answer = client.syn(MSS, data=b"early")
    assert answer is not None
    assert answer.ack == IRS + 1
    client.ack(data=b"early")
    assert listener.accept()[0].recv(100) == b"early"


def test_a_syn_that_comes_again_gets_the_same_cookie(net: Net) -> None:
    host, _ = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    first = client.syn(MSS)
    host.run(until=host.now + SECOND)
    assert client.syn(MSS) == first


def test_defer_accept_does_not_put_off_who_brings_a_cookie(net: Net) -> None:
    """As in Linux: there is no SYN,ACK to repeat until text comes."""
    host, listener = listening(net, replace(ALWAYS, defer_accept=3))
    client = Client(host, net, 5000)
    client.syn(MSS)
    client.ack()
    assert listener.accept()[0].state is State.ESTABLISHED


# --- refused ---


@pytest.mark.parametrize(("seq", "ack"), [(1, 0), (1, 2 + 8), (2, 1), (0, 1)])
def test_what_is_no_cookie_is_answered_with_a_reset(net: Net, seq: int, ack: int) -> None:
    """RFC 9293 3.10.7.2, second step."""
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(MSS)
    (answer,) = client.ack(seq=seq, ack=ack)
    assert (answer.flags, answer.seq) == (RST, client.iss + ack & MASK)
    assert host.counters["TcpExtSyncookiesFailed"] == 1
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_cookie_of_the_minute_before_the_last_is_too_old(net: Net) -> None:
    host, _ = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(MSS)
    host.run(until=host.now + 2 * PERIOD)
    Client(host, net, 5001).syn(MSS)  # the listener has sent one lately
    (answer,) = client.ack()
    assert answer.flags == RST
    assert host.counters["TcpExtSyncookiesFailed"] == 1


def test_while_no_cookies_are_sent_none_is_looked_at(net: Net) -> None:
    """Linux tcp_synq_no_recent_overflow: who guesses has two minutes after a flood, and no counter tells of the rest."""
    host, _ = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(MSS)
    host.run(until=host.now + 2 * PERIOD + 1)
    (answer,) = client.ack()
    assert answer.flags == RST
    assert host.counters["TcpExtSyncookiesFailed"] == 0


def test_a_reset_takes_nothing_away_and_makes_nothing(net: Net) -> None:
    host, listener = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(MSS)
    assert client.ack(flags=ACK | RST) == []
    (answer,) = client.ack(flags=ACK | SYN)
    assert answer.flags == RST
    client.ack()
    assert listener.accept()[0].state is State.ESTABLISHED


@pytest.mark.requirement("MUST-7")
def test_a_third_segment_with_a_broken_option_is_reset(net: Net) -> None:
    """As on a connection whose SYN was kept."""
    host, _ = listening(net, ALWAYS)
    client = Client(host, net, 5000)
    client.syn(MSS)
    (answer,) = client.say(ACK, IRS + 1, client.iss + 1, options=(Option(tcp.WINDOW_SCALE),), spoil=True)
    assert answer.flags & RST
    assert [row.state for row in host.connections()] == [State.LISTEN]


def test_a_full_accept_queue_gets_neither_cookie_nor_connection(net: Net) -> None:
    host, listener = listening(net, ALWAYS, backlog=0)
    first, second, third = (Client(host, net, 5000 + number) for number in range(3))
    assert first.syn(MSS) is not None
    assert second.syn(MSS) is not None
    first.ack()
    assert third.syn(MSS) is None
    assert second.ack() == []
    assert host.counters["TcpExtListenOverflows"] == host.counters["TcpExtListenDrops"] == 2
    assert host.counters["TcpExtSyncookiesRecv"] == 2
    listener.accept()
    second.ack()  # what the peer sends next brings the cookie again
    assert listener.accept()[1][1] == 5001


def test_max_connections_is_a_limit_for_cookies_too(net: Net) -> None:
    host, listener = listening(net, replace(ALWAYS, max_connections=1))
    first, second = Client(host, net, 5000), Client(host, net, 5001)
    first.syn(MSS)
    second.syn(MSS)
    first.ack()
    listener.accept()
    assert second.ack() == []
    assert host.counters["TcpExtListenDrops"] == 1


# --- under a flood ---


def test_a_flood_takes_no_memory_and_a_real_client_gets_in(net: Net) -> None:
    host, listener = listening(net, StackConfig(), backlog=8)
    chance = random.Random(3)
    for number in range(1_000):
        Client(host, net, 1024 + number, irs=chance.getrandbits(32)).syn(MSS, SACK, stamp(1), SCALE)
        if number == 500:
            gc.collect()
            before = len(gc.get_objects())
    gc.collect()
    assert len(gc.get_objects()) - before < 50
    assert sum(row.state is State.SYN_RECEIVED for row in host.connections()) <= 9
    client = Client(host, net, 1)
    client.syn(MSS, SACK, stamp(77), SCALE)
    client.ack(data=b"real")
    connection, _ = listener.accept()
    assert connection.recv(100) == b"real"
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 0
    assert connection.info().snd_wscale == 7


def test_garbage_in_the_third_segment_never_raises(net: Net) -> None:
    host, _ = listening(net, ALWAYS, backlog=1_000)
    chance = random.Random(9)
    for number in range(300):
        client = Client(host, net, 1024 + number)
        client.syn(MSS, stamp(77), SCALE)
        options = (Option(chance.randrange(2, 40), chance.randbytes(chance.randrange(12))), stamp(chance.getrandbits(32)))
        client.say(ACK | chance.getrandbits(8), IRS + 1, client.iss + 1, options=options, data=chance.randbytes(3))
        client.say(ACK, IRS + 1, chance.getrandbits(32), options=(Option(tcp.TIMESTAMPS, struct.pack("!II", 0, 0)),))
