"""What sockets of both families have to do with each other: one listener for both, who may share a port, who reaches whom."""

from socket import AF_INET, AF_INET6, IP_TTL, IPPROTO_IP, IPPROTO_IPV6, IPV6_UNICAST_HOPS, IPV6_V6ONLY, SO_DOMAIN, SOL_SOCKET

from tests.sim.scripts.registry import SO_LINGER, SO_REUSEADDR, names, script_of
from tests.sim.world import IPV4, IPV6, MAPPED, RESET_ON_CLOSE, SHUT_WR, Sock, World

V6ONLY = (IPPROTO_IPV6, IPV6_V6ONLY)
PLACES = {
    "IPv4 any": (AF_INET, 0, IPV4.any),
    "IPv4 here": (AF_INET, 0, IPV4.here),
    "IPv4 outside": (AF_INET, 0, IPV4.outside),
    "both any": (AF_INET6, 0, IPV6.any),
    "IPv6 any": (AF_INET6, 1, IPV6.any),
    "IPv6 here": (AF_INET6, 0, IPV6.here),
    "IPv6 outside": (AF_INET6, 0, IPV6.outside),
    "mapped any": (AF_INET6, 0, MAPPED.any),
    "mapped here": (AF_INET6, 0, MAPPED.here),
}
"""What a port can be bound with: family, IPV6_V6ONLY, address."""


def _of_both(w: World) -> Sock:
    listener = w.server(AF_INET6)
    listener.setsockopt(*SO_REUSEADDR, 1)
    listener.bind(("::", w.port))
    listener.listen(5)
    return listener


@script_of("ipv6")
def one_listener_for_both(w: World) -> None:
    listener = _of_both(w)
    names(w, "listening", listener)
    for turn, (family, address) in enumerate(((AF_INET, IPV4), (AF_INET6, IPV6), (AF_INET6, MAPPED))):
        client = w.client(family)
        client.bind((address.here, w.port + 1 + turn))
        w.step("connect", client.connect, (address.there, w.port))
        w.step("connect", client.connect, (address.there, w.port))
        names(w, "client", client)
        accepted, peer = w.accept_with_name(listener)
        w.note("peer", peer)
        names(w, "accepted", accepted)
        w.step("SO_DOMAIN", accepted.getsockopt, SOL_SOCKET, SO_DOMAIN)
        w.step("IPV6_V6ONLY", accepted.getsockopt, *V6ONLY)
        w.step("IP_TTL", accepted.getsockopt, IPPROTO_IP, IP_TTL)
        w.step("IPV6_UNICAST_HOPS", accepted.getsockopt, IPPROTO_IPV6, IPV6_UNICAST_HOPS)
        w.step("send", client.send, b"hello")
        w.step("recv", accepted.recv, 10)
        w.step("close", accepted.close)
        w.step("recv", client.recv, 10)


@script_of("ipv6")
def a_listener_for_ipv6_alone(w: World) -> None:
    listener = w.server(AF_INET6)
    w.step("IPV6_V6ONLY", listener.setsockopt, *V6ONLY, 1)
    w.step("bind", listener.bind, ("::", w.port))
    w.step("listen", listener.listen, 5)
    for family, address in ((AF_INET, IPV4), (AF_INET6, MAPPED), (AF_INET6, IPV6)):
        client = w.client(family)
        client.bind((address.here, 0))
        w.step("connect", client.connect, (address.there, w.port))
        w.step("connect", client.connect, (address.there, w.port))
    beside = w.server(AF_INET)
    w.step("bind IPv4 beside it", beside.bind, (IPV4.any, w.port))
    w.step("listen", beside.listen, 5)
    client = w.client(AF_INET)
    client.bind((IPV4.here, 0))
    w.step("connect", client.connect, (IPV4.there, w.port))
    w.step("connect", client.connect, (IPV4.there, w.port))
    names(w, "accepted here", w.accept(listener))
    w.step("no more", listener.accept)
    names(w, "accepted there", w.accept(beside))


def _share(w: World, reuse: bool, listening: bool) -> None:
    for one, (family, v6only, address) in PLACES.items():
        for other, (other_family, other_v6only, other_address) in PLACES.items():
            first, second = w.client(family), w.client(other_family)
            for s, only in ((first, v6only), (second, other_v6only)):
                s.setsockopt(*SO_REUSEADDR, reuse)
                if only:
                    s.setsockopt(*V6ONLY, 1)
            first.bind((address, w.port))
            if listening:
                first.listen(1)
            w.step(f"{other} beside {one}", second.bind, (other_address, w.port))
            w.step("listen", second.listen, 1)
            first.close()
            second.close()


@script_of("ipv6")
def who_shares_a_port(w: World) -> None:
    _share(w, False, False)


@script_of("ipv6")
def who_shares_a_port_with_reuse(w: World) -> None:
    _share(w, True, False)


@script_of("ipv6")
def who_shares_a_port_with_a_listener(w: World) -> None:
    _share(w, True, True)


@script_of("ipv6")
def whom_a_bound_socket_reaches(w: World) -> None:
    _of_both(w)
    for place, (family, v6only, address) in PLACES.items():
        if family == AF_INET or "outside" in place:
            continue
        for target in (IPV6.there, MAPPED.there):
            s = w.client(AF_INET6)
            s.setsockopt(*V6ONLY, v6only)
            w.step(f"bind {place}", s.bind, (address, 0))
            w.step("IPV6_V6ONLY", s.getsockopt, *V6ONLY)
            w.step(f"connect to {target}", s.connect, (target, w.port))
            w.step("again", s.connect, (target, w.port))
            w.step("getpeername", s.getpeername)
            s.setsockopt(*SO_LINGER, RESET_ON_CLOSE)
            s.close()
            w.settle()


