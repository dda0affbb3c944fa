"""JSON lines, folding and the tee."""

import io
import json

from tests.observe.scenes import LOCAL, REMOTE, Scene, peer_closes_first
from tests.observe.watching import record
from userstack.observe.fold import SHOWN, Fold
from userstack.observe.jsonl import JsonLines, to_record
from userstack.observe.steps import Alarm, Arrow, Discard, Folded, Mark, Move, Release, Step
from userstack.observe.tee import tee
from userstack.trace import Event, Freed


def test_a_segment_as_json() -> None:
    scene = Scene()
    scene.sent("PSH,ACK", 1, 1, b"abc")
    [step] = record(scene.events)
    assert to_record(step) == {
        "event": "segment",
        "time": 0.001,
        "local": "10.9.0.2:7",
        "remote": "10.9.0.1:40000",
        "direction": "sent",
        "flags": "PSH,ACK",
        "seq": 0,
        "ack": 0,
        "length": 3,
        "window": 65535,
        "urgent_pointer": None,
        "options": [],
        "wire_seq": 0xFFFFFFFF,
        "wire_ack": 0x7FFFFFF1,
        "state": "CLOSED",
        "peer_state": "?",
        "phase": None,
        "marks": [],
        "note": "",
        "lost": False,
    }


def test_every_kind_of_step_is_json() -> None:
    steps: list[Step] = [
        *record(peer_closes_first().events),
        Alarm(time=1, local=LOCAL, remote=REMOTE, timer="persist", detail=""),
        Discard(time=1, counter="x", length=1),
        Folded(time=1, local=LOCAL, remote=REMOTE, segments_sent=1, segments_received=1, bytes_sent=1, bytes_received=1),
    ]
    stream = io.StringIO()
    lines = JsonLines(stream)
    for step in steps:
        lines(step)
    lines.write({"event": "summary", "ok": True})
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    kinds = {"segment", "transition", "timer", "freed", "dropped", "folded", "summary"}
    assert {entry["event"] for entry in records} == kinds
    assert len(records) == len(steps) + 1
    listen = records[0]
    assert (listen["remote"], listen["seconds_in_old"], listen["new"]) == (None, None, "LISTEN")
    assert [entry["seconds_in_old"] for entry in records if entry["event"] == "transition"][2] == 0.002


def plain(count: int, *, scene: Scene | None = None) -> list[Arrow]:
    scene = scene or Scene()
    start = len(scene.events)
    for number in range(count):
        scene.sent("ACK", 1 + 10 * number, 1, b"0123456789")
    return [step for step in record(scene.events[start:]) if isinstance(step, Arrow)]


def fold(steps: list[Step]) -> list[Step]:
    out: list[Step] = []
    folding = Fold(out.append)
    for step in steps:
        folding(step)
    folding.flush()
    return out


def test_a_short_run_is_left_alone() -> None:
    steps = plain(SHOWN)
    assert fold([*steps]) == steps


def test_a_long_run_is_counted() -> None:
    steps = plain(SHOWN + 5)
    folded = Folded(
        time=steps[-1].time, local=LOCAL, remote=REMOTE, segments_sent=5, segments_received=0, bytes_sent=50, bytes_received=0
    )
    assert fold([*steps]) == [*steps[:SHOWN], folded]


def test_what_is_remarkable_ends_the_run_and_is_shown() -> None:
    steps: list[Step] = [*plain(SHOWN + 5)]
    scene = Scene()
    scene.sent("ACK", 1, 1, b"x")
    scene.sent("ACK", 1, 1, b"x")
    repeated = record(scene.events)[1]
    assert isinstance(repeated, Arrow)
    assert repeated.marks == (Mark.RETRANSMISSION,)
    move = Move(time=0, local=LOCAL, remote=REMOTE, old="A", new="B", cause="", clause="", spent=None)
    out = fold([*steps, repeated, *plain(SHOWN + 2), move])
    assert [type(step) for step in out] == [*[Arrow] * SHOWN, Folded, *[Arrow] * (SHOWN + 1), Folded, Move]
    assert out[SHOWN + 1] is repeated


def test_another_connection_is_another_run() -> None:
    other = Scene(remote=REMOTE._replace(port=1))
    out = fold([*plain(SHOWN + 2), *plain(SHOWN + 3, scene=other)])
    folded = [step for step in out if isinstance(step, Folded)]
    assert [(step.remote.port, step.segments_sent) for step in folded] == [(40000, 2), (1, 3)]
    assert len(out) == 2 * SHOWN + 2


def test_a_tee_hands_on_to_all_in_order() -> None:
    seen: list[tuple[int, Event]] = []
    event = Freed(1, LOCAL, REMOTE)
    tee(lambda got: seen.append((1, got)), lambda got: seen.append((2, got)))(event)
    assert seen == [(1, event), (2, event)]
    assert tee(seen.append) == seen.append  # type: ignore[arg-type, comparison-overlap]


def test_a_release_names_a_listener_too() -> None:
    assert to_record(Release(time=0, local=LOCAL, remote=None))["remote"] is None
