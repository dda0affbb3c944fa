"""The rows of transitions.csv in which a state stays what it is: one test for the same row of several states."""

import pytest

from userstack.tcp.state import State


def stays(*rows: str, of: tuple[State, ...]) -> pytest.MarkDecorator:
    """A test of rows, ``"event | condition"`` each, for several states.

    It has a ``state``; TIME-WAIT comes once with the connection and once with the ``record`` that the host keeps of it.
    """
    params = []
    for state in of:
        marks = [pytest.mark.transition(f"{state} | {row} {'' if '|' in row else '| '}| {state}") for row in rows]
        params.append(pytest.param(state, False, marks=marks, id=str(state)))
        if state is State.TIME_WAIT:
            params.append(pytest.param(state, True, marks=marks, id="TIME-WAIT record"))
    return pytest.mark.parametrize(("state", "record"), params)


OPENED = tuple(state for state in State if state not in (State.CLOSED, State.LISTEN))
OTHER = tuple(state for state in OPENED if state is not State.SYN_SENT)
"""3.10.7.4, other states: SYN-RECEIVED and all that follow."""
SYNCHRONIZED = tuple(state for state in OTHER if state is not State.SYN_RECEIVED)
CLOSED_BY_PEER = (State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK, State.TIME_WAIT)
RECEIVING = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)
