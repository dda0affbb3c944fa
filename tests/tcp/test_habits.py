"""The profiles: what of Linux and FreeBSD shows on the wire, as their captures have it."""

import errno
import itertools
import socket
from dataclasses import replace

import pytest

from tests.support.machine import LOCAL, REMOTE, Machine, Sent
from userstack.address import Endpoint, pack_address
from userstack.config import MILLISECOND, OPTION_LAYOUTS, SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.tcp.layout import LAYOUTS
from userstack.tcp.state import State
from userstack.wire import tcp
from userstack.wire.fast_codec import FastCodec
from userstack.wire.tcp import Option

ENDS = [(LOCAL, REMOTE), (Endpoint(pack_address("fd09::2"), 8080), Endpoint(pack_address("fd09::1"), 40000))]
NAMES = {
    tcp.MSS: "mss",
    tcp.WINDOW_SCALE: "wscale",
    tcp.SACK_PERMITTED: "sackOK",
    tcp.TIMESTAMPS: "TS",
    tcp.NOP: "nop",
    tcp.EOL: "eol",
}
PROFILES = {"linux": StackConfig.linux(), "freebsd": StackConfig.freebsd()}


def layout(sent: Sent) -> str:
    """The options as tcpdump lists them."""
    return ",".join(NAMES[option.kind] for option in sent.raw.options)


def syn_of(config: StackConfig, *, local: Endpoint = LOCAL, remote: Endpoint = REMOTE) -> Sent:
    m = Machine(config=config, local=local, remote=remote)
    m.open_active()
    return m.expect("SYN")


# --- the SYN ---


@pytest.mark.parametrize(
    ("profile", "options"),
    [
        ("linux", "mss,sackOK,TS,nop,wscale"),
        ("linux -wscale", "mss,sackOK,TS"),
        ("linux -TS", "mss,nop,nop,sackOK,nop,wscale"),
        ("linux -TS -wscale", "mss,nop,nop,sackOK"),
        ("linux -sack", "mss,nop,nop,TS,nop,wscale"),
        ("linux -sack -wscale", "mss,nop,nop,TS"),
        ("linux -sack -TS", "mss,nop,wscale"),
        ("linux -sack -TS -wscale", "mss"),
        ("freebsd", "mss,nop,wscale,sackOK,TS"),
        ("freebsd -wscale", "mss,sackOK,TS"),
        ("freebsd -TS", "mss,nop,wscale,sackOK,eol"),
        ("freebsd -TS -wscale", "mss,sackOK,eol"),
        ("freebsd -sack", "mss,nop,wscale,nop,nop,TS"),
        ("freebsd -sack -wscale", "mss,nop,nop,TS"),
        ("freebsd -sack -TS", "mss,nop,wscale"),
        ("freebsd -sack -TS -wscale", "mss"),
    ],
)
def test_order_and_padding_of_the_options(profile: str, options: str) -> None:
    name, *without = profile.split()
    config = replace(
        PROFILES[name], sack="-sack" not in without, timestamps="-TS" not in without, window_scaling="-wscale" not in without
    )
    assert layout(syn_of(config)) == options


def test_every_layout_has_a_line_for_every_set_of_options_and_fills_whole_words() -> None:
    sizes = {tcp.MSS: 4, tcp.WINDOW_SCALE: 3, tcp.SACK_PERMITTED: 2, tcp.TIMESTAMPS: 10, tcp.NOP: 1}
    choices = (tcp.WINDOW_SCALE, tcp.SACK_PERMITTED, tcp.TIMESTAMPS)
    sets = {frozenset({tcp.MSS, *chosen}) for size in range(4) for chosen in itertools.combinations(choices, size)}
    assert set(LAYOUTS) == set(OPTION_LAYOUTS)
    for table in LAYOUTS.values():
        assert set(table) == sets
        for kinds in table.values():
            assert kinds[-1] == tcp.EOL or sum(sizes[kind] for kind in kinds) % 4 == 0
            assert tcp.EOL not in kinds[:-1]


