"""The comparison of stack and oracle, a combination at a time: a place of a connection, and the segment that arrives there."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.oracle.bench import IRS, WINDOW, Bench, octets
from tests.oracle.combinations import INSIDE, segments
from tests.oracle.prototypes import SCRIPTS
from tests.oracle.rfc9293 import MAY_RECEIVE, Reference
from tests.oracle.stack import FAMILIES, Family, config
from tests.oracle.values import MODULO, Segment
from userstack.config import StackConfig


class Variant(NamedTuple):
    """Settings that change the rules, and the states in which they do."""

    name: str
    settings: StackConfig
    states: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


PLAIN = Variant("plain", config(), ("",))
THROTTLED = Variant("no challenge ACK left", config(challenge_ack_limit=0), ("SYN-RECEIVED", "CLOSE-WAIT", "TIME-WAIT"))
RFC1337 = Variant("RFC 1337", config(rfc1337=True), ("TIME-WAIT",))
VARIANTS = (PLAIN, THROTTLED, RFC1337)


class Case(NamedTuple):
    """All segments at one place."""

    family: Family
    variant: Variant
    place: str

    def __str__(self) -> str:
        return ", ".join((self.family.name, *(() if self.variant is PLAIN else (self.variant.name,)), self.place))


class Outcome(NamedTuple):
    """A combination, named by its segment, and what differed."""

    segment: str
    differences: list[str]


CASES = [
    Case(family, variant, place)
    for family in FAMILIES
    for variant in VARIANTS
    for place in SCRIPTS
    if place.startswith(variant.states)
]


MOST_IN_ONE = 15
"""Segments that may come to one connection: with a delayed ACK's time for each, the first retransmission is not yet due."""


def compare(case: Case) -> Iterator[Outcome]:
    """Every combination of that place.

    A segment after which nothing may have changed leaves the connection to the next one: most do, and it saves half of the time.
    What it has changed nevertheless comes to light with those that follow.
    """
    prototype = brought_to(case)
    if prototype.differences:
        yield Outcome("the way there", prototype.differences)
        return
    bench, used = prototype.fork(), 0
    for segment in segments(prototype.reference):
        bench.arrives(segment)
        used += 1
        untouched = bench.reference == prototype.reference and not is_duplicate_ack(segment, prototype.reference)
        if untouched and used < MOST_IN_ONE and not bench.differences:
            yield Outcome(str(segment), [])
            continue
        differences = differences_after(bench)
        if differences and used > 1:
            differences = differences_at(prototype.fork(), segment) or [
                f"after {used - 1} others: {differences[0]}",
                *differences[1:],
            ]
        yield Outcome(str(segment), differences)
        bench, used = prototype.fork(), 0


def is_duplicate_ack(segment: Segment, reference: Reference) -> bool:
    """Whether it may be one: the third of them has text sent again (RFC 5681 3.2)."""
    return "A" in segment.ctl and segment.ack == reference.snd_una


def brought_to(case: Case) -> Bench:
    """A connection in that place; with differences where stack and oracle do not agree on the way there."""
    bench = Bench(case.family, case.variant.settings)
    for step in SCRIPTS[case.place]:
        step(bench)
    return bench


def differences_at(bench: Bench, segment: Segment) -> list[str]:
    """What differs when the segment arrives, and in what follows."""
    bench.arrives(segment)
    return differences_after(bench)


def differences_after(bench: Bench) -> list[str]:
    """What has differed, and what does when the user reads and the peer goes on."""
    bench.receive()
    if bench.reference.state == "TIME-WAIT":
        bench.wait_out()
        return bench.differences
    bench.let_go()
    bench.arrives(followup(bench.reference))
    bench.accept()
    bench.receive()
    return bench.differences


def followup(reference: Reference) -> Segment:
    """What the peer says next, so that what the segment changed inside comes to light."""
    match reference.state:
        case "LISTEN":
            return Segment("S", (IRS + 1_000_000) % MODULO, wnd=WINDOW)
        case "CLOSED":
            return Segment("A", 77, 88)
        case "SYN-SENT":
            return Segment("SA", IRS, reference.snd_nxt, WINDOW)
        case state if state in MAY_RECEIVE:
            end = reference.rcv_nxt + INSIDE + 20 if reference.held_fin is None else reference.held_fin
            text = octets(reference.rcv_nxt, (end - reference.rcv_nxt) % MODULO)
            return Segment("A", reference.rcv_nxt, reference.snd_nxt, WINDOW, text)
        case _:
            return Segment("A", reference.rcv_nxt, reference.snd_nxt, WINDOW)
