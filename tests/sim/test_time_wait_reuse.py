"""A new connection between sockets that are in TIME-WAIT: by the peer's SYN (RFC 6191, MAY-2), and by our own connect()."""

import errno
import socket
from dataclasses import replace

import pytest

from tests.sim.nets import IPV4, Net
from tests.support.clients import CODEC, MASK, MSS, PORT, Client, stamp
from userstack.address import pack_address
from userstack.config import MILLISECOND, SECOND, StackConfig
from userstack.sim import VirtualHost
from userstack.sim.virtual_socket import VirtualSocket
from userstack.tcp.state import State
from userstack.wire import tcp
from userstack.wire.ip import IPPacket
from userstack.wire.tcp import ACK, FIN, NOP, RST, SYN, Option, TcpSegment

FIN_SEQ = 1
"""Of the peer's FIN, which is the last sequence number that was seen; its last timestamp is 78."""
LAST = 78


def in_time_wait(net: Net, config: StackConfig, *, stamps: bool) -> tuple[VirtualHost, Client]:
    """A listener's host whose end of a connection has closed first."""
    host = VirtualHost([net.prefix], config=config)
    listener = host.socket(net.family)
    listener.bind((net.here, PORT))
    listener.listen(5)
    client = Client(host, net, 5000)
    client.syn(MSS, *((stamp(77),) if stamps else ()))
    client.ack()
    accepted, _ = listener.accept()
    accepted.close()
    list(client.hear())
    client.ack(flags=ACK | FIN, ack=2)
    assert State.TIME_WAIT in {row.state for row in host.connections()}
    return host, client


# --- RFC 6191 2, bullet by bullet ---

OLD_HAD, OLD_HAD_NOT = True, False
ROWS = [
    # old incarnation, TSval of the SYN, SEQ beyond IRS, honoured
    (OLD_HAD, LAST + 1, -5_000, True),  # "greater than the last timestamp seen": whatever SEQ
    (OLD_HAD, LAST + 1, 5_000, True),
    (OLD_HAD, LAST, FIN_SEQ + 1, True),  # "equal", and SEQ "greater than the last sequence number", which the FIN's is
    (OLD_HAD, LAST, 5_000, True),
    (OLD_HAD, LAST, FIN_SEQ, False),
    (OLD_HAD, LAST, -5_000, False),
    (OLD_HAD, None, FIN_SEQ + 1, True),  # "would not be enabled": SEQ alone
    (OLD_HAD, None, FIN_SEQ, False),
    (OLD_HAD, LAST - 1, 5_000, False),  # "otherwise": an older timestamp
    (OLD_HAD_NOT, 1, -5_000, True),  # "would be enabled": honour
    (OLD_HAD_NOT, 1, 5_000, True),
    (OLD_HAD_NOT, None, FIN_SEQ + 1, True),  # "would not": SEQ alone
    (OLD_HAD_NOT, None, FIN_SEQ, False),
    (OLD_HAD_NOT, None, -5_000, False),
]


@pytest.mark.requirement("SHLD-4")
@pytest.mark.requirement("MAY-2")
@pytest.mark.parametrize(("stamps", "tsval", "seq", "honoured"), ROWS)
def test_which_syn_is_honoured(net: Net, stamps: bool, tsval: int | None, seq: int, honoured: bool) -> None:
    host, client = in_time_wait(net, StackConfig(), stamps=stamps)
    options = (MSS,) if tsval is None else (MSS, stamp(tsval))
    heard = client.say(SYN, client.irs + seq, options=options)
    states = {row.state for row in host.connections()}
    if not honoured:
        # Note: RFC 6191 drops it silently; RFC 9293 3.10.7.4, which is later, answers with a challenge ACK (RFC 5961 4).
        assert [segment.flags for segment in heard] == [ACK]
        assert State.TIME_WAIT in states
        return
    assert [(segment.flags, segment.ack) for segment in heard] == [(SYN | ACK, client.irs + seq + 1 & MASK)]
    assert states == {State.LISTEN, State.SYN_RECEIVED}
    assert 2 < (heard[0].seq - client.iss & MASK) < 1 << 31  # MAY-2 (1): above our FIN


@pytest.mark.requirement("SHLD-4")
@pytest.mark.parametrize("stamps", [OLD_HAD, OLD_HAD_NOT])
def test_timestamps_that_our_answer_would_not_carry_count_for_nothing(net: Net, stamps: bool) -> None:
    """ "Would be enabled": "the SYN/ACK segment ... would also contain a Timestamps option"."""
    host, client = in_time_wait(net, StackConfig(timestamps=False), stamps=stamps)
    assert [segment.flags for segment in client.say(SYN, client.irs - 5_000, options=(MSS, stamp(LAST + 1)))] == [ACK]
    assert [segment.flags for segment in client.say(SYN, client.irs + 5_000, options=(MSS, stamp(LAST + 1)))] == [SYN | ACK]
    assert State.SYN_RECEIVED in {row.state for row in host.connections()}


