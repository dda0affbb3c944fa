import ast
import inspect
from itertools import groupby, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userstack.config import MILLISECOND, SECOND
from userstack.errors import InvalidArgument
from userstack.packetio import impairment as impairment_module
from userstack.packetio.impairment import ImpairedLink, Impairment

COUNT = 20_000


def numbered(number: int) -> bytes:
    return number.to_bytes(4, "big")


def through(link: ImpairedLink, count: int = COUNT, *, interval: int = 0) -> list[int]:
    """Send ``count`` numbered packets, one each ``interval``, and see what is there after a long time, in order of arrival."""
    for number in range(count):
        link.offer(numbered(number), number * interval)
    return [int.from_bytes(packet, "big") for packet, _ in link.take(10**18)]


def test_good_link_passes_everything_at_once_and_in_order() -> None:
    link = ImpairedLink(Impairment(queue=COUNT))
    assert through(link) == list(range(COUNT))
    assert link.next_deadline() is None
    assert link.counters.snapshot() == {"offered": COUNT}


def test_packets_due_at_once_keep_their_order_whatever_they_hold() -> None:
    link = ImpairedLink(Impairment())
    for packet in (b"2", b"1", b"3"):
        link.offer(packet, 0)
    assert [packet for packet, _ in link.take(0)] == [b"2", b"1", b"3"]


def test_loss_has_the_share_that_was_asked_for() -> None:
    link = ImpairedLink(Impairment(loss=0.1, queue=COUNT))
    arrived = through(link)
    assert COUNT - len(arrived) == link.counters["lost"]
    assert 0.09 < link.counters["lost"] / COUNT < 0.11


def bursts(arrived: list[int]) -> list[int]:
    came = set(arrived)
    return [len(list(group)) for lost, group in groupby(number not in came for number in range(COUNT)) if lost]


def test_losses_come_in_bursts_of_the_mean_length_that_was_asked_for() -> None:
    link = ImpairedLink(Impairment(loss=0.1, burst=5, queue=COUNT))
    lengths = bursts(through(link))
    assert 4 < sum(lengths) / len(lengths) < 6
    assert 0.08 < link.counters["lost"] / COUNT < 0.12
    alone = bursts(through(ImpairedLink(Impairment(loss=0.1, queue=COUNT))))
    assert 1 < sum(alone) / len(alone) < 1.3


def test_duplicates_arrive_twice() -> None:
    link = ImpairedLink(Impairment(duplicate=0.1, queue=2 * COUNT))
    arrived = through(link)
    assert sorted(set(arrived)) == list(range(COUNT))
    assert len(arrived) - COUNT == link.counters["duplicated"]
    assert 0.09 < link.counters["duplicated"] / COUNT < 0.11


def test_packets_that_are_held_back_are_overtaken() -> None:
    link = ImpairedLink(Impairment(reorder=0.1, reorder_delay=5 * MILLISECOND, queue=COUNT))
    arrived = through(link, interval=MILLISECOND)
    assert sorted(arrived) == list(range(COUNT))
    assert 0.09 < link.counters["reordered"] / COUNT < 0.11
    late = sum(1 for place, number in enumerate(arrived) if any(later > number for later in arrived[max(0, place - 5) : place]))
    assert late / link.counters["reordered"] > 0.9


def test_corruption_flips_one_bit_anywhere() -> None:
    link = ImpairedLink(Impairment(corrupt=1.0, queue=COUNT))
    places = set()
    for _ in range(COUNT):
        link.offer(bytes(10), 0, vouched=True)
    for packet, vouched in link.take(0):
        flipped = int.from_bytes(packet, "big")
        assert flipped.bit_count() == 1
        assert not vouched
        places.add(flipped)
    assert len(places) == 80
    assert link.counters["corrupted"] == COUNT


def test_empty_packet_has_no_bit_to_flip() -> None:
    link = ImpairedLink(Impairment(corrupt=1.0))
    link.offer(b"", 0)
    assert link.take(0) == [(b"", False)]


def test_vouching_is_carried_along() -> None:
    link = ImpairedLink(Impairment())
    link.offer(b"1", 0, vouched=True)
    link.offer(b"2", 0)
    assert link.take(0) == [(b"1", True), (b"2", False)]


def test_delay_is_exact_to_the_nanosecond() -> None:
    link = ImpairedLink(Impairment(delay=50 * MILLISECOND))
    link.offer(b"1", 1000)
    due = 1000 + 50 * MILLISECOND
    assert link.next_deadline() == due
    assert link.take(due - 1) == []
    assert link.take(due) == [(b"1", False)]
    assert link.next_deadline() is None


def test_jitter_keeps_within_its_bounds_and_keeps_the_order() -> None:
    link = ImpairedLink(Impairment(delay=50 * MILLISECOND, jitter=10 * MILLISECOND))
    delays = []
    for number in range(500):
        now = number * SECOND
        link.offer(b"1", now)
        deadline = link.next_deadline()
        assert deadline is not None
        delays.append(deadline - now)
        link.take(deadline)
    assert min(delays) >= 40 * MILLISECOND
    assert max(delays) <= 60 * MILLISECOND
    assert max(delays) - min(delays) > 15 * MILLISECOND
    assert through(ImpairedLink(Impairment(delay=5000, jitter=5000, queue=COUNT)), interval=1) == list(range(COUNT))


