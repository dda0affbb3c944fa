"""One socket for both families: whom a listener hears, and what a connection may be made from."""

import pytest

from tests.net.bench import ANY, HERE, ISS, PORT, THERE, Bench
from userstack.address import Endpoint, pack_address
from userstack.errors import AddressInUse, AddressNotAvailable, InvalidArgument, NetworkUnreachable
from userstack.net.listener import Listener
from userstack.tcp.state import State
from userstack.wire.tcp import ACK, FIN, RST, SYN

FAMILIES = pytest.mark.parametrize("family", [4, 6])


def answer(bench: Bench, family: int) -> int:
    """The flags of what a SYN is answered with."""
    bench.arrives(family, SYN, seq=100)
    [segment] = bench.pull()
    return segment.flags


def hears(listener: Listener) -> set[Endpoint]:
    """The local sockets of the connections that wait in its SYN queue."""
    return {connection.local for connection in listener.syn_queue}


def test_the_ipv6_wildcard_takes_both_families_each_with_its_own_addresses() -> None:
    bench = Bench()
    listener = bench.listen(ANY[6])
    four, six = bench.established(4, listener), bench.established(6, listener)
    assert (four.local, four.remote) == (Endpoint(HERE[4], PORT), Endpoint(THERE[4], 5000))
    assert (six.local, six.remote) == (Endpoint(HERE[6], PORT), Endpoint(THERE[6], 5000))


@pytest.mark.parametrize(
    ("address", "v6only", "families"),
    [
        (ANY[6], False, {4, 6}),
        (ANY[6], True, {6}),
        (ANY[4], False, {4}),
        (HERE[4], False, {4}),
        (HERE[6], False, {6}),
        (HERE[6], True, {6}),
    ],
)
def test_a_listener_hears_its_families_and_the_others_are_refused(address: bytes, v6only: bool, families: set[int]) -> None:
    bench = Bench()
    bench.listen(address, v6only=v6only)
    assert {family for family in (4, 6) if answer(bench, family) == SYN | ACK} == families


def test_the_most_specific_listener_gets_the_segment() -> None:
    bench = Bench()
    six = bench.listen(ANY[6], v6only=True)
    four = bench.listen(ANY[4])
    assert [answer(bench, family) for family in (4, 6)] == [SYN | ACK] * 2
    assert hears(six) == {Endpoint(HERE[6], PORT)}
    assert hears(four) == {Endpoint(HERE[4], PORT)}


@FAMILIES
def test_a_port_that_is_listened_on_for_both_families_is_taken_in_each(family: int) -> None:
    bench = Bench()
    bench.listen(ANY[6])
    for address in (ANY[family], HERE[family]):
        with pytest.raises(AddressInUse):
            bench.host.bind(Endpoint(address, PORT), reuse_address=True)


def test_two_that_are_bound_to_overlapping_places_do_not_both_listen() -> None:
    bench = Bench()
    both = bench.host.bind(Endpoint(ANY[6], PORT), reuse_address=True)
    four = bench.host.bind(Endpoint(HERE[4], PORT), reuse_address=True)
    bench.host.listen(both, backlog=1, now=0)
    with pytest.raises(AddressInUse):
        bench.host.listen(four, backlog=1, now=0)


@FAMILIES
def test_a_time_wait_is_reopened_by_a_listener_of_both_families(family: int) -> None:
    """RFC 9293 MAY-2."""
    bench = Bench()
    connection = bench.established(family, bench.listen(ANY[6]))
    connection.release(now=0)
    bench.host.touch(connection)
    bench.pull()
    bench.arrives(family, FIN | ACK, seq=101, ack=ISS + 2)
    bench.pull()
    assert connection.state is State.TIME_WAIT
    bench.arrives(family, SYN, seq=5000)
    assert [segment.flags for segment in bench.pull()] == [SYN | ACK]


