"""Link-local addresses, which mean something only together with a link: the scope of the 4-tuple."""

from tests.sim.scripts.registry import SO_REUSEADDR, names, script_of
from tests.sim.world import IPV6, LOCAL_HERE, LOCAL_SILENT, LOCAL_THERE, MAPPED, SHUT_WR, World

NOBODY = 9999
"""The number of a link that there is not."""


@script_of("ipv6")
def scope_of_bind(w: World) -> None:
    s = w.client()
    w.step("without", s.bind, (LOCAL_HERE, w.port))
    w.step("without", s.bind, (LOCAL_HERE, w.port, 0, 0))
    names(w, "after", s)
    w.step("with a link that is not there", s.bind, (LOCAL_HERE, w.port, 0, NOBODY))
    names(w, "after", s)
    w.step("without", s.bind, (LOCAL_HERE, w.port, 0, 0))
    w.step("another's address", s.bind, ("fe80::77", w.port, 0, w.link))
    w.step("with", s.bind, (LOCAL_HERE, w.port, 0, w.link))
    names(w, "bound", s)
    w.step("listen", s.listen, 1)
    names(w, "listening", s)


@script_of("ipv6")
def scope_stays_with_the_socket(w: World) -> None:
    s = w.client()
    w.step("another's address", s.bind, ("fe80::77", w.port, 0, w.link))
    w.step("without", s.bind, (LOCAL_HERE, w.port))
    names(w, "bound", s)
    w.step("connect without", s.connect, (LOCAL_SILENT, w.port))
    names(w, "connecting", s)


@script_of("ipv6")
def scope_of_connect(w: World) -> None:
    s = w.client()
    w.step("without", s.connect, (LOCAL_SILENT, w.port))
    names(w, "after", s)
    w.step("with", s.connect, (LOCAL_SILENT, w.port, 0, w.link))
    names(w, "connecting", s)
    w.step("shutdown", s.shutdown, SHUT_WR)
    names(w, "after", s)


@script_of("ipv6")
def scope_of_connect_that_is_not_there(w: World) -> None:
    s = w.client()
    w.step("connect", s.connect, (LOCAL_SILENT, w.port, 0, NOBODY))
    names(w, "after", s)
    w.step("with", s.connect, (LOCAL_SILENT, w.port, 0, w.link))


@script_of("ipv6")
def scope_of_connect_is_not_that_of_bind(w: World) -> None:
    s = w.client()
    w.step("bind", s.bind, (LOCAL_HERE, w.port, 0, w.link))
    w.step("connect", s.connect, (LOCAL_SILENT, w.port, 0, NOBODY))
    names(w, "after", s)
    w.step("connect", s.connect, (LOCAL_SILENT, w.port, 0, 0))
    names(w, "connecting", s)


@script_of("ipv6")
def scope_of_a_connection(w: World) -> None:
    listener = w.server()
    listener.setsockopt(*SO_REUSEADDR, 1)
    listener.bind((LOCAL_THERE, w.port, 0, w.link))
    listener.listen(5)
    client = w.client()
    client.bind((LOCAL_HERE, w.port + 1, 0, w.link))
    w.step("connect", client.connect, (LOCAL_THERE, w.port, 0, w.link))
    w.step("connect", client.connect, (LOCAL_THERE, w.port, 0, w.link))
    names(w, "connected", client)
    accepted = w.accept(listener)
    names(w, "accepted", accepted)
    w.step("send", client.send, b"near")
    w.step("recv", accepted.recv, 10)


@script_of("ipv6")
def scope_of_what_a_wildcard_accepts(w: World) -> None:
    listener = w.server()
    listener.setsockopt(*SO_REUSEADDR, 1)
    listener.bind(("::", w.port))
    listener.listen(5)
    names(w, "listening", listener)
    client = w.client()
    client.bind((LOCAL_HERE, w.port + 1, 0, w.link))
    w.step("connect", client.connect, (LOCAL_THERE, w.port))
    w.step("connect", client.connect, (LOCAL_THERE, w.port))
    names(w, "accepted", w.accept(listener))


@script_of("ipv6")
def scope_of_a_link_local_socket_to_the_world(w: World) -> None:
    s = w.client()
    w.step("bind", s.bind, (LOCAL_HERE, w.port, 0, w.link))
    w.step("connect", s.connect, (w.silent, w.port))
    names(w, "connecting", s)


@script_of("ipv6")
def scope_as_text(w: World) -> None:
    s = w.client()
    w.step("number", s.bind, (f"{LOCAL_HERE}%{w.link}", w.port))
    w.step("both", s.bind, (f"{LOCAL_HERE}%{w.link}", w.port, 0, w.link))
    names(w, "bound", s)
    s = w.client()
    w.step("no such link", s.bind, (f"{LOCAL_HERE}%nosuch", w.port))
    w.step("number of a global address", s.bind, (f"{w.here}%{w.link}", w.port))
    names(w, "after", s)


@script_of("ipv6")
def scope_that_is_not_there_and_ipv4(w: World) -> None:
    for address in (MAPPED.any, MAPPED.here, MAPPED.foreign, IPV6.any):
        s = w.client()
        w.step("bind", s.bind, (LOCAL_HERE, w.port, 0, NOBODY))
        w.step(f"bind {address}", s.bind, (address, w.port))
        w.step("connect", s.connect, (MAPPED.silent, w.port))
        w.step("connect", s.connect, (IPV6.silent, w.port))
        s.close()
    s = w.client()
    s.bind((MAPPED.any, w.port))
    w.step("connect", s.connect, (LOCAL_SILENT, w.port, 0, NOBODY))
    w.step("connect", s.connect, (LOCAL_SILENT, w.port, 0, w.link))
