"""The judge: right sequences pass, and each kind of wrong one is caught for what it is."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.observe.scenes import LOCAL, OUR_SYN, REMOTE, Scene, peer_closes_first, we_close_first
from tests.observe.watching import record
from userstack.observe.steps import Arrow, Mark, Move, Phase, Release, Step
from userstack.observe.verdict import Expectation, judge

OURS = Expectation(we_open=True, we_close_first=True, bytes_sent=5, bytes_received=5, peer_ends=frozenset({"CLOSED"}))
THEIRS = Expectation(we_open=False, we_close_first=False, bytes_sent=21, bytes_received=22, peer_ends=frozenset({"TIME-WAIT"}))

Edit = Callable[[list[Step]], list[Step]]


def verdict(steps: list[Step], expected: Expectation = OURS, peer_at_end: str | None = None) -> list[str]:
    return judge(steps, LOCAL, REMOTE, expected, peer_at_end=peer_at_end or next(iter(expected.peer_ends)))


def ours() -> list[Step]:
    return record(we_close_first().events)


def edited(change: Callable[[Arrow], Step], *, phase: Phase) -> list[Step]:
    return [change(step) if isinstance(step, Arrow) and step.phase is phase else step for step in ours()]


def with_data(change: Callable[[Arrow], Step]) -> list[Step]:
    """The segments that carry data, edited."""
    return [change(step) if isinstance(step, Arrow) and step.length else step for step in ours()]


def without(*phases: Phase) -> list[Step]:
    return [step for step in ours() if not (isinstance(step, Arrow) and step.phase in phases)]


def test_right_sequences_pass() -> None:
    assert verdict(ours()) == []
    assert verdict(record(we_close_first(merged=True).events)) == []
    assert verdict(record(peer_closes_first().events), THEIRS) == []


def test_states_of_the_peer_are_judged_where_they_are_known() -> None:
    states = iter(
        ["SYN-RECEIVED", "SYN-RECEIVED", *["ESTABLISHED"] * 4, "CLOSE-WAIT", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
    )
    assert verdict(record(we_close_first().events, lambda local, remote, leaving: next(states))) == []
    [complaint] = verdict(edited(lambda arrow: replace(arrow, peer="SYN-SENT"), phase=Phase.SYN_ACK))
    assert complaint == "2/3 SYN,ACK: the peer is in SYN-SENT, not in FIN-WAIT-1 or SYN-RECEIVED (RFC 9293 3.10.7)"


def test_a_peer_whose_program_closed_meanwhile_is_right_too() -> None:
    assert verdict(edited(lambda arrow: replace(arrow, peer="LAST-ACK"), phase=Phase.FIRST_FIN)) == []
    assert verdict(edited(lambda arrow: replace(arrow, peer="LISTEN"), phase=Phase.SECOND_FIN_ACK)) == []


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        (without(Phase.HANDSHAKE_ACK), "the handshake has 2 of its three steps"),
        (without(Phase.SYN, Phase.SYN_ACK, Phase.HANDSHAKE_ACK), "the handshake has 0 of its three steps"),
        (without(Phase.FIRST_FIN_ACK, Phase.SECOND_FIN), "the close lacks 2/4, 3/4"),
        (without(Phase.SECOND_FIN_ACK), "the close lacks 4/4"),
        (edited(lambda arrow: replace(arrow, ack=2), phase=Phase.SYN_ACK), "acknowledges 2 when only 1 was sent"),
        (edited(lambda arrow: replace(arrow, seq=7), phase=Phase.HANDSHAKE_ACK), "do not acknowledge each other's ISN"),
        (
            edited(lambda arrow: replace(arrow, ack=6), phase=Phase.FIRST_FIN_ACK),
            "a FIN was not acknowledged by the number after it",
        ),
        (edited(lambda arrow: replace(arrow, sent=False), phase=Phase.FIRST_FIN), "the peer closed first"),
        (edited(lambda arrow: replace(arrow, sent=True), phase=Phase.SECOND_FIN), "the steps of the close come from the wrong end"),
        (edited(lambda arrow: replace(arrow, flags=0x14), phase=Phase.FIRST_FIN_ACK), "the peer reset the connection"),
        (edited(lambda arrow: replace(arrow, length=9), phase=Phase.SECOND_FIN_ACK), "goes on after its FIN"),
        (edited(lambda arrow: replace(arrow, ours="CLOSING"), phase=Phase.SECOND_FIN), "we are in CLOSING, not in TIME-WAIT"),
        (edited(lambda arrow: replace(arrow, peer="ESTABLISHED"), phase=Phase.SECOND_FIN_ACK), "the peer is in ESTABLISHED"),
        (
            edited(lambda arrow: replace(arrow, lost=True), phase=Phase.FIRST_FIN_ACK),
            "1 segments were lost and none was meant to be",
        ),
        (edited(lambda arrow: replace(arrow, flags=0x12), phase=Phase.SYN), "the first SYN carries an ACK"),
        (edited(lambda arrow: replace(arrow, ack=None), phase=Phase.FIRST_FIN_ACK), "ACK seq 6: has no ACK"),
        (edited(lambda arrow: replace(arrow, ack=5), phase=Phase.SECOND_FIN_ACK), "acknowledges 5 after 6"),
        (edited(lambda arrow: replace(arrow, seq=8), phase=Phase.SECOND_FIN), "skips numbers from 6 on"),
        (with_data(lambda arrow: replace(arrow, ours="SYN-SENT")), "data between SYN-SENT and "),
        (with_data(lambda arrow: replace(arrow, peer="LISTEN")), " and LISTEN, which are no two ends of a connection"),
        ([step for step in ours() if not isinstance(step, Release)], "our TCB was not freed"),
        ([*ours(), ours()[-1]], "our TCB was not freed once and last of all"),
        ([ours()[-1], *ours()[:-1]], "our TCB was not freed once and last of all"),
        (
            [step for step in ours() if not (isinstance(step, Move) and step.new == "FIN-WAIT-2")],
            "we were in FIN-WAIT-1 and left FIN",
        ),
        ([step for step in ours() if not (isinstance(step, Move) and step.new == "CLOSED")], "our states were CLOSED, SYN-SENT"),
        ([step for step in ours() if not isinstance(step, Move)], "our states were none"),
        ([], "our TCB was not freed"),
    ],
)
def test_wrong_sequences_are_caught(steps: list[Step], complaint: str) -> None:
    complaints = verdict(steps)
    assert any(complaint in found for found in complaints), complaints


def with_repeated_fin(*, ours_repeated: bool = True, reset_at: int = 7) -> list[Step]:
    """Our last ACK came late: the peer has repeated the end of its text, and knows nothing of the connection any more."""
    scene = we_close_first()
    end = scene.events[-2:]
    del scene.events[-2:]
    scene.received("FIN,ACK", 6, 7)
    if ours_repeated:
        scene.sent("ACK", 7, 7)
    scene.received("RST", reset_at)
    return record([*scene.events, *end])


def test_a_reset_that_meets_our_repeated_last_ack_is_right() -> None:
    assert verdict(with_repeated_fin()) == []
    for steps in (with_repeated_fin(ours_repeated=False), with_repeated_fin(reset_at=6)):
        assert any("the peer reset the connection" in complaint for complaint in verdict(steps))


def test_data_that_is_repeated_may_come_when_the_peers_connection_is_over() -> None:
    def of_old(arrow: Arrow) -> Arrow:
        return arrow if arrow.sent else replace(arrow, peer="CLOSED", marks=(Mark.RETRANSMISSION,))

    assert verdict(with_data(of_old)) == []


def test_an_illegal_transition_is_caught() -> None:
    moves = [replace(step, new="CLOSING") if isinstance(step, Move) and step.new == "ESTABLISHED" else step for step in ours()]
    assert "no arrow of RFC 9293 figure 5 leads from SYN-SENT to CLOSING" in verdict(moves)


def test_the_order_of_the_handshake_matters() -> None:
    steps = ours()
    first, second = (
        next(i for i, s in enumerate(steps) if isinstance(s, Arrow) and s.phase is p) for p in (Phase.SYN, Phase.SYN_ACK)
    )
    steps[first], steps[second] = steps[second], steps[first]
    assert "the steps of the handshake are out of order (RFC 9293 3.5)" in verdict(steps)


def test_the_roles_matter() -> None:
    complaints = verdict(record(peer_closes_first().events), replace(THEIRS, we_open=True, we_close_first=True))
    assert "the handshake was opened by the peer (RFC 9293 3.5)" in complaints
    assert "the peer closed first (RFC 9293 3.6)" in complaints


def test_the_amount_of_data_matters() -> None:
    assert verdict(ours(), replace(OURS, bytes_sent=6)) == [
        "we sent 7 numbers where SYN, 6 octets and FIN take 8 (RFC 9293 3.4)",
    ]
    assert verdict(ours(), replace(OURS, bytes_received=0)) == [
        "the peer sent 7 numbers where SYN, 0 octets and FIN take 2 (RFC 9293 3.4)",
    ]


def test_the_peers_last_state_matters() -> None:
    assert verdict(ours(), peer_at_end="LAST-ACK") == ["the peer ends in LAST-ACK, not in CLOSED"]
    assert verdict(ours(), peer_at_end="?") == ["the peer ends in ?, not in CLOSED"]


def test_another_connection_does_not_count() -> None:
    assert judge(ours(), LOCAL, REMOTE._replace(port=1), OURS, peer_at_end="CLOSED")


def with_lost_syn(*, repaired: bool) -> list[Step]:
    scene = Scene()
    scene.moves("CLOSED", "SYN-SENT", "call OPEN", "3.10.1")
    lost = scene.sent("SYN", 0, options=OUR_SYN)
    steps = record(scene.events, lose=[lost])
    return [*steps, *(_again(ours()) if repaired else ours())[1:]]


def _again(steps: list[Step]) -> list[Step]:
    return [_repeat(step) if isinstance(step, Arrow) and step.phase is Phase.SYN else step for step in steps]


def _repeat(arrow: Arrow) -> Arrow:
    scene = Scene()
    scene.sent("SYN", 0)
    scene.sent("SYN", 0)
    marks = record(scene.events)[1]
    assert isinstance(marks, Arrow)
    return replace(arrow, marks=marks.marks)


def test_a_loss_must_be_made_good() -> None:
    expected = replace(OURS, lost=Phase.SYN)
    assert verdict(with_lost_syn(repaired=True), expected) == []
    assert verdict(with_lost_syn(repaired=False), expected) == ["the lost 1/3 was never made good (RFC 9293 3.8.1)"]
    assert verdict(ours(), expected) == ["exactly our 1/3 was to be lost, not []"]


def with_lost_last_ack(*, repaired: bool) -> list[Step]:
    scene = we_close_first()
    end = scene.events[-2:]
    del scene.events[-2:]
    lost = getattr(scene.events[-1], "packet", b"")
    if repaired:
        scene.received("FIN,ACK", 6, 7)
        scene.sent("ACK", 7, 7)
    steps: list[Step] = []
    for step in record([*scene.events, *end]):
        is_lost = isinstance(step, Arrow) and step.phase is Phase.SECOND_FIN_ACK and not step.marks
        steps.append(replace(step, lost=True) if is_lost and isinstance(step, Arrow) else step)
    assert lost
    return steps


def test_a_lost_last_ack_is_repaired_out_of_time_wait() -> None:
    expected = replace(OURS, lost=Phase.SECOND_FIN_ACK)
    assert verdict(with_lost_last_ack(repaired=True), expected) == []
    complaints = verdict(with_lost_last_ack(repaired=False), expected)
    assert "the lost 4/4 was never made good (RFC 9293 3.8.1)" in complaints
    assert "the close lacks 4/4 (RFC 9293 3.6)" in complaints
