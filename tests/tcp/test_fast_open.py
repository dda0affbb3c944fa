"""The Fast Open option in a SYN (RFC 7413 4.1.1), and what a connection without a host makes of it."""

import pytest

from tests.support.machine import LOCAL, Machine
from userstack.config import SECOND, StackConfig
from userstack.tcp.connection import Connection
from userstack.tcp.fastopen import Cookie, FastOpen, read_cookie, write_cookie
from userstack.tcp.options import SynOptions, read_syn, write_syn
from userstack.tcp.state import State
from userstack.wire.tcp import EXPERIMENT, FAST_OPEN, NOP, SACK_PERMITTED, Option

EIGHT = b"\x30\x21\xb9\xd8\x89\x01\x7e\xeb"


@pytest.mark.parametrize("octets", [0, *range(4, 17, 2)])
@pytest.mark.parametrize("experimental", [False, True])
def test_a_cookie_is_read_as_it_was_written_and_padded_to_words(octets: int, experimental: bool) -> None:
    cookie = Cookie(bytes(range(octets)), experimental)
    options = write_cookie(cookie)
    assert read_cookie(options) == cookie
    assert sum(1 if option.kind == NOP else 2 + len(option.data) for option in options) % 4 == 0


@pytest.mark.parametrize("octets", [1, 2, 3, 5, 7, 15, 17, 18])
def test_another_length_is_ignored(octets: int) -> None:
    assert read_cookie((Option(FAST_OPEN, bytes(octets)),)) is None
    assert read_cookie((Option(EXPERIMENT, b"\xf9\x89" + bytes(octets)),)) is None


def test_another_experiment_is_none_of_it_and_the_first_cookie_counts() -> None:
    assert read_cookie((Option(EXPERIMENT, b"\xe2\xd4" + EIGHT), Option(EXPERIMENT))) is None
    assert read_cookie((Option(FAST_OPEN, bytes(3)), Option(FAST_OPEN, EIGHT), Option(FAST_OPEN))) == Cookie(EIGHT)


@pytest.mark.parametrize("layout", ["linux", "freebsd"])
def test_it_stands_last_and_nothing_behind_an_end_of_options(layout: str) -> None:
    syn = SynOptions(mss=1460, sack_permitted=True, fast_open=Cookie(EIGHT))
    options = write_syn(syn, layout)
    kinds = [option.kind for option in options if option.kind > NOP]
    assert kinds[-2:] == [SACK_PERMITTED, FAST_OPEN]
    assert read_syn(options) == syn
    assert 0 not in [option.kind for option in options]


# --- a server that closes before the handshake is over: FIN-WAIT-1, and our SYN still outstanding ---


def closed_early(config: StackConfig) -> Machine:
    m = Machine(config=config)
    m.connection = m.subject = Connection(
        LOCAL, config=config, isn=lambda *_: m.iss, counters=m.counters, listening=True, fast_open=FastOpen(accepted=True)
    )
    m.arrives("SYN", seq=0, data=b"hello", options=m.syn_options())
    m.expect("SYN,ACK", ack=6)
    m.send(b"world")
    m.expect("ACK", seq=1, data=b"world")
    m.close()
    m.expect("FIN,ACK", seq=6)
    m.expect_state(State.FIN_WAIT_1)
    return m


@pytest.mark.parametrize(("config", "answer"), [(StackConfig.linux(), "SYN,ACK"), (StackConfig(), "ACK")])
def test_a_syn_that_comes_again_is_answered_as_in_syn_received(config: StackConfig, answer: str) -> None:
    m = closed_early(config)
    m.arrives("SYN", seq=0, options=m.syn_options())
    m.expect(answer, ack=6)


@pytest.mark.requirement("MUST-24")
def test_the_peer_of_who_closed_early_is_watched_by_keep_alives() -> None:
    m = closed_early(StackConfig(keepalive=True, keepalive_time=10 * SECOND))
    m.arrives("ACK", seq=6, ack=7)
    m.expect_state(State.FIN_WAIT_2)
    assert m.next_sent(within=10_000).seq == 6