@script_of("ipv6")
def ipv6_alone_does_not_speak_ipv4(w: World) -> None:
    s = w.client(AF_INET6)
    w.step("IPV6_V6ONLY", s.setsockopt, *V6ONLY, 1)
    w.step("connect", s.connect, (MAPPED.there, w.port))
    names(w, "after", s)
    w.step("bind", s.bind, (MAPPED.here, w.port))
    w.step("IPV6_V6ONLY", s.setsockopt, *V6ONLY, 0)
    w.step("bind", s.bind, (MAPPED.here, w.port))
    w.step("IPV6_V6ONLY", s.setsockopt, *V6ONLY, 1)
    names(w, "bound", s)


@script_of("ipv6", "mapped")
def when_v6only_can_be_set(w: World) -> None:
    s = w.client()
    for value in (1, 0):
        w.step(f"fresh {value}", s.setsockopt, *V6ONLY, value)
    w.step("bind", s.bind, (w.here, w.port))
    w.step("get", s.getsockopt, *V6ONLY)
    w.step("bound", s.setsockopt, *V6ONLY, 0)
    s = w.client()
    w.step("listen", s.listen, 1)
    w.step("listening", s.setsockopt, *V6ONLY, 0)
    w.step("get", s.getsockopt, *V6ONLY)
    w.listener()
    s = w.client()
    w.step("bind any", s.bind, (IPV6.any, 0))
    w.step("get", s.getsockopt, *V6ONLY)
    s = w.client()
    s.connect_ex((w.silent, w.port))
    w.step("connecting", s.setsockopt, *V6ONLY, 1)
    w.step("get", s.getsockopt, *V6ONLY)


@script_of("ipv6")
def a_refused_connection_over_ipv4_leaves_no_trace(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (MAPPED.here, w.port + 9))
    w.step("connect", s.connect, (MAPPED.here, w.port + 9))
    names(w, "refused", s)
    w.step("bind", s.bind, (IPV6.here, w.port))
    names(w, "bound", s)


@script_of("ipv6")
def foreign_and_odd_names_for_bind(w: World) -> None:
    for address in ("ff02::1", "ff0e::1", "fd3d:203::7", "::ffff:203.0.113.7", "::10.9.1.1", "::ffff:0:0", "2001:db8::"):
        s = w.client()
        w.step(f"bind {address}", s.bind, (address, w.port))
        names(w, "after", s)
        s.close()


@script_of("ipv6")
def names_that_are_none_of_ipv6(w: World) -> None:
    s = w.client()
    for address in (
        *((IPV4.here, 0), ("255.255.255.255", 0), ("<broadcast>", 0), ("fd3d:9:1::1%nosuch", 0), ("fd3d:9:1::1%", 0)),
        *((w.here, 0, "0"), (w.here, 0, 0, "0"), (w.here, 0, 1.0), (w.here, 0, -1), (w.here, 0, 1 << 20), (w.here, 0, 1 << 32)),
        *((w.here, 70000, 1 << 20), ("no such host", 70000, 1 << 20)),
    ):
        w.step(f"bind {address}", s.bind, address)
        w.step(f"connect {address}", s.connect, address)
        names(w, "after", s)


@script_of("ipv6", "mapped")
def flow_labels_and_scopes_that_mean_nothing(w: World) -> None:
    listener = w.server()
    w.step("bind", listener.bind, (w.there, w.port, 0xFFFFF, 77))
    w.step("listen", listener.listen, 1)
    names(w, "listening", listener)
    s = w.client()
    w.step("bind", s.bind, (w.here, w.port + 1, 5))
    w.step("connect", s.connect, (w.there, w.port, 5, 77))
    w.step("connect", s.connect, (w.there, w.port, 6, 78))
    names(w, "connected", s)
    names(w, "accepted", w.accept(listener))


@script_of("ipv6")
def half_closed_over_both(w: World) -> None:
    listener = _of_both(w)
    for address in (IPV6, MAPPED):
        client = w.client(AF_INET6)
        client.bind((address.here, 0))
        client.connect_ex((address.there, w.port))
        w.settle()
        accepted = w.accept(listener)
        w.step("shutdown", client.shutdown, SHUT_WR)
        w.step("end", accepted.recv, 10)
        w.step("send", accepted.send, b"answer")
        w.step("recv", client.recv, 10)
        names(w, "client", client)
        names(w, "accepted", accepted)


@script_of("ipv6")
def ipv4_of_a_socket_for_ipv6_alone(w: World) -> None:
    for address in (MAPPED.any, MAPPED.here, MAPPED.foreign):
        s = w.client()
        w.step(f"bind {address}", s.bind, (address, w.port))
        s.close()
        s = w.client()
        s.setsockopt(*V6ONLY, 1)
        w.step(f"bind {address} for IPv6 alone", s.bind, (address, w.port))
        names(w, "after", s)


@script_of("ipv6", "mapped")
def families_when_the_connection_is_over(w: World) -> None:
    """The port that was picked for a connection goes with it, and only a socket that has a port cannot choose any more."""
    for bound in (None, 0, w.port + 1):
        s = w.client()
        if bound is not None:
            s.bind((w.any, bound))
        w.step("connect", s.connect, (w.there, w.port))
        w.settle()
        w.step("IPV6_V6ONLY, refused", s.setsockopt, *V6ONLY, 0)
        w.step("connect", s.connect, (w.there, w.port))
        w.step("IPV6_V6ONLY, told", s.setsockopt, *V6ONLY, 0)
