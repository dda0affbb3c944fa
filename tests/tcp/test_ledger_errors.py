"""What RFC 9293 has told to the application of trouble that does not end the connection (3.8.3, 3.9.1.8, 3.9.2.2)."""

import pytest

from tests.support.machine import Machine
from userstack.config import StackConfig
from userstack.errors import HostUnreachable
from userstack.tcp.state import State


@pytest.mark.requirement("MUST-47")
@pytest.mark.requirement("SHLD-25")
def test_a_soft_icmp_error_can_be_asked_for_until_it_is_overcome() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    m.send(b"x")
    m.sent()
    told = [m.connection.soft_error]
    error = HostUnreachable()
    m.icmp(error, hard=False, seq=1)
    told.append(m.connection.soft_error)
    m.stayed()
    m.arrives("ACK", ack=2)
    told.append(m.connection.soft_error)
    assert told == [None, error, None]


@pytest.mark.requirement("SHLD-10")
def test_r1_is_three_retransmissions() -> None:
    m = Machine.in_state(State.ESTABLISHED)
    assert StackConfig().r1 >= 3
    m.send(b"x")
    m.sent()
    told = []
    for _ in range(3):
        m.next_sent(within=20_000)
        told.append(m.connection.soft_error is not None)
    assert told == [False, False, True]
