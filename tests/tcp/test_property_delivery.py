"""The main property: whatever is lost, doubled or overtaken, both ends get the same bytes and both reach CLOSED.

The schedule of each example is finite: beyond it everything arrives, so that the run ends. R2 is out of reach, MSL is an hour.
"""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.pair import Fate, Pair, Talker, scheduled
from userstack.config import SECOND, StackConfig
from userstack.tcp.state import State

FATES = st.lists(st.sampled_from([(10,), (10,), (), (10, 10), (10, 35), (25,), (60,), (300,), (10, 1500)]), max_size=30)
ISNS = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 5000, 2**32 - 1461, 2**32 - 10, 2**32 - 2, 2**32 - 1])
SIZES = st.sampled_from([0, 1, 100, 1460, 1461, 4000, 12_000])
BUFFERS = st.sampled_from([1000, 3000, 65_535])


def bytes_of(size: int, salt: int) -> bytes:
    """Bytes that tell where they belong."""
    return bytes((position * 7 + (position >> 8) + salt) & 0xFF for position in range(size))


def run(
    fates: tuple[list[Fate], list[Fate]],
    isns: tuple[int, int],
    sizes: tuple[int, int],
    buffer: int,
    *,
    simultaneous: bool,
    appetite: int,
) -> None:
    config = StackConfig(receive_buffer=buffer, send_buffer=5000, r2=10_000 * SECOND, r2_syn=10_000 * SECOND, msl=3600 * SECOND)
    pair = Pair(scheduled(fates), config=config, isns=isns)
    data = bytes_of(sizes[0], 1), bytes_of(sizes[1], 2)
    pair.talkers.extend(Talker(end, out, appetite=appetite) for end, out in zip(pair.ends, data, strict=True))
    pair.open(simultaneous=simultaneous)
    pair.run_until_closed(seconds=20_000)
    assert [talker.received for talker in pair.talkers] == [data[1], data[0]]
    assert all(talker.eof for talker in pair.talkers)
    assert [end.error for end in pair.ends] == [None, None]
    assert [end.next_deadline() for end in pair.ends] == [None, None]
    assert State.TIME_WAIT in pair.path(0) + pair.path(1)


@settings(max_examples=examples(600), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    fates=st.tuples(FATES, FATES),
    isns=st.tuples(ISNS, ISNS),
    sizes=st.tuples(SIZES, SIZES),
    buffer=BUFFERS,
    simultaneous=st.booleans(),
    appetite=st.sampled_from([100, 65_536]),
)
@example(fates=([()] * 6, [()] * 6), isns=(2**32 - 1, 2**32 - 1), sizes=(4000, 4000), buffer=3000, simultaneous=False, appetite=100)
@example(fates=([()] * 5, [()] * 5), isns=(0, 2**31), sizes=(1461, 1), buffer=65_535, simultaneous=True, appetite=65_536)
def test_every_schedule_delivers_the_same_bytes_and_both_ends_close(
    fates: tuple[list[Fate], list[Fate]],
    isns: tuple[int, int],
    sizes: tuple[int, int],
    buffer: int,
    simultaneous: bool,
    appetite: int,
) -> None:
    run(fates, isns, sizes, buffer, simultaneous=simultaneous, appetite=appetite)


@settings(max_examples=examples(100), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(order=st.permutations(range(12)), doubled=st.sets(st.integers(0, 11)), isn=ISNS)
def test_every_order_of_a_flight_delivers_the_same_bytes(order: list[int], doubled: set[int], isn: int) -> None:
    """Reordering alone: the first flight of data arrives in any order at all."""
    fates: list[Fate] = [(10,), (10,)]
    fates += [(10 + place, 40 + place) if index in doubled else (10 + place,) for index, place in enumerate(order)]
    run((fates, []), (isn, isn), (12_000, 0), 65_535, simultaneous=False, appetite=65_536)