@pytest.mark.requirement("MAY-2")
def test_an_old_duplicate_of_a_syn_leads_back_and_the_wait_ends_in_its_time(net: Net) -> None:
    """MAY-2 (2): the peer, which has not sent that SYN now, resets our answer."""
    host, client = in_time_wait(net, StackConfig(), stamps=True)
    (answer,) = client.say(SYN, client.irs + 5_000, options=(MSS, stamp(LAST + 1)))
    assert client.say(RST, answer.ack) == []
    assert {row.state for row in host.connections()} == {State.LISTEN, State.TIME_WAIT}
    host.run(until=60 * SECOND)
    assert {row.state for row in host.connections()} == {State.LISTEN}


@pytest.mark.parametrize("always", [False, True])
def test_a_reopening_syn_asks_for_no_place_in_the_syn_queue_and_gets_no_cookie(net: Net, always: bool) -> None:
    """As in Linux: the record gives its place, and its peer is no forged one."""
    host, client = in_time_wait(net, StackConfig(syncookies=2 if always else 1), stamps=True)
    assert [segment.flags for segment in client.say(SYN, client.irs + 5_000, options=(MSS, stamp(LAST + 1)))] == [SYN | ACK]
    assert State.SYN_RECEIVED in {row.state for row in host.connections()}


def test_a_reopening_syn_finds_the_accept_queue_full(net: Net) -> None:
    host, client = in_time_wait(net, StackConfig(), stamps=True)
    for port in range(6):
        other = Client(host, net, 6000 + port)
        other.syn(MSS)
        other.ack()
    assert client.say(SYN, client.irs + 5_000, options=(MSS, stamp(LAST + 1))) == []
    assert host.counters["TcpExtListenOverflows"] == host.counters["TcpExtListenDrops"] == 1
    assert State.TIME_WAIT in {row.state for row in host.connections()}


def test_max_connections_is_a_limit_for_a_reopening_syn_too(net: Net) -> None:
    host, client = in_time_wait(net, StackConfig(max_connections=1), stamps=True)
    Client(host, net, 6000).syn(MSS)
    assert client.say(SYN, client.irs + 5_000, options=(MSS, stamp(LAST + 1))) == []
    assert host.counters["TcpExtListenDrops"] == 1
    assert State.TIME_WAIT in {row.state for row in host.connections()}


@pytest.mark.parametrize("dropped", [False, True])
def test_a_syn_with_a_fin_reopens_nothing_where_listeners_drop_it(net: Net, dropped: bool) -> None:
    host, client = in_time_wait(net, StackConfig(drop_synfin=dropped), stamps=True)
    answers = client.say(SYN | FIN, client.irs + 5_000, options=(MSS, stamp(LAST + 1)))
    assert [segment.flags for segment in answers] == [ACK if dropped else SYN | ACK]
    assert (State.TIME_WAIT in {row.state for row in host.connections()}) is dropped


# --- RFC 1337 ---


@pytest.mark.parametrize("ignored", [False, True], ids=["assassinated", "rfc1337"])
def test_an_old_duplicate_cannot_end_the_wait_where_resets_are_ignored(net: Net, ignored: bool) -> None:
    """RFC 1337 2, figure 1: an old duplicate is answered, the peer resets that answer, and the RST ends the wait; fix (F1)."""
    host, client = in_time_wait(net, StackConfig(rfc1337=ignored), stamps=False)
    (answer,) = client.ack(seq=-900, ack=2, data=b"old duplicate")
    assert answer.flags == ACK
    assert client.say(RST, answer.ack) == []
    assert (State.TIME_WAIT in {row.state for row in host.connections()}) is ignored
    assert host.counters["TcpExtTCPRfc1337Drop"] == ignored
    host.run(until=61 * SECOND)  # the wait itself is no longer for it
    assert {row.state for row in host.connections()} == {State.LISTEN}


# --- our own connect() (Linux tcp_tw_reuse) ---

SO_REUSEADDR = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
REUSE = StackConfig(tw_reuse=1, ephemeral_ports=(40_000, 40_001))


class Server:
    """The remote end of the host's own connections; it has timestamps, unless told otherwise."""

    def __init__(self, host: VirtualHost, net: Net, *, stamps: bool = True) -> None:
        self.host, self.net, self.stamps = host, net, stamps
        self.client = Client(host, net, PORT)

    def connect(self, *, bind: int | None = None) -> tuple[int, VirtualSocket]:
        """connect()'s errno and the socket."""
        s = self.host.socket(self.net.family)
        if bind is not None:
            s.setsockopt(*SO_REUSEADDR, 1)
            s.bind((self.net.here, bind))
        return s.connect_ex((self.net.there, PORT)), s

    def syn(self) -> TcpSegment:
        (syn,) = self.client.hear()
        assert syn.flags & (SYN | ACK) == SYN
        return syn

    def say(self, to: TcpSegment, flags: int, seq: int, ack: int, tsval: int) -> list[TcpSegment]:
        options = (Option(NOP), Option(NOP), stamp(tsval, 0)) if self.stamps else ()
        segment = TcpSegment(PORT, to.source_port, seq, ack & MASK, flags, 65_535, options=options)
        there, here = pack_address(self.net.there), pack_address(self.net.here)
        self.host.deliver(CODEC.encode_ip(IPPacket(there, here, 6, CODEC.encode_tcp(segment, there, here))))
        return list(self.client.hear())

    def through(self, *, bind: int | None = None) -> TcpSegment:
        """A whole connection, after which the host is in TIME-WAIT; its SYN."""
        code, s = self.connect(bind=bind)
        assert code == errno.EINPROGRESS
        syn = self.syn()
        self.say(syn, SYN | ACK, 1000, syn.seq + 1, 77)
        s.close()
        list(self.client.hear())
        self.say(syn, FIN | ACK, 1001, syn.seq + 2, LAST)
        return syn


