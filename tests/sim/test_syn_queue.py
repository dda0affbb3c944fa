"""A listener's SYN queue and accept queue: how much they hold, and what becomes of whom they have no room for."""

import socket
from dataclasses import replace

import pytest

from tests.sim.nets import Net
from tests.support.clients import IRS, MASK, MSS, PORT, Client
from userstack.config import SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.sim.virtual_socket import VirtualSocket
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, RST, SYN

NO_COOKIES = StackConfig(syncookies=0)
LINUX_TIMES = replace(NO_COOKIES, r2_synack=63 * SECOND)


def listening(net: Net, config: StackConfig, *, backlog: int) -> tuple[VirtualHost, VirtualSocket]:
    host = VirtualHost([net.prefix], config=config)
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    listener.listen(backlog)
    return host, listener


def answered(net: Net, host: VirtualHost, port: int) -> bool:
    """Whether a SYN from ``port`` is answered with SYN,ACK at once."""
    host.take()
    answer = Client(host, net, port).syn(MSS)
    return answer is not None and answer.flags == SYN | ACK


def in_state(host: VirtualHost, state: State) -> int:
    return sum(row.state is state for row in host.connections())


@pytest.mark.parametrize("backlog", [0, 1, 3])
def test_the_syn_queue_holds_one_more_than_the_backlog_and_drops_the_newcomer(net: Net, backlog: int) -> None:
    host, _ = listening(net, NO_COOKIES, backlog=backlog)
    assert [answered(net, host, 1000 + number) for number in range(backlog + 3)] == [True] * (backlog + 1) + [False] * 2
    assert host.counters["TcpExtListenDrops"] == host.counters["TcpExtTCPReqQFullDrop"] == 2
    assert in_state(host, State.SYN_RECEIVED) == backlog + 1


@pytest.mark.parametrize(("syn_backlog", "places"), [(4, 4), (8, 7), (16, 13)])
def test_without_cookies_three_quarters_of_syn_backlog_are_a_limit_too(net: Net, syn_backlog: int, places: int) -> None:
    """The numbers are the kernel's (``tests/interop/test_listen_queues.py``)."""
    host, _ = listening(net, replace(NO_COOKIES, syn_backlog=syn_backlog), backlog=100)
    assert [answered(net, host, 1000 + number) for number in range(places + 2)] == [True] * places + [False] * 2
    assert host.counters["TcpExtListenDrops"] == 2


def test_somaxconn_limits_both_queues(net: Net) -> None:
    host, _ = listening(net, replace(NO_COOKIES, somaxconn=2), backlog=100)
    assert [answered(net, host, 1000 + number) for number in range(4)] == [True] * 3 + [False]


def test_a_queue_that_is_at_most_half_full_is_patient(net: Net) -> None:
    host, _ = listening(net, LINUX_TIMES, backlog=8)
    assert all(answered(net, host, 1000 + number) for number in range(4))
    host.run(until=62 * SECOND)
    assert in_state(host, State.SYN_RECEIVED) == 4
    host.run(until=63 * SECOND)
    assert in_state(host, State.SYN_RECEIVED) == 0


def test_in_a_queue_that_is_more_than_half_full_nobody_waits_for_more_than_two_syn_acks(net: Net) -> None:
    """Linux: while all of them are old; so a flood frees its places after 1 + 2 + 4 s. Who was there before it does not count."""
    host, listener = listening(net, LINUX_TIMES, backlog=8)
    for number in range(9):
        client = Client(host, net, 5000 + number)
        client.syn(MSS)
        client.ack()
        listener.accept()
    assert all(answered(net, host, 1000 + number) for number in range(9))
    host.run(until=7 * SECOND - 1)
    assert in_state(host, State.SYN_RECEIVED) == 9
    host.run(until=7 * SECOND)
    assert in_state(host, State.SYN_RECEIVED) == 4  # half of them, and the rest have time again
    assert answered(net, host, 2000)
    assert host.counters["TcpAttemptFails"] == 5