@FAMILIES
def test_a_socket_that_is_bound_for_both_families_connects_to_each(family: int) -> None:
    bench = Bench()
    binding = bench.host.bind(Endpoint(ANY[6], 4321))
    connection = bench.host.connect(Endpoint(THERE[family], PORT), binding=binding, now=0)
    assert connection.local == Endpoint(HERE[family], 4321)


def test_a_socket_for_ipv6_alone_does_not_reach_ipv4() -> None:
    bench = Bench()
    binding = bench.host.bind(Endpoint(ANY[6], 4321), v6only=True)
    with pytest.raises(NetworkUnreachable, match="bound for IPv6 alone"):
        bench.host.connect(Endpoint(THERE[4], PORT), binding=binding, now=0)


@pytest.mark.parametrize(("bound", "family"), [(HERE[4], 6), (HERE[6], 4), (ANY[4], 6)])
def test_a_socket_of_one_family_does_not_connect_to_the_other(bound: bytes, family: int) -> None:
    bench = Bench()
    binding = bench.host.bind(Endpoint(bound, 4321))
    with pytest.raises(InvalidArgument, match="not of one family"):
        bench.host.connect(Endpoint(THERE[family], PORT), binding=binding, now=0)
    assert not binding.used_up


@FAMILIES
def test_a_listener_of_both_families_turns_active_in_each(family: int) -> None:
    """RFC 9293 3.10.1."""
    bench = Bench()
    listener = bench.listen(ANY[6])
    connection = listener.connect(Endpoint(THERE[family], 9), now=0)
    assert connection.local == Endpoint(HERE[family], PORT)
    assert [segment.flags for segment in bench.pull()] == [SYN]


def test_a_listener_for_ipv4_does_not_turn_to_ipv6() -> None:
    bench = Bench()
    listener = bench.listen(ANY[4])
    with pytest.raises(InvalidArgument, match="not of one family"):
        listener.connect(Endpoint(THERE[6], 9), now=0)
    assert listener.local == Endpoint(ANY[4], PORT)


def test_closing_a_listener_of_both_families_resets_what_nobody_accepted() -> None:
    bench = Bench()
    listener = bench.listen(ANY[6])
    for family in (4, 6):
        assert answer(bench, family) == SYN | ACK
        bench.arrives(family, ACK, seq=101, ack=ISS + 1)
    listener.close(now=0)
    assert [segment.flags & RST for segment in bench.pull()] == [RST, RST]
    assert answer(bench, 4) & answer(bench, 6) & RST


@pytest.mark.parametrize("address", ["fd3d::2", "10.0.0.2", "ff02::1", "::ffff:10.0.0.1"])
def test_an_address_of_somebody_else_cannot_be_bound(address: str) -> None:
    with pytest.raises(AddressNotAvailable, match="is not an address of this host"):
        Bench().host.bind(Endpoint(pack_address(address), PORT))


@pytest.mark.requirement("MUST-46")
@pytest.mark.parametrize("address", ["ff02::1", "::", "::1", "::ffff:10.0.0.2", "224.0.0.1"])
def test_what_is_no_host_on_the_network_is_not_connected_to(address: str) -> None:
    with pytest.raises(NetworkUnreachable):
        Bench().host.connect(Endpoint(pack_address(address), PORT), now=0)


@pytest.mark.requirement("MUST-67")
@pytest.mark.parametrize(("family", "discovery", "mss"), [(4, True, 1460), (6, True, 1440), (4, False, 1460), (6, False, 1220)])
def test_the_mss_leaves_room_for_the_headers(family: int, discovery: bool, mss: int) -> None:
    """RFC 8201 4: without path MTU discovery an IPv6 packet is as large as every link takes, 1280 octets."""
    bench = Bench(path_mtu_discovery=discovery)
    bench.listen(ANY[6])
    bench.arrives(family, SYN, seq=100)
    [segment] = bench.pull()
    assert int.from_bytes(segment.options[0].data) == mss
