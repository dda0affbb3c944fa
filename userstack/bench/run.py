"""The run: repetitions interleaved, A B C A B C, so that what changes on the machine meanwhile meets all alike."""

import time
from collections.abc import Callable, Mapping, Sequence

from userstack.bench.contender import Contender, Mode
from userstack.bench.figures import Results
from userstack.bench.measures import MEASURES, Plan, Subject
from userstack.bench.process import PATIENCE, Group, MeasureFailed, started
from userstack.bench.world import DEVICE, KERNEL, MTU, OWN, PREFIX, World, make_world
from userstack.errors import SetupError

Tell = Callable[[str], None]
Chosen = Mapping[str, tuple[Contender, Mode]]


def run(chosen: Chosen, plan: Plan, *, repeat: int, tell: Tell) -> Results:
    """Measure all of them.

    Args:
        chosen: the contenders, by name.
        plan: how long and how much.
        repeat: how often.
        tell: is told what goes on.

    Raises:
        SetupError: not a single one can be run, or this machine lets no namespace be made.
    """
    results = Results()
    commands = _commands(chosen, results)
    for repetition in range(repeat):
        for name, command in commands.items():
            contender, mode = chosen[name]
            begin = time.monotonic()
            _measure_one(name, contender, mode, command, plan, repetition, results)
            tell(f"{repetition + 1}/{repeat} {name}: {time.monotonic() - begin:.1f} s")
    return results


def _commands(chosen: Chosen, results: Results) -> dict[str, Sequence[str]]:
    """What can be run; for the others, what is missing."""
    commands: dict[str, Sequence[str]] = {}
    reason = SetupError("there is nothing to measure")
    for name, (contender, _) in chosen.items():
        try:
            commands[name] = contender.command()
        except SetupError as error:
            results.note(f"{name}: {error}")
            reason = error
    if not commands:
        raise reason
    return commands


def _measure_one(
    name: str, contender: Contender, mode: Mode, command: Sequence[str], plan: Plan, repetition: int, results: Results
) -> None:
    with make_world(mode) as world:
        arguments = [*command, DEVICE, mode.value, f"{OWN}/{PREFIX}", KERNEL, str(MTU)]
        with started(world.contender, arguments) as group:
            subject = Subject(contender, group, world, plan, seed=repetition)
            try:
                _await_ready(group, world)
                for measure in contender.measures or MEASURES:
                    if not repetition or measure not in plan.once:
                        _take(name, measure, subject, repetition, results)
            except MeasureFailed as error:
                results.note(f"{name}: {error}")


def _take(name: str, measure: str, subject: Subject, repetition: int, results: Results) -> None:
    """One measure. A contender that fails one may still be good for the next, unless it died of it."""
    try:
        results.add(name, repetition, MEASURES[measure](subject))
    except MeasureFailed as error:
        results.note(f"{name}, {measure}: {error}")
        if not subject.group.is_alive():
            raise MeasureFailed(f"died: {subject.group.complaint()}") from None


def _await_ready(group: Group, world: World) -> None:
    """Wait until the contender serves; give the kernel's end its addresses once its device is there."""
    deadline = time.monotonic() + PATIENCE
    while (word := group.line(max(deadline - time.monotonic(), 0.0))) != "ready":
        if word == "device":
            world.prepare_device()