def test_while_most_are_young_the_few_old_ones_have_time(net: Net) -> None:
    host, _ = listening(net, LINUX_TIMES, backlog=20)
    assert answered(net, host, 999)
    host.run(until=6 * SECOND + SECOND // 2)
    assert all(answered(net, host, 1000 + number) for number in range(19))
    host.run(until=7 * SECOND)  # where two would have been enough
    assert in_state(host, State.SYN_RECEIVED) == 20


def test_a_flood_takes_no_more_than_the_queue(net: Net) -> None:
    host, _ = listening(net, NO_COOKIES, backlog=99)
    for number in range(3_000):
        host.run(until=host.now + SECOND // 1000)
        answered(net, host, 1000 + number)
    assert in_state(host, State.SYN_RECEIVED) == 100
    host.run(until=host.now + 5 * SECOND)
    assert answered(net, host, 60_000)


# --- the accept queue ---


def full(net: Net, config: StackConfig) -> tuple[VirtualHost, VirtualSocket, Client]:
    """A backlog of 0 that holds one connection, and a client that was half open before it was full."""
    host, listener = listening(net, config, backlog=0)
    first, late = Client(host, net, 5000), Client(host, net, 5001)
    first.syn(MSS)
    listener.listen(1)
    late.syn(MSS)
    listener.listen(0)
    first.ack(data=b"text")
    return host, listener, late


def test_the_last_ack_counts_as_lost_and_the_syn_ack_is_repeated(net: Net) -> None:
    host, listener, late = full(net, StackConfig())
    assert late.ack(data=b"early") == []
    assert host.counters["TcpExtListenOverflows"] == host.counters["TcpExtListenDrops"] == 1
    (again,) = (segment for segment in late.hear(SECOND) if segment.destination_port == late.port)
    assert (again.flags, again.seq) == (SYN | ACK, late.iss)
    listener.accept()
    late.ack(data=b"early")
    connection, _ = listener.accept()
    assert connection.recv(10) == b"early"


def test_a_wrong_ack_is_reset_whether_the_accept_queue_is_full_or_not(net: Net) -> None:
    """RFC 9293 3.5.2, second group: it was dropped as if it had been the last of the handshake."""
    host, _, late = full(net, StackConfig())
    (answer,) = late.ack(ack=7)
    assert (answer.flags, answer.seq) == (RST, late.iss + 7 & MASK)
    assert host.counters["TcpExtListenOverflows"] == 0


def test_an_ack_outside_the_window_is_answered_whether_the_accept_queue_is_full_or_not(net: Net) -> None:
    """RFC 9293 3.10.7.4, first step."""
    host, _, late = full(net, StackConfig())
    (answer,) = late.ack(seq=1 << 20)
    assert (answer.flags, answer.ack) == (ACK, IRS + 1)
    assert host.counters["TcpExtListenOverflows"] == 0


def test_with_abort_on_overflow_the_last_ack_is_reset(net: Net) -> None:
    host, _, late = full(net, StackConfig(abort_on_overflow=True))
    (answer,) = late.ack()
    assert (answer.flags, answer.seq) == (RST, late.iss + 1 & MASK)
    assert in_state(host, State.SYN_RECEIVED) == 0
    assert host.counters["TcpExtEmbryonicRsts"] == host.counters["TcpExtListenOverflows"] == 1
    assert late.syn(MSS) is None  # it still overflows


def test_a_deferred_connection_overflows_nothing(net: Net) -> None:
    """TCP_DEFER_ACCEPT: its bare ACK would not have established it anyway."""
    host, _, late = full(net, StackConfig(defer_accept=2))
    assert late.ack() == []
    assert host.counters["TcpExtListenOverflows"] == 0


# --- the end of a listener ---


def test_closing_a_listener_resets_who_is_established_and_forgets_who_is_not(net: Net) -> None:
    host, listener = listening(net, StackConfig(), backlog=5)
    established, half_open = Client(host, net, 5000), Client(host, net, 5001)
    established.syn(MSS)
    established.ack()
    half_open.syn(MSS)
    listener.close()
    (reset,) = established.hear()
    assert (reset.destination_port, reset.flags & RST) == (5000, RST)
    assert host.connections() == []
    (answer,) = half_open.ack()
    assert (answer.flags, answer.seq) == (RST, half_open.iss + 1 & MASK)
    assert list(half_open.hear(10 * SECOND)) == []


def test_only_a_listener_accepts_connections(net: Net) -> None:
    host, listener = listening(net, StackConfig(), backlog=5)
    client = Client(host, net, 5000)
    client.syn(MSS)
    client.say(ACK, IRS + 1, client.iss + 1)
    accepted, _ = listener.accept()
    plain = host.socket(net.family)
    asked = [s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for s in (listener, accepted, plain)]
    assert asked == [1, 0, 0]
