"""Runs a scene through a recorder and gives the steps."""

from collections.abc import Iterable

from tests.observe.scenes import CODEC, Scene
from userstack.observe.recorder import PeerState, Recorder
from userstack.observe.steps import Arrow, Step
from userstack.trace import Event


def record(events: Iterable[Event], peer_state: PeerState | None = None, *, lose: Iterable[bytes] = ()) -> list[Step]:
    """The steps of ``events``; the packets in ``lose`` are said to be lost as soon as they were sent."""
    steps: list[Step] = []
    recorder = Recorder(steps.append, codec=CODEC, peer_state=peer_state)
    doomed = set(lose)
    for event in events:
        recorder(event)
        packet = getattr(event, "packet", None)
        if packet in doomed:
            recorder.lost(packet)
    recorder.flush()
    return steps


def arrows(scene: Scene) -> list[Arrow]:
    """The segments of a scene."""
    return [step for step in record(scene.events) if isinstance(step, Arrow)]
