"""Stack and oracle agree: every kind of segment, at every edge of both windows, in every state."""

from errno import EALREADY, ECONNREFUSED

import pytest

from tests.oracle.bench import IRS, WINDOW, Bench
from tests.oracle.combinations import segments
from tests.oracle.prototypes import SCRIPTS
from tests.oracle.stack import FAMILIES, REMOTE_PORT, Family
from tests.oracle.table import CASES, PLAIN, Case, brought_to, compare
from tests.oracle.values import MODULO, Segment

pytestmark = pytest.mark.once

STATES = {
    "LISTEN",
    "SYN-SENT",
    "SYN-RECEIVED",
    "ESTABLISHED",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "CLOSE-WAIT",
    "CLOSING",
    "LAST-ACK",
    "TIME-WAIT",
    "CLOSED",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_combination(case: Case) -> None:
    found = [f"{segment}: {'; '.join(differences)}" for segment, differences in compare(case) if differences]
    assert found == []


@pytest.mark.parametrize("place", SCRIPTS)
def test_a_place_is_what_its_name_says(place: str) -> None:
    bench = brought_to(Case(FAMILIES[0], PLAIN, place))
    assert (bench.differences, bench.reference.state) == ([], place.split(",", maxsplit=1)[0])


def test_every_state_has_a_place() -> None:
    assert {place.split(",", maxsplit=1)[0] for place in SCRIPTS} == STATES


@pytest.mark.parametrize(
    "place", ["ESTABLISHED, data in flight", "ESTABLISHED, RCV.WND zero, data in flight", "TIME-WAIT", "LAST-ACK"]
)
def test_every_kind_of_segment_meets_every_edge(place: str) -> None:
    """Left of, at and right of both edges of the receive window, and the same of what was sent."""
    reference = brought_to(Case(FAMILIES[0], PLAIN, place)).reference
    met = list(segments(reference))
    edges = (reference.rcv_nxt, reference.rcv_nxt + reference.rcv_wnd)
    assert {(edge + step) % 2**32 for edge in edges for step in (-1, 0, 1)} <= {segment.seq for segment in met}
    sent = (reference.snd_una - reference.max_snd_wnd, reference.snd_una, reference.snd_nxt)
    steps = {(edge + step) % 2**32 for edge, step in zip(sent, (-1, -1, 1), strict=True)} | {edge % 2**32 for edge in sent}
    assert steps <= {segment.ack for segment in met if "A" in segment.ctl}
    assert {"S", "SA", "A", "F", "FA", "R", "RA", "SF", "", "SFRAPUEC"} <= {segment.ctl for segment in met}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_text_on_a_syn_is_not_lost_where_the_user_closes_before_established(family: Family) -> None:
    bench = Bench(family)
    bench.connect()
    bench.says("S", size=30)
    bench.shutdown()
    bench.says("A")
    bench.receive()
    assert bench.differences == []
    assert bench.reference.rcv_nxt == (IRS + 31) % MODULO


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize(
    ("ctl", "ack", "result"),
    [("SA", 1, 0), ("S", 0, EALREADY), ("RA", 1, ECONNREFUSED), ("R", 0, EALREADY), ("RA", 2, EALREADY), ("SA", 2, EALREADY)],
)
def test_connect_tells_what_became_of_syn_sent(family: Family, ctl: str, ack: int, result: int) -> None:
    bench = Bench(family)
    bench.connect()
    bench.arrives(Segment(ctl, IRS, (bench.reference.iss + ack) % MODULO, WINDOW))
    assert bench.differences == []
    assert bench.stack.socket is not None
    assert bench.stack.socket.connect_ex((family.remote, REMOTE_PORT)) == result
