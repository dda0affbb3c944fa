"""Whether one recorded connection went as RFC 9293 says it has to: segments, transitions, states beside arrows, final states.

Law: only the record is judged, and each complaint names the clause that was broken. What cannot be known from it (when the peer's
program closed) is allowed; what the record must show and does not is a complaint.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from userstack.address import Endpoint
from userstack.observe.steps import UNKNOWN, Arrow, Mark, Move, Phase, Release, Step
from userstack.tcp.state import TRANSITIONS, State
from userstack.wire.tcp import ACK, FIN, RST, SYN, flag_names

S = State

_AFTER: dict[tuple[Phase, bool], frozenset[State]] = {
    (Phase.SYN, True): frozenset({S.SYN_SENT}),
    (Phase.SYN, False): frozenset({S.SYN_RECEIVED}),
    (Phase.SYN_ACK, True): frozenset({S.SYN_RECEIVED}),
    (Phase.SYN_ACK, False): frozenset({S.ESTABLISHED}),
    (Phase.HANDSHAKE_ACK, True): frozenset({S.ESTABLISHED}),
    (Phase.HANDSHAKE_ACK, False): frozenset({S.ESTABLISHED}),
    (Phase.FIRST_FIN, True): frozenset({S.FIN_WAIT_1}),
    (Phase.FIRST_FIN, False): frozenset({S.CLOSE_WAIT}),
    (Phase.FIRST_FIN_ACK, True): frozenset({S.CLOSE_WAIT}),
    (Phase.FIRST_FIN_ACK, False): frozenset({S.FIN_WAIT_2}),
    (Phase.SECOND_FIN, True): frozenset({S.LAST_ACK}),
    (Phase.SECOND_FIN, False): frozenset({S.TIME_WAIT}),
    (Phase.MERGED_FIN, True): frozenset({S.LAST_ACK}),
    (Phase.MERGED_FIN, False): frozenset({S.TIME_WAIT}),
    (Phase.SECOND_FIN_ACK, True): frozenset({S.TIME_WAIT}),
    (Phase.SECOND_FIN_ACK, False): frozenset({S.CLOSED}),
}
"""The state of the end that has sent (True) or processed (False) a step of handshake or close (RFC 9293 figures 6 and 12)."""

_SYNCHRONIZED = frozenset(S) - {S.CLOSED, S.LISTEN, S.SYN_SENT, S.SYN_RECEIVED}

_BY_CLOSING = {S.ESTABLISHED: S.FIN_WAIT_1, S.SYN_RECEIVED: S.FIN_WAIT_1, S.CLOSE_WAIT: S.LAST_ACK}
"""Where an end goes by itself when its program closes, without any segment (RFC 9293 3.10.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a connection is to be like."""

    we_open: bool
    we_close_first: bool
    bytes_sent: int
    bytes_received: int
    peer_ends: frozenset[str]
    """The states in which the peer may be at the end."""
    lost: Phase | None = None
    """The step of ours that is taken off the link once and has to be repaired."""


def judge(steps: Iterable[Step], local: Endpoint, remote: Endpoint, expected: Expectation, *, peer_at_end: str) -> list[str]:
    """What was wrong with the connection between ``local`` and ``remote``; empty where all was right."""
    mine = [step for step in steps if _concerns(step, local, remote)]
    arrows = _without_late_reset([step for step in mine if isinstance(step, Arrow)])
    moves = [step for step in mine if isinstance(step, Move)]
    complaints = [
        *_judge_handshake(arrows, expected),
        *_judge_numbers(arrows),
        *_judge_streams(arrows, expected),
        *_judge_close(arrows, expected),
        *_judge_moves(moves, arrows, expected),
        *_judge_states(arrows),
        *_judge_loss(arrows, expected),
    ]
    releases = [step for step in mine if isinstance(step, Release)]
    if not releases or releases != mine[-1:]:
        complaints.append("our TCB was not freed once and last of all (RFC 9293 3.10.8)")
    if peer_at_end not in expected.peer_ends:
        complaints.append(f"the peer ends in {peer_at_end}, not in {' or '.join(sorted(expected.peer_ends))}")
    return complaints


def _concerns(step: Step, local: Endpoint, remote: Endpoint) -> bool:
    return isinstance(step, Arrow | Move | Release) and (step.local, step.remote) == (local, remote)


def _without_late_reset(arrows: list[Arrow]) -> list[Arrow]:
    """Without the RST that our repeated last ACK meets where the first one came late, but before it, and ended the connection.

    The peer had repeated its FIN meanwhile, for which TIME-WAIT owes an ACK (RFC 9293 3.10.7.4 step 8), and CLOSED answers with a
    RST of that number (3.10.7.1).
    """
    again = {arrow.ack for arrow in arrows if arrow.sent and Mark.ACKED_AGAIN in arrow.marks and arrow.ours == S.TIME_WAIT}
    return [arrow for arrow in arrows if arrow.sent or not (arrow.flags & RST and arrow.ack is None and arrow.seq in again)]


def _first(arrows: list[Arrow], *phases: Phase) -> Arrow | None:
    return next((arrow for arrow in arrows if arrow.phase in phases and not arrow.lost), None)


def _judge_handshake(arrows: list[Arrow], expected: Expectation) -> Iterator[str]:
    """RFC 9293 3.5, figure 6."""
    steps = [_first(arrows, phase) for phase in (Phase.SYN, Phase.SYN_ACK, Phase.HANDSHAKE_ACK)]
    found = [arrow for arrow in steps if arrow is not None]
    if len(found) < len(steps):
        yield f"the handshake has {len(found)} of its three steps (RFC 9293 3.5)"
        return
    syn, syn_ack, ack = found
    if not arrows.index(syn) < arrows.index(syn_ack) < arrows.index(ack):
        yield "the steps of the handshake are out of order (RFC 9293 3.5)"
    if [arrow.sent for arrow in found] != [expected.we_open, not expected.we_open, expected.we_open]:
        yield f"the handshake was opened by {'us' if syn.sent else 'the peer'} (RFC 9293 3.5)"
    if (syn.seq, syn_ack.seq, syn_ack.ack, ack.seq, ack.ack) != (0, 0, 1, 1, 1):
        yield "the numbers of the handshake do not acknowledge each other's ISN (RFC 9293 3.5)"
    if syn.flags & ACK:
        yield "the first SYN carries an ACK (RFC 9293 3.5)"


def _judge_numbers(arrows: list[Arrow]) -> Iterator[str]:
    """RFC 9293 3.4: what is acknowledged was sent, and stays so; no number is skipped, none comes after a FIN; nobody resets."""
    end = {True: 0, False: 0}
    acked = {True: 0, False: 0}
    fin: dict[bool, int] = {}
    for arrow in arrows:
        name = f"{flag_names(arrow.flags)} seq {arrow.seq}"
        if arrow.flags & RST:
            yield f"{name}: {'we' if arrow.sent else 'the peer'} reset the connection (RFC 9293 3.5.2)"
        if arrow.ack is not None and arrow.ack > end[not arrow.sent]:
            yield f"{name}: acknowledges {arrow.ack} when only {end[not arrow.sent]} was sent (RFC 9293 3.4)"
        if arrow.ack is None and arrow.phase is not Phase.SYN:
            yield f"{name}: has no ACK, which all but the first SYN have (RFC 9293 3.1)"
        elif arrow.ack is not None and arrow.ack < acked[arrow.sent]:
            yield f"{name}: acknowledges {arrow.ack} after {acked[arrow.sent]} (RFC 9293 3.4)"
        if arrow.seq > end[arrow.sent]:
            yield f"{name}: skips numbers from {end[arrow.sent]} on (RFC 9293 3.4)"
        last = _end(arrow)
        if arrow.sent in fin and last > fin[arrow.sent]:
            yield f"{name}: goes on after its FIN (RFC 9293 3.6)"
        end[arrow.sent] = max(end[arrow.sent], last)
        acked[arrow.sent] = max(acked[arrow.sent], arrow.ack or 0)
        if arrow.flags & FIN:
            fin[arrow.sent] = last


def _judge_streams(arrows: list[Arrow], expected: Expectation) -> Iterator[str]:
    """Every octet, SYN and FIN has a number of its own (RFC 9293 3.4), and all of them are acknowledged in the end."""
    for sent, size in ((True, expected.bytes_sent), (False, expected.bytes_received)):
        whose = "we" if sent else "the peer"
        reach = max((_end(arrow) for arrow in arrows if arrow.sent == sent), default=0)
        if reach != size + 2:
            yield f"{whose} sent {reach} numbers where SYN, {size} octets and FIN take {size + 2} (RFC 9293 3.4)"
        acked = max((arrow.ack or 0 for arrow in arrows if arrow.sent != sent and not arrow.lost), default=0)
        if acked != reach:
            yield f"{whose} sent {reach} numbers of which {acked} were acknowledged (RFC 9293 3.4)"


def _judge_close(arrows: list[Arrow], expected: Expectation) -> Iterator[str]:
    """RFC 9293 3.6, figure 12; FIN and ACK in one segment is the same close in three segments."""
    first = _first(arrows, Phase.FIRST_FIN)
    acked = _first(arrows, Phase.FIRST_FIN_ACK, Phase.MERGED_FIN)
    second = _first(arrows, Phase.SECOND_FIN, Phase.MERGED_FIN)
    last = _first(arrows, Phase.SECOND_FIN_ACK)
    if first is None or acked is None or second is None or last is None:
        named = zip((first, acked, second, last), ("1/4", "2/4", "3/4", "4/4"), strict=True)
        yield f"the close lacks {', '.join(name for arrow, name in named if arrow is None)} (RFC 9293 3.6)"
        return
    if first.sent != expected.we_close_first:
        yield f"{'we' if first.sent else 'the peer'} closed first (RFC 9293 3.6)"
    if (acked.sent, second.sent, last.sent) != (not first.sent, not first.sent, first.sent):
        yield "the steps of the close come from the wrong end (RFC 9293 3.6)"
    if acked.ack != _end(first) or last.ack != _end(second):
        yield "a FIN was not acknowledged by the number after it (RFC 9293 3.6)"


def _judge_moves(moves: list[Move], arrows: list[Arrow], expected: Expectation) -> Iterator[str]:
    """RFC 9293 figure 5, along the path that the roles of this connection leave."""
    path = [State(moves[0].old), *(State(move.new) for move in moves)] if moves else []
    for move, follower in pairwise(moves):
        if move.new != follower.old:
            yield f"we were in {move.new} and left {follower.old} (RFC 9293 3.3.2)"
    for old, new in pairwise(path):
        if new not in TRANSITIONS[old]:
            yield f"no arrow of RFC 9293 figure 5 leads from {old} to {new}"
    wanted = _path(expected, four=_first(arrows, Phase.FIRST_FIN_ACK) is not None)
    if path != wanted:
        yield f"our states were {', '.join(path) or 'none'}, not {', '.join(wanted)} (RFC 9293 3.3.2)"


def _path(expected: Expectation, *, four: bool) -> list[State]:
    opening = [S.CLOSED, S.SYN_SENT] if expected.we_open else [S.LISTEN, S.SYN_RECEIVED]
    if not expected.we_close_first:
        return [*opening, S.ESTABLISHED, S.CLOSE_WAIT, S.LAST_ACK, S.CLOSED]
    return [*opening, S.ESTABLISHED, S.FIN_WAIT_1, *([S.FIN_WAIT_2] if four else []), S.TIME_WAIT, S.CLOSED]


def _judge_states(arrows: list[Arrow]) -> Iterator[str]:
    """Both ends' states beside data and each step of handshake and close; one that could not be read is no complaint here."""
    for arrow in arrows:
        repeated = not arrow.sent and Mark.RETRANSMISSION in arrow.marks  # our ACK of the first may have ended it meanwhile
        if arrow.length and (arrow.ours not in _SYNCHRONIZED or not (repeated or arrow.peer in {*_SYNCHRONIZED, UNKNOWN})):
            yield f"data between {arrow.ours} and {arrow.peer}, which are no two ends of a connection (RFC 9293 3.3.2)"
        if arrow.phase is None or Mark.RETRANSMISSION in arrow.marks or Mark.ACKED_AGAIN in arrow.marks:
            continue
        name = f"{arrow.phase} {flag_names(arrow.flags)}"
        ours = _AFTER.get((arrow.phase, arrow.sent), frozenset())
        if arrow.ours not in ours:
            yield f"{name}: we are in {arrow.ours}, not in {' or '.join(ours)} (RFC 9293 3.10.7)"
        theirs = _with_closing(_AFTER.get((arrow.phase, not arrow.sent), frozenset()))
        if not arrow.lost and arrow.peer not in {*theirs, UNKNOWN}:
            yield f"{name}: the peer is in {arrow.peer}, not in {' or '.join(theirs)} (RFC 9293 3.10.7)"


def _with_closing(states: frozenset[State]) -> list[State]:
    """The peer's program may have closed meanwhile; where its connection is gone, a listener of its is what is found."""
    left = {S.LISTEN} if S.CLOSED in states else set()
    return sorted({*states, *left, *(_BY_CLOSING[state] for state in states if state in _BY_CLOSING)})


def _judge_loss(arrows: list[Arrow], expected: Expectation) -> Iterator[str]:
    """What was lost is sent again (RFC 9293 3.8.1); a lost last ACK is repaired out of TIME-WAIT (RFC 9293 3.6.1)."""
    lost = [arrow for arrow in arrows if arrow.lost]
    if expected.lost is None:
        if lost:
            yield f"{len(lost)} segments were lost and none was meant to be"
        return
    if len(lost) != 1 or lost[0].phase != expected.lost or not lost[0].sent:
        yield f"exactly our {expected.lost} was to be lost, not {[arrow.phase for arrow in lost]}"
        return
    later = arrows[arrows.index(lost[0]) + 1 :]
    if expected.lost is Phase.SECOND_FIN_ACK:
        repaired = any(Mark.ACKED_AGAIN in arrow.marks and arrow.ours == S.TIME_WAIT for arrow in later if arrow.sent)
    else:
        repaired = any(
            Mark.RETRANSMISSION in arrow.marks and (arrow.flags, arrow.seq) == (lost[0].flags, lost[0].seq)
            for arrow in later
            if arrow.sent
        )
    if not repaired:
        yield f"the lost {expected.lost} was never made good (RFC 9293 3.8.1)"


def _end(arrow: Arrow) -> int:
    return arrow.seq + arrow.length + bool(arrow.flags & SYN) + bool(arrow.flags & FIN)