def test_rate_spaces_the_packets() -> None:
    link = ImpairedLink(Impairment(rate=8_000_000))  # a byte each microsecond
    for size in (1000, 500, 100):
        link.offer(bytes(size), 0)
    arrivals = []
    while (deadline := link.next_deadline()) is not None:
        arrivals += [(deadline, len(packet)) for packet, _ in link.take(deadline)]
    assert arrivals == [(1_000_000, 1000), (1_500_000, 500), (1_600_000, 100)]
    link.offer(bytes(100), 10 * SECOND)
    assert link.next_deadline() == 10 * SECOND + 100_000


def test_what_comes_beyond_the_queue_is_dropped() -> None:
    link = ImpairedLink(Impairment(delay=SECOND, queue=3, duplicate=1.0))
    link.offer(b"1", 0)
    link.offer(b"2", 0)
    link.offer(b"3", 0)
    assert len(link) == 3
    assert [packet for packet, _ in link.take(SECOND)] == [b"1", b"1", b"2"]
    assert link.counters["queue_full"] == 2


BAD = Impairment(loss=0.1, burst=2, duplicate=0.1, reorder=0.1, corrupt=0.1, delay=1000, jitter=1000, rate=10**9, queue=COUNT)


def test_same_seed_is_the_same_link_and_another_seed_another() -> None:
    runs = [through(ImpairedLink(BAD, Random(seed)), interval=100) for seed in (7, 7, 8)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert through(ImpairedLink(Impairment(loss=0.5, seed=1, queue=COUNT))) != through(
        ImpairedLink(Impairment(loss=0.5, seed=2, queue=COUNT))
    )


impairments = st.builds(
    Impairment,
    loss=st.floats(0, 0.5),
    burst=st.floats(1, 20),
    duplicate=st.floats(0, 1),
    reorder=st.floats(0, 1),
    reorder_delay=st.integers(0, 10**7),
    corrupt=st.floats(0, 1),
    delay=st.integers(10**6, 10**8),
    jitter=st.integers(0, 10**6),
    rate=st.none() | st.integers(10**3, 10**10),
    queue=st.integers(1, 50),
    seed=st.integers(0, 10),
)


@given(impairments, st.lists(st.tuples(st.integers(0, 10**7), st.binary(max_size=50)), max_size=60))
def test_nothing_is_made_up_or_forgotten_and_deadlines_are_kept(impairment: Impairment, offers: list[tuple[int, bytes]]) -> None:
    link = ImpairedLink(impairment)
    now, arrived = 0, 0
    for gap, packet in offers:
        now += gap
        while (deadline := link.next_deadline()) is not None and deadline <= now:
            taken = link.take(deadline)
            assert taken
            arrived += len(taken)
        link.offer(packet, now)
        assert len(link) <= impairment.queue
    while (deadline := link.next_deadline()) is not None:
        assert deadline >= now
        arrived += len(link.take(deadline))
    counters = link.counters
    assert counters["offered"] == len(offers)
    passed = counters["offered"] - counters["lost"] + counters["duplicated"]
    assert passed - 2 * counters["queue_full"] <= arrived <= passed - counters["queue_full"]


def test_arrivals_never_go_back_in_time() -> None:
    link = ImpairedLink(BAD)
    for number in range(1000):
        link.offer(numbered(number), number * 10)
    deadlines = []
    while (deadline := link.next_deadline()) is not None:
        deadlines.append(deadline)
        link.take(deadline)
    assert all(earlier < later for earlier, later in pairwise(deadlines))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": 1.5}, "loss must be a share from 0 to 1, not 1.5"),
        ({"duplicate": -0.1}, "duplicate must be a share"),
        ({"reorder": 2}, "reorder must be a share"),
        ({"corrupt": 2}, "corrupt must be a share"),
        ({"burst": 0.5}, "burst must be at least 1"),
        ({"rate": 1e6}, "rate must be a whole number"),
        ({"queue": 2.5}, "queue must be a whole number"),
        ({"delay": True}, "delay must be a whole number, of ns if it is a time, not True"),
        ({"burst": 2, "loss": 0.8}, "loss at most"),
        ({"delay": -1}, "delay must not be below 0 ns"),
        ({"reorder_delay": -1}, "reorder_delay must not be below 0 ns"),
        ({"delay": 1, "jitter": 2}, "jitter .* must not be above delay"),
        ({"rate": 0}, "rate must be above 0 bits per second"),
        ({"queue": 0}, "queue must hold at least 1 packet"),
    ],
)
def test_values_that_cannot_be_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        Impairment(**fields)  # type: ignore[arg-type] # the point of the test


def test_module_is_sans_io() -> None:
    tree = ast.parse(inspect.getsource(impairment_module))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules == {"heapq", "dataclasses", "random", "userstack.config", "userstack.counters", "userstack.errors"}