@pytest.mark.parametrize(("local", "remote"), ENDS)
def test_the_windows_of_syns(local: Endpoint, remote: Endpoint) -> None:
    four = len(local.address) == 4
    linux = syn_of(StackConfig.linux(), local=local, remote=remote)
    assert (linux.mss, linux.scale, linux.window) == ((1_460, 7, 64_240) if four else (1_440, 7, 64_800))
    freebsd = syn_of(StackConfig.freebsd(), local=local, remote=remote)
    assert (freebsd.mss, freebsd.scale, freebsd.window) == (1_460 if four else 1_440, 6, 65_535)


@pytest.mark.parametrize(("tsval", "window"), [(7, 65_160), (None, 64_240)])
def test_linux_counts_the_timestamps_in_the_window_of_its_syn_ack(tsval: int | None, window: int) -> None:
    m = Machine(config=StackConfig.linux(), tsval=tsval, scale=7, sack=True)
    m.open_passive()
    m.arrives("SYN", seq=0, options=m.syn_options())
    assert m.expect("SYN,ACK").window == window


def test_the_third_ack_of_linux_has_the_same_window_rounded_up() -> None:
    m = Machine(config=StackConfig.linux(), tsval=7, scale=7, sack=True)
    m.open_active()
    m.expect("SYN")
    m.arrives("SYN,ACK", seq=0, ack=1, options=m.syn_options())
    third = m.expect("ACK")
    assert (third.window, layout(third)) == (502, "nop,nop,TS")


def test_a_window_below_a_segment_is_not_rounded() -> None:
    assert syn_of(replace(StackConfig.linux(), receive_buffer=1_000)).window == 1_000


# --- resets ---


@pytest.mark.parametrize("name", PROFILES)
def test_the_rst_of_abort_has_an_ack_and_a_window(name: str) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=PROFILES[name], scale=7)
    m.abort()
    rst = m.expect("RST,ACK", seq=1, ack=1)
    assert rst.window > 0


@pytest.mark.parametrize("name", PROFILES)
def test_text_after_close_is_answered_by_its_own_ack_number(name: str) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=PROFILES[name], tsval=7)
    m.release()
    m.sent()
    m.arrives("ACK", ack=2, data=b"late")
    assert m.expect("RST", seq=2).timestamps is None
    m.expect_state(State.CLOSED)


# --- time ---


def rto_after(config: StackConfig, rtt: int) -> int:
    """The RTO after one measurement, in ms."""
    return Machine.in_state(State.ESTABLISHED, config=config, rtt=rtt).connection.info().rto // MILLISECOND


@pytest.mark.parametrize(("rtt", "linux", "freebsd"), [(1, 201, 230), (10, 210, 230), (100, 300, 500), (200, 600, 800)])
def test_the_rto_after_one_round_trip(rtt: int, linux: int, freebsd: int) -> None:
    assert rto_after(StackConfig.linux(), rtt) == linux
    assert rto_after(StackConfig.freebsd(), rtt) == freebsd


