"""The contract of ``VirtualHost``: its clock, its link, its tables."""

import errno
import socket
from collections.abc import Callable

import pytest

from tests.sim.nets import IPV4, IPV6, Net
from tests.sim.peer import Peer, read
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.errors import InvalidArgument
from userstack.sim import VirtualHost
from userstack.tcp.state import State
from userstack.trace import Event, PacketSent, Transition
from userstack.wire.ip import Buffer

START = 1_234_567_891
PORT = 80
ERRNO = r"\[Errno \d+\]"
YEAR = 365 * 86_400 * SECOND


def make_host(start: int = START, seed: int = 0, config: StackConfig | None = None) -> VirtualHost:
    return VirtualHost([IPV4.prefix, IPV6.prefix], config=config, start=start, seed=seed)


def established(net: Net, host: VirtualHost, port: int = 80) -> tuple[Peer, int]:
    """A listener on ``port`` with one connection from a peer; the peer, and the host's next sequence number."""
    listener = host.socket(net.family)
    listener.bind(("", port))
    listener.listen()
    peer = Peer(host, (net.here, port))
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    return peer, answer.seq + 1


# --- the constructor ---


def test_defaults_are_the_contract_s(net: Net) -> None:
    host = VirtualHost([net.prefix])

    assert host.now == 0
    assert host.take() == []
    assert host.connections() == []
    assert host.next_deadline() is None


