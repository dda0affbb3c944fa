"""Two connections against each other: opening and closing in every order, half-closed transfers (RFC 9293 3.5, 3.6)."""

import pytest

from tests.support.pair import Fate, Pair, Talker, scheduled
from userstack.config import SECOND, StackConfig
from userstack.tcp.state import State

DATA = bytes(range(256)) * 400


def talk(pair: Pair, first: bytes, second: bytes) -> tuple[Talker, Talker]:
    talkers = Talker(pair.ends[0], first), Talker(pair.ends[1], second)
    pair.talkers.extend(talkers)
    return talkers


def test_three_segments_open() -> None:
    """RFC 9293 3.5 Figure 6."""
    pair = Pair()
    pair.open()
    pair.run(100)
    assert pair.path(0) == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
    assert pair.path(1) == ["CLOSED", "LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
    assert (len(pair.sent[0]), len(pair.sent[1])) == (2, 1)


def test_four_segments_close() -> None:
    """RFC 9293 3.6 Figure 12."""
    pair = Pair()
    pair.open()
    pair.run(100)
    pair.ends[0].close(now=pair.now)
    pair.flush()
    pair.run(100)
    assert pair.states == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    pair.ends[1].close(now=pair.now)
    pair.flush()
    pair.run(100)
    assert pair.states == (State.TIME_WAIT, State.CLOSED)
    assert (len(pair.sent[0]), len(pair.sent[1])) == (2 + 2, 1 + 2)
    pair.run(60_000)
    assert pair.states == (State.CLOSED, State.CLOSED)
    assert [end.next_deadline() for end in pair.ends] == [None, None]


@pytest.mark.requirement("MUST-10")
def test_simultaneous_open() -> None:
    """RFC 9293 3.5 Figure 7."""
    pair = Pair()
    pair.open(simultaneous=True)
    pair.run(500)
    for end in (0, 1):
        assert pair.path(end) == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED"]
    sent = len(pair.sent[0]) + len(pair.sent[1])
    assert sent <= 6
    pair.run(5_000)
    assert len(pair.sent[0]) + len(pair.sent[1]) == sent


@pytest.mark.requirement("MUST-10")
@pytest.mark.parametrize("lost", [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)])
def test_simultaneous_open_with_a_loss(lost: tuple[int, int]) -> None:
    def schedule(sender: int, index: int) -> Fate:
        return () if (sender, index) == lost else (10,)

    pair = Pair(schedule)
    pair.open(simultaneous=True)
    talkers = talk(pair, b"hello", b"world")
    pair.flush()
    pair.run_until_closed(seconds=200)
    assert (talkers[0].received, talkers[1].received) == (b"world", b"hello")


def test_simultaneous_open_carries_data_both_ways() -> None:
    pair = Pair()
    pair.open(simultaneous=True)
    talkers = talk(pair, DATA, DATA[::-1])
    pair.flush()
    pair.run_until_closed(seconds=200)
    assert (talkers[0].received, talkers[1].received) == (DATA[::-1], DATA)


def test_simultaneous_close() -> None:
    """RFC 9293 3.6 Figure 13."""
    pair = Pair()
    pair.open()
    pair.run(100)
    pair.ends[0].close(now=pair.now)
    pair.ends[1].close(now=pair.now)
    pair.flush()
    pair.run(100)
    for end in (0, 1):
        assert pair.path(end)[-3:] == ["FIN-WAIT-1", "CLOSING", "TIME-WAIT"]
    pair.run(60_000)
    assert pair.states == (State.CLOSED, State.CLOSED)


def test_close_crossing_data_is_not_lost() -> None:
    pair = Pair()
    pair.open()
    pair.run(100)
    talkers = talk(pair, b"a" * 10_000, b"b" * 10_000)
    pair.flush()
    pair.run_until_closed(seconds=200)
    assert (talkers[0].received, talkers[1].received) == (b"b" * 10_000, b"a" * 10_000)


@pytest.mark.parametrize("active_closes", [True, False])
def test_long_transfer_over_a_half_closed_connection(active_closes: bool) -> None:
    """One end closes at once and only reads; the other sends long after: FIN-WAIT-2 here, CLOSE-WAIT there."""
    pair = Pair()
    pair.open()
    pair.run(100)
    talkers = talk(pair, b"" if active_closes else DATA * 10, DATA * 10 if active_closes else b"")
    pair.flush()
    pair.run(200)
    reader = 0 if active_closes else 1
    assert (pair.states[reader], pair.states[1 - reader]) == (State.FIN_WAIT_2, State.CLOSE_WAIT)
    pair.run_until_closed(seconds=300)
    assert talkers[reader].received == DATA * 10


def test_abort_reaches_the_other_end() -> None:
    pair = Pair()
    pair.open()
    pair.run(100)
    pair.ends[0].abort(now=pair.now)
    pair.flush()
    pair.run(100)
    assert pair.states == (State.CLOSED, State.CLOSED)
    assert isinstance(pair.ends[1].error, ConnectionResetError)


def test_bulk_transfer_both_ways_with_small_buffers() -> None:
    pair = Pair(config=StackConfig(send_buffer=5000, receive_buffer=3000))
    pair.open()
    talkers = talk(pair, DATA, DATA[::-1])
    pair.flush()
    pair.run_until_closed(seconds=600)
    assert (talkers[0].received, talkers[1].received) == (DATA[::-1], DATA)


def test_idle_connection_is_silent_for_a_year() -> None:
    pair = Pair()
    pair.open()
    pair.run(100)
    sent = len(pair.sent[0]) + len(pair.sent[1])
    pair.run(365 * 24 * 3600 * 1000)
    assert pair.states == (State.ESTABLISHED, State.ESTABLISHED)
    assert len(pair.sent[0]) + len(pair.sent[1]) == sent


@pytest.mark.parametrize("lost", range(12))
@pytest.mark.parametrize("sender", [0, 1])
def test_any_single_loss_is_repaired(sender: int, lost: int) -> None:
    fates = [[(10,)] * lost + [()] if end == sender else [] for end in (0, 1)]
    pair = Pair(scheduled((fates[0], fates[1])))
    pair.open()
    talkers = talk(pair, b"a" * 6000, b"b" * 6000)
    pair.flush()
    pair.run_until_closed(seconds=200)
    assert (talkers[0].received, talkers[1].received) == (b"b" * 6000, b"a" * 6000)
    assert pair.now < 100 * SECOND


def test_lost_last_ack_is_given_again_from_time_wait() -> None:
    """The ACK of the FIN is lost: LAST-ACK sends its FIN again, TIME-WAIT answers it (RFC 9293 3.10.7.4 step 8)."""
    pair = Pair(scheduled(([(10,), (10,), (10,), ()], [])))
    pair.open()
    pair.run(100)
    pair.ends[0].close(now=pair.now)
    pair.flush()
    pair.run(100)
    pair.ends[1].close(now=pair.now)
    pair.flush()
    pair.run(100)
    assert pair.states == (State.TIME_WAIT, State.LAST_ACK)
    pair.run(2_000)
    assert pair.states == (State.TIME_WAIT, State.CLOSED)
    assert pair.ends[1].error is None