def waiting(config: StackConfig, net: Net, *, stamps: bool = True, bind: int | None = None) -> tuple[Server, TcpSegment]:
    server = Server(VirtualHost([net.prefix], config=config), net, stamps=stamps)
    syn = server.through(bind=bind)
    assert [row.state for row in server.host.connections()] == [State.TIME_WAIT]
    return server, syn


def ports_of(server: Server, number: int) -> list[int | str]:
    """The ports that so many connects get; errnos by name."""
    found: list[int | str] = []
    for _ in range(number):
        code, _ = server.connect()
        found.append(server.syn().source_port if code == errno.EINPROGRESS else errno.errorcode[code])
    return found


@pytest.mark.requirement("MUST-13")
@pytest.mark.parametrize(
    ("config", "stamps", "wait", "reused"),
    [
        (REUSE, True, 1_001, True),
        (REUSE, True, 1_000, False),  # its last timestamp must be older than a second
        (REUSE, False, 30_000, False),  # nothing tells old from new
        (replace(REUSE, timestamps=False), True, 30_000, False),
        (replace(REUSE, tw_reuse=0), True, 30_000, False),
        (replace(REUSE, tw_reuse=2), True, 30_000, False),  # loopback alone, and the default
        (replace(StackConfig(), ephemeral_ports=REUSE.ephemeral_ports), True, 30_000, False),
        (replace(REUSE, tw_reuse_delay=0), True, 1, True),
    ],
)
def test_connect_takes_a_pair_of_sockets_out_of_time_wait_where_that_is_safe(
    net: Net, config: StackConfig, stamps: bool, wait: int, reused: bool
) -> None:
    server, syn = waiting(config, net, stamps=stamps)
    server.host.run(until=server.host.now + wait * MILLISECOND)
    got = ports_of(server, 3)
    assert got.count("EADDRNOTAVAIL") == (1 if reused else 2)
    assert (syn.source_port in got) is reused
    assert server.host.counters["TcpExtTWRecycled"] == reused


def test_the_new_incarnation_begins_above_the_old_one_and_the_clock_goes_on(net: Net) -> None:
    server, old = waiting(replace(REUSE, ephemeral_ports=(40_000, 40_000)), net)
    server.host.run(until=server.host.now + 2 * SECOND)
    code, s = server.connect()
    assert code == errno.EINPROGRESS
    syn = server.syn()
    assert syn.source_port == old.source_port
    assert 2 < (syn.seq - old.seq & MASK) < 1 << 31
    tsvals = [int.from_bytes(dict(one.options)[tcp.TIMESTAMPS][:4], "big") for one in (old, syn)]
    assert tsvals[1] - tsvals[0] & MASK == 2_000
    server.say(syn, SYN | ACK, 500, syn.seq + 1, LAST + 1)
    assert s.state is State.ESTABLISHED
    assert [row.state for row in server.host.connections()] == [State.ESTABLISHED]


@pytest.mark.parametrize(("stamps", "code"), [(True, errno.EINPROGRESS), (False, errno.EADDRNOTAVAIL)])
def test_a_bound_port_is_taken_at_once_by_who_reuses_it_and_only_with_timestamps(net: Net, stamps: bool, code: int) -> None:
    """As in Linux, whatever tcp_tw_reuse says."""
    server, _ = waiting(StackConfig(tw_reuse=0), net, stamps=stamps, bind=41_000)
    assert server.connect(bind=41_000)[0] == code


@pytest.mark.parametrize("reuse", [0, 2])
def test_loopback_is_where_the_default_reuses(reuse: int) -> None:
    """A host that is its own peer: the connecting end closes first, and connects again from its only port."""
    config = StackConfig(ephemeral_ports=(40_000, 40_000), tw_reuse=reuse)
    host = VirtualHost([IPV4.prefix], config=config)
    listener = host.socket(IPV4.family)
    listener.bind((IPV4.here, PORT))
    listener.listen(5)
    client = host.socket(IPV4.family)
    client.connect_ex((IPV4.here, PORT))
    accepted, _ = listener.accept()
    client.close()
    accepted.close()
    assert State.TIME_WAIT in {row.state for row in host.connections()}
    host.run(until=host.now + 2 * SECOND)
    assert host.socket(IPV4.family).connect_ex((IPV4.here, PORT)) == (errno.EINPROGRESS if reuse else errno.EADDRNOTAVAIL)