def times(config: StackConfig, *, passive: bool) -> list[int]:
    """When a SYN or a SYN,ACK that nobody answers goes out, in seconds; last when it is given up."""
    m = Machine(config=config)
    if passive:
        m.open_passive()
        m.arrives("SYN", seq=0, options=m.syn_options())
    else:
        m.open_active()
    while m.state in {State.SYN_SENT, State.SYN_RECEIVED}:
        m.fire()
        m.pull()
    return [sent.time // SECOND for sent in m.sent()] + [m.now // SECOND]


def test_linux_repeats_a_syn_six_times_and_a_syn_ack_five_times() -> None:
    assert times(StackConfig.linux(), passive=False) == [0, 1, 3, 7, 15, 31, 63, 127]
    assert times(StackConfig.linux(), passive=True) == [0, 1, 3, 7, 15, 31, 63]


def test_newer_linux_repeats_a_syn_each_second_at_first() -> None:
    config = replace(StackConfig.linux(), syn_linear_timeouts=4, r2_syn=67 * SECOND)
    assert times(config, passive=False) == [0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67]
    assert times(config, passive=True) == [0, 1, 3, 7, 15, 31, 63]


def test_freebsd_gives_a_syn_75_seconds_and_repeats_a_syn_ack_three_times() -> None:
    assert times(StackConfig.freebsd(), passive=False)[-1] == 75
    assert times(StackConfig.freebsd(), passive=True) == [0, 1, 3, 7, 15]


# --- the initial window ---


@pytest.mark.parametrize(("config", "segments"), [(StackConfig(), 2), (StackConfig.linux(), 10), (StackConfig.freebsd(), 2)])
def test_only_linux_counts_the_initial_window_in_segments_alone(config: StackConfig, segments: int) -> None:
    m = Machine.in_state(State.ESTABLISHED, config=replace(config, nagle=False), mss=8_960, mtu=9_000, scale=7)
    assert m.connection.info().cwnd == segments * 8_960


# --- socket buffers ---


@pytest.mark.parametrize(
    ("config", "read", "scale"),
    [(StackConfig.linux(), 40_000, 0), (StackConfig.freebsd(), 20_000, 6), (StackConfig(), 40_000, 0)],
)
def test_what_a_receive_buffer_becomes(config: StackConfig, read: int, scale: int) -> None:
    host = VirtualHost(["10.9.0.2/24"], config=config)
    s = host.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == read
    assert s.connect_ex(("10.9.0.1", 80)) == errno.EINPROGRESS
    [(_, packet)] = host.take()
    syn = FastCodec().decode_tcp(FastCodec().decode_ip(packet))
    assert syn.window == (18_980 if config.syn_window_in_segments else 20_000)
    assert Option(tcp.WINDOW_SCALE, bytes((scale,))) in syn.options


# --- what is odd ---


def test_linux_answers_what_it_does_not_accept_twice_a_second_at_most() -> None:
    m = Machine.in_state(State.ESTABLISHED, config=StackConfig.linux())
    for _ in range(5):
        m.arrives("SYN", seq=500)
        m.wait(50)
    assert len(m.sent()) == 1
    m.wait(260)
    m.arrives("RST", seq=500)
    assert len(m.sent()) == 1
    assert m.counters["TcpExtTCPACKSkippedChallenge"] == 4


@pytest.mark.parametrize(("config", "answer"), [(StackConfig(), "ACK"), *((config, "SYN,ACK") for config in PROFILES.values())])
def test_the_kernels_answer_a_repeated_syn_by_the_syn_ack(config: StackConfig, answer: str) -> None:
    m = Machine.in_state(State.SYN_RECEIVED, passive=True, config=config)
    m.arrives("SYN", seq=0, options=m.syn_options())
    assert m.sent()[-1].flags == answer
    m.expect_state(State.SYN_RECEIVED)


@pytest.mark.parametrize(("config", "taken"), [(StackConfig(), True), (StackConfig.linux(), False), (StackConfig.freebsd(), True)])
def test_linux_listens_to_no_syn_with_a_fin(config: StackConfig, taken: bool) -> None:
    m = Machine.in_state(State.LISTEN, config=config)
    m.arrives("SYN,FIN", seq=0)
    assert (m.state is State.SYN_RECEIVED) is taken


def test_linux_tries_again_soon_after_an_old_connection_was_reset() -> None:
    m = Machine.in_state(State.SYN_SENT, config=StackConfig.linux())
    m.arrives("ACK", seq=5, ack=500)
    m.expect("RST", seq=500)
    assert m.next_sent(within=10).flags == "SYN"
    m.arrives("ACK", seq=5, ack=500)
    m.expect("RST", seq=500)
    m.wait(500)
    m.nothing_sent()