@pytest.mark.parametrize("start", [0, 1, START, 2**63])
def test_the_clock_starts_where_it_is_told(net: Net, start: int) -> None:
    assert VirtualHost([net.prefix], start=start).now == start


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: VirtualHost([IPV4.here]), IPV4.here),
        (lambda: VirtualHost([IPV6.here]), IPV6.here),
        (lambda: VirtualHost(["nonsense/8"]), "nonsense"),
        (lambda: VirtualHost(["::1/128"]), "loopback"),
        (lambda: VirtualHost([IPV4.prefix], mtu=67), "MTU"),
        (lambda: VirtualHost([IPV4.prefix], mtu=65536), "MTU"),
        (lambda: VirtualHost([IPV4.prefix, IPV6.prefix], mtu=1279), "at least 1280"),
        (lambda: VirtualHost([IPV4.prefix], start=-1), "start"),
    ],
)
def test_what_cannot_be_is_named(make: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        make()


@pytest.mark.parametrize(("has", "lacks"), [(IPV4, IPV6), (IPV6, IPV4)], ids=["ipv4", "ipv6"])
def test_a_host_without_a_family_cannot_reach_it(has: Net, lacks: Net) -> None:
    host = VirtualHost([has.prefix])

    with pytest.raises(OSError, match=ERRNO) as caught:
        host.socket(lacks.family).connect((lacks.silent, 80))
    assert caught.value.errno == errno.ENETUNREACH
    assert host.take() == []


@pytest.mark.parametrize("family", [socket.AF_UNIX, 9999])
def test_other_families_are_not_supported(family: int) -> None:
    with pytest.raises(OSError, match=ERRNO) as caught:
        make_host().socket(family)
    assert caught.value.errno == errno.EAFNOSUPPORT


# --- the clock ---


def test_run_moves_the_clock_to_the_nanosecond() -> None:
    host = make_host()
    host.run(until=START + 17)
    assert host.now == START + 17
    host.run(until=START + 17)
    assert host.now == START + 17


def test_run_backwards_is_refused_and_changes_nothing() -> None:
    host = make_host()
    with pytest.raises(InvalidArgument, match="back in time"):
        host.run(until=START - 1)
    assert host.now == START


def test_a_syn_is_retransmitted_on_its_nanosecond(net: Net) -> None:
    host = make_host()
    with pytest.raises(BlockingIOError):
        host.socket(net.family).connect((net.silent, PORT))

    host.run(until=START + 10 * SECOND)

    sent = [read(each) for each in host.take()]
    assert [each.time - START for each in sent] == [0, 1 * SECOND, 3 * SECOND, 7 * SECOND]
    assert {(each.flags, each.seq, each.ports) for each in sent} == {("SYN", sent[0].seq, sent[0].ports)}


def test_a_deadline_at_until_itself_is_fired(net: Net) -> None:
    host = make_host()
    host.socket(net.family).connect_ex((net.silent, PORT))
    host.run(until=START + SECOND - 1)
    assert len(host.take()) == 1
    host.run(until=START + SECOND)
    assert [when for when, _ in host.take()] == [START + SECOND]


def test_one_long_run_and_many_short_ones_give_the_same_packets(net: Net) -> None:
    long, short = make_host(), make_host()
    for host in (long, short):
        host.socket(net.family).connect_ex((net.silent, PORT))
    long.run(until=START + 20 * SECOND)
    while short.now < long.now:
        short.run(until=min(short.now + 333_333_333, long.now))
    assert short.take() == long.take()


def test_connecting_is_given_up_with_a_time_out(net: Net) -> None:
    host = make_host()
    s = host.socket(net.family)
    s.connect_ex((net.silent, PORT))
    host.run(until=START + StackConfig().r2_syn - 1)
    assert s.connect_ex((net.silent, PORT)) == errno.EALREADY
    host.run(until=START + StackConfig().r2_syn + 60 * SECOND)
    with pytest.raises(TimeoutError) as caught:
        s.connect((net.silent, PORT))
    assert caught.value.errno == errno.ETIMEDOUT
    assert s.state is State.CLOSED
    assert host.connections() == []
    assert host.next_deadline() is None


def test_a_year_of_idle_connection_takes_a_moment(net: Net) -> None:
    host = make_host()
    peer, snd_nxt = established(net, host)
    host.run(until=host.now + 10 * SECOND)

    assert host.next_deadline() is None  # so that the year is one step, however long it is
    host.run(until=host.now + YEAR)

    assert peer.hear() == []
    answers = peer.say("PSH,ACK", seq=1001, ack=snd_nxt, data=b"still there?")
    host.run(until=host.now + SECOND)
    assert [(each.flags, each.ack) for each in [*answers, *peer.hear()]] == [("ACK", 1013)]


def test_packets_carry_the_nanosecond_of_what_caused_them(net: Net) -> None:
    host = make_host()
    peer, snd_nxt = established(net, host)
    accepted_at = host.now
    host.run(until=accepted_at + 5)
    peer.host.deliver(peer.packet("PSH,ACK", seq=1001, ack=snd_nxt, data=b"x"))
    host.run(until=accepted_at + SECOND)
    assert [each.time for each in peer.hear()] == [accepted_at + 5 + StackConfig().delayed_ack]


# --- the link ---


def test_take_empties(net: Net) -> None:
    host = make_host()
    host.socket(net.family).connect_ex((net.silent, PORT))
    assert len(host.take()) == 1
    assert host.take() == []


@pytest.mark.parametrize(
    ("net", "mtu"),
    [*((IPV4, mtu) for mtu in (68, 576, 1500, 9000)), *((IPV6, mtu) for mtu in (1280, 1500, 9000))],
    ids=lambda value: str(value) if isinstance(value, int) else value.here,
)
def test_no_packet_is_larger_than_the_mtu(net: Net, mtu: int) -> None:
    host = VirtualHost([net.prefix], mtu=mtu)
    listener = host.socket(net.family)
    listener.bind(("", 80))
    listener.listen()
    client = host.socket(net.family)
    peer = Peer(host, (net.here, 80))
    (answer,) = peer.say("SYN", seq=0)
    peer.say("ACK", seq=1, ack=answer.seq + 1)
    client.connect_ex((net.silent, PORT))
    accepted, _ = listener.accept()
    accepted.send(bytes(20000))
    sent = host.take()
    host.run(until=10 * SECOND)
    assert max(len(packet) for _, packet in [*sent, *host.take()]) <= mtu


def test_a_segment_for_nobody_is_reset(net: Net) -> None:
    host = make_host()
    (answer,) = Peer(host, (net.here, 81)).say("SYN", seq=5)
    assert (answer.flags, answer.seq, answer.ack, answer.time) == ("RST,ACK", 0, 6, START)


def test_a_packet_for_another_host_is_counted_and_dropped(net: Net) -> None:
    host = make_host()
    assert Peer(host, (net.other, 80)).say("SYN", seq=5) == []
    assert sum(host.counters.snapshot().values()) >= 1


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_may_be_delivered_and_reused(net: Net, kind: Callable[[Buffer], Buffer]) -> None:
    host = make_host()
    peer, snd_nxt = established(net, host)
    packet = bytearray(peer.packet("PSH,ACK", seq=1001, ack=snd_nxt, data=b"keep"))
    host.deliver(kind(packet))
    packet[:] = bytes(len(packet))
    (row,) = [row for row in host.connections() if row.remote]
    assert row.state is State.ESTABLISHED


@pytest.mark.parametrize("wrong", [None, 5, "text"])
def test_delivering_no_octets_is_the_caller_s_mistake(wrong: object) -> None:
    deliver: Callable[[object], None] = make_host().deliver  # type: ignore[assignment]
    with pytest.raises(TypeError):
        deliver(wrong)


def test_a_tracer_is_told_what_happens(net: Net) -> None:
    events: list[Event] = []
    host = VirtualHost([net.prefix], start=START, trace=events.append)
    host.socket(net.family).connect_ex((net.silent, PORT))
    ((_, packet),) = host.take()
    assert PacketSent(START, packet) in events
    assert [event.new for event in events if isinstance(event, Transition)] == ["SYN-SENT"]


# --- a whole connection, by hand ---


def test_a_connection_from_syn_to_time_wait(net: Net) -> None:
    host = make_host()
    s = host.socket(net.family)
    states = [s.state]
    s.bind((net.here, 4321))
    states.append(s.state)
    with pytest.raises(BlockingIOError):
        s.connect((net.there, 5000))
    states.append(s.state)
    peer = Peer(host, (net.here, 4321))

    (syn,) = peer.hear()
    assert (syn.flags, syn.ports) == ("SYN", (4321, 5000))
    host.run(until=START + 10 * MILLISECOND)
    (ack,) = peer.say("SYN,ACK", seq=9000, ack=syn.seq + 1)
    assert (ack.flags, ack.seq, ack.ack, ack.time) == ("ACK", syn.seq + 1, 9001, START + 10 * MILLISECOND)
    assert s.connect_ex((net.there, 5000)) == 0
    states.append(s.state)
    assert s.getpeername() == net.name(net.there, 5000)

    assert s.send(b"ping") == 4
    (data,) = peer.hear()
    assert (data.flags, data.seq, data.data) == ("PSH,ACK", syn.seq + 1, b"ping")
    peer.say("PSH,ACK", seq=9001, ack=syn.seq + 5, data=b"pong")
    assert s.recv(100) == b"pong"
    assert (s.info().unacked, s.info().unread, s.info().bytes_received) == (0, 0, 4)

    s.shutdown(socket.SHUT_WR)
    (fin,) = peer.hear()
    assert ("FIN" in fin.flags, fin.seq) == (True, syn.seq + 5)
    states.append(s.state)
    peer.say("ACK", seq=9005, ack=syn.seq + 6)
    states.append(s.state)
    (last,) = peer.say("FIN,ACK", seq=9005, ack=syn.seq + 6)
    assert (last.flags, last.ack) == ("ACK", 9006)
    assert s.recv(100) == b""
    s.close()
    states.append(s.state)

    ended = host.now
    host.run(until=ended + 2 * StackConfig().msl - 1)
    assert [row.state for row in host.connections()] == [State.TIME_WAIT]
    host.run(until=ended + 2 * StackConfig().msl)
    assert host.connections() == []
    states.append(s.state)
    assert states == [
        State.CLOSED,
        State.CLOSED,
        State.SYN_SENT,
        State.ESTABLISHED,
        State.FIN_WAIT_1,
        State.FIN_WAIT_2,
        State.TIME_WAIT,
        State.CLOSED,
    ]


def test_close_goes_on_after_the_socket_is_gone(net: Net) -> None:
    host = make_host()
    listener = host.socket(net.family)
    listener.bind(("", 80))
    listener.listen()
    peer = Peer(host, (net.here, 80))
    (answer,) = peer.say("SYN", seq=1000)
    peer.say("ACK", seq=1001, ack=answer.seq + 1)
    accepted, address = listener.accept()
    assert address == net.name(net.there, 5000)
    accepted.send(b"bye")
    accepted.close()

    sent = peer.hear()
    assert b"".join(each.data for each in sent) == b"bye"
    assert "FIN" in sent[-1].flags
    assert accepted.state is State.FIN_WAIT_1
    with pytest.raises(OSError, match=ERRNO) as caught:
        accepted.getsockname()
    assert caught.value.errno == errno.EBADF


# --- the table ---


def test_connections_are_what_netstat_lists(net: Net) -> None:
    host = make_host()
    established(net, host, port=80)
    host.socket(net.family).connect_ex((net.silent, PORT))

    rows = {row.state: row for row in host.connections()}

    assert set(rows) == {State.LISTEN, State.ESTABLISHED, State.SYN_SENT}
    assert rows[State.LISTEN].local == net.name(net.any, 80)
    assert rows[State.LISTEN].remote is None
    assert rows[State.ESTABLISHED].local == net.name(net.here, 80)
    assert rows[State.ESTABLISHED].remote == net.name(net.there, 5000)
    assert rows[State.ESTABLISHED].timer == ""
    assert rows[State.SYN_SENT].remote == net.name(net.silent, PORT)
    assert rows[State.SYN_SENT].timer != ""
    local, remote, state, timer = rows[State.SYN_SENT]
    assert (local[0], remote, state, timer) == (net.here, net.name(net.silent, PORT), State.SYN_SENT, rows[State.SYN_SENT].timer)
