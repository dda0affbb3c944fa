"""The eleven states of RFC 9293 3.3.2 and the one function that moves a machine from one to another.

Rule 1: a state changes nowhere but in ``move``, which traces and counts it. Rule 2: ``move`` knows every legal pair, and an illegal
one is a bug of ours, never the peer's doing. The diagram of the documentation is drawn from ``TRANSITIONS``.
"""

from enum import StrEnum
from typing import Final, Protocol

from userstack.address import Endpoint
from userstack.counters import Counters
from userstack.trace import Tracer, Transition


class State(StrEnum):
    """The states, by the names of RFC 9293."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.CLOSED: frozenset({State.LISTEN, State.SYN_SENT}),
    State.LISTEN: frozenset({State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED}),
    State.SYN_SENT: frozenset({State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSED}),
    State.SYN_RECEIVED: frozenset({State.LISTEN, State.ESTABLISHED, State.FIN_WAIT_1, State.TIME_WAIT, State.CLOSED}),
    State.ESTABLISHED: frozenset({State.FIN_WAIT_1, State.CLOSE_WAIT, State.CLOSED}),
    State.FIN_WAIT_1: frozenset({State.FIN_WAIT_2, State.CLOSING, State.TIME_WAIT, State.CLOSED}),
    State.FIN_WAIT_2: frozenset({State.TIME_WAIT, State.CLOSED}),
    State.CLOSE_WAIT: frozenset({State.LAST_ACK, State.CLOSED}),
    State.CLOSING: frozenset({State.TIME_WAIT, State.CLOSED}),
    State.LAST_ACK: frozenset({State.CLOSED}),
    State.TIME_WAIT: frozenset({State.SYN_RECEIVED, State.CLOSED}),
}

CAN_SEND: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
"""Where SEND takes data that goes out at once (RFC 9293 3.10.2)."""

CAN_RECEIVE_TEXT: Final = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})
"""Where segment text is taken (RFC 9293 3.10.7.4 step 7)."""

_ATTEMPTS: Final = frozenset({State.SYN_SENT, State.SYN_RECEIVED})
_OPEN: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})


class Machine(Protocol):
    """What ``move`` moves: a connection, or the record that is left of one."""

    state: State
    local: Endpoint
    trace: Tracer | None
    counters: Counters

    @property
    def remote(self) -> Endpoint | None:
        """The remote socket, where it is known."""
        ...


def move(machine: Machine, new: State, *, cause: str, clause: str, now: int) -> None:
    """Go to ``new`` and say so; ``clause`` is the section of RFC 9293 that says to.

    Raises:
        RuntimeError: no arrow of the diagram leads there: a bug in this stack.
    """
    old = machine.state
    if new not in TRANSITIONS[old]:
        raise RuntimeError(f"no transition {old} -> {new} ({cause}, RFC 9293 {clause})")
    machine.state = new
    for counter, amount in _COUNTED[old, new]:
        machine.counters[counter] += amount
    if machine.trace is not None:
        machine.trace(Transition(now, machine.local, machine.remote, old, new, cause, clause))


def _counted(old: State, new: State) -> list[tuple[str, int]]:
    """The counters that RFC 4022 defines by transitions."""
    counted = []
    if (old in _OPEN) != (new in _OPEN):
        counted.append(("TcpCurrEstab", 1 if new in _OPEN else -1))
    if new is State.SYN_SENT:
        counted.append(("TcpActiveOpens", 1))
    elif old in _ATTEMPTS and new in {State.CLOSED, State.LISTEN}:
        counted.append(("TcpAttemptFails", 1))
    elif old in _OPEN and new is State.CLOSED:
        counted.append(("TcpEstabResets", 1))
    return counted


_COUNTED: Final = {(old, new): _counted(old, new) for old, legal in TRANSITIONS.items() for new in legal}
