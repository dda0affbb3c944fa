"""The SYN,ACK that carries a SYN cookie is made without a connection, and says what that of a connection would."""

from typing import Any

import pytest

from tests.net.bench import CODEC, HERE, PORT, THERE, Bench
from userstack.config import SECOND
from userstack.tcp.options import SynOptions, read_syn, write_syn
from userstack.wire.ip import TCP, IPPacket
from userstack.wire.tcp import CWR, ECE, SYN, TcpSegment

SYNS = {
    "all of it": SynOptions(mss=1400, window_scale=7, timestamps=(9, 0), sack_permitted=True),
    "a scale that is too large": SynOptions(mss=1400, window_scale=15, timestamps=(9, 0), sack_permitted=True),
    "no SACK": SynOptions(mss=1400, window_scale=7, timestamps=(9, 0)),
    "no scale": SynOptions(mss=1400, timestamps=(9, 0), sack_permitted=True),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "no SACK": {"sack": False},
    "no scale": {"window_scaling": False},
    "no ECN": {"ecn": 0},
    "whole segments": {"syn_window_in_segments": True, "receive_buffer": 50_000},
    "small segments": {"max_segment": 900},
    "user timeout": {"uto": True},
    "freebsd": {"option_layout": "freebsd", "window_scale": 6},
}


def answer(family: int, syn: SynOptions, flags: int, **settings: Any) -> tuple[TcpSegment, dict[str, int]]:
    bench = Bench(**settings)
    bench.now = 1_000 * SECOND
    bench.listen(HERE[family])
    segment = TcpSegment(5000, PORT, 100, 0, flags, 65535, options=write_syn(syn, "linux"))
    bench.deliver(IPPacket(THERE[family], HERE[family], TCP, CODEC.encode_tcp(segment, THERE[family], HERE[family])))
    (sent,) = bench.pull()
    counted = {
        name: value for name, value in bench.host.counters.snapshot().items() if "Syncookie" not in name and "ReqQ" not in name
    }
    return sent, counted


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("syn", SYNS.values(), ids=SYNS.keys())
@pytest.mark.parametrize("flags", [SYN, SYN | ECE | CWR], ids=["plain", "ECN"])
def test_it_says_what_a_connection_would(family: int, syn: SynOptions, flags: int, settings: dict[str, Any]) -> None:
    (kept, counted), (cookie, counted_too) = (
        answer(family, syn, flags, **settings),
        answer(family, syn, flags, syncookies=2, **settings),
    )
    assert (cookie.flags, cookie.ack, cookie.window) == (kept.flags, kept.ack, kept.window)
    assert [kind for kind, _ in cookie.options] == [kind for kind, _ in kept.options]
    ours, theirs = read_syn(cookie.options), read_syn(kept.options)
    assert ours.timestamps is not None
    assert theirs.timestamps is not None
    assert 0 <= theirs.timestamps[0] - ours.timestamps[0] < 64  # set back, for what it carries
    assert ours.timestamps[1] == theirs.timestamps[1]
    assert (ours.mss, ours.window_scale, ours.sack_permitted) == (theirs.mss, theirs.window_scale, theirs.sack_permitted)
    assert counted_too == counted


def test_without_a_timestamp_to_carry_it_there_is_an_mss_and_nothing_else() -> None:
    cookie, _ = answer(4, SynOptions(mss=1400, window_scale=7, sack_permitted=True), SYN | ECE | CWR, syncookies=2)
    assert read_syn(cookie.options) == SynOptions(mss=1460)
    assert not cookie.flags & ECE
