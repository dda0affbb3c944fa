"""``bind``: names, wrong arguments, and who may share a port."""

from tests.sim.scripts.registry import SO_REUSEADDR, names, script, script_of
from tests.sim.world import World


@script
def bind_names(w: World) -> None:
    s = w.client()
    w.step("bind", s.bind, (w.here, 0))
    names(w, "bound", s)
    w.step("bind twice", s.bind, (w.here, w.port))
    s = w.client()
    w.step("bind wildcard", s.bind, (w.any, w.port))
    names(w, "bound", s)
    s = w.client()
    w.step("bind empty", s.bind, ("", w.port + 1))
    names(w, "bound", s)
    s = w.client()
    w.step("bind all 0", s.bind, (w.any, 0))
    names(w, "bound", s)


@script
def bind_foreign(w: World) -> None:
    s = w.client()
    w.step("bind", s.bind, (w.foreign, w.port))
    names(w, "after", s)
    w.step("bind", s.bind, (w.here, w.port))


@script
def bind_bad_arguments(w: World) -> None:
    s = w.client()
    for address in (
        (w.here, 70000),
        (w.here, -1),
        (w.here, 2**70),
        (w.here, "80"),
        (w.here, 80.0),
        (w.here,),
        (w.here, 80, 0, 0, 0),
        w.here,
        None,
        [w.here, 80],
        (w.here.encode(), 0),
        (None, 80),
        (80, w.here),
    ):
        w.step(f"bind {address!r}", s.bind, address)
    for text in ("no such host", w.here + " ", "x\0y", "fd3d:::1", "fd3d::1::2", "::ffff:300.1.1.1"):
        w.step(f"bind {text!r}", s.bind, (text, 0))
    w.step("listen", s.listen, "many")
    w.step("connect", s.connect, (w.here, 70000))
    w.step("connect_ex", s.connect_ex, (w.here, 70000))
    w.step("connect", s.connect, f"{w.here}:80")
    w.step("connect", s.connect, ("no such host", 80))
    w.step("shutdown", s.shutdown, "RD")
    w.step("recv", s.recv, -1)
    w.step("recv", s.recv, "1")
    w.step("send", s.send, "text")
    w.step("send", s.send, 5)
    w.step("recv_into", s.recv_into, b"constant")
    w.step("recv_into", s.recv_into, bytearray(4), 5)
    w.step("recv_into", s.recv_into, bytearray(4), -1)
    names(w, "after", s)


@script_of("ipv4")
def bind_to_numbers_that_are_no_address(w: World) -> None:
    s = w.client()
    for text in ("10.9.1.1.1", "300.1.1.1", "fd3d::1"):
        w.step(f"bind {text!r}", s.bind, (text, 0))


@script
def bind_in_use(w: World) -> None:
    first, second = w.client(), w.client()
    w.step("bind", first.bind, (w.here, w.port))
    w.step("same", second.bind, (w.here, w.port))
    w.step("wildcard", second.bind, (w.any, w.port))
    w.step("other address", second.bind, (w.outside, w.port))
    w.step("close", first.close)
    w.step("same again", w.client().bind, (w.here, w.port))


def _in_use(w: World, reuse: tuple[int, int], listening: bool) -> None:
    first, second = w.client(), w.client()
    first.setsockopt(*SO_REUSEADDR, reuse[0])
    second.setsockopt(*SO_REUSEADDR, reuse[1])
    w.step("bind", first.bind, (w.here, w.port))
    if listening:
        w.step("listen", first.listen, 1)
    w.step("bind second", second.bind, (w.here, w.port))
    w.step("listen second", second.listen, 1)
    names(w, "second", second)
    w.step("listen first", first.listen, 1)


@script
def bind_in_use_reuse_on_first(w: World) -> None:
    _in_use(w, (1, 0), False)


@script
def bind_in_use_reuse_on_second(w: World) -> None:
    _in_use(w, (0, 1), False)


@script
def bind_in_use_reuse_on_both(w: World) -> None:
    _in_use(w, (1, 1), False)


@script
def bind_in_use_by_listener_reuse_on_both(w: World) -> None:
    _in_use(w, (1, 1), True)


@script
def bind_in_use_by_listener_reuse_on_none(w: World) -> None:
    _in_use(w, (0, 0), True)


@script
def bind_wildcard_over_specific_reuse(w: World) -> None:
    first, second = w.client(), w.client()
    for s in (first, second):
        s.setsockopt(*SO_REUSEADDR, 1)
    w.step("bind", first.bind, (w.here, w.port))
    w.step("bind wildcard", second.bind, (w.any, w.port))
    w.step("listen first", first.listen, 1)
    w.step("listen wildcard", second.listen, 1)


@script
def bind_port_of_an_accepted_connection(w: World) -> None:
    listener = w.listener()
    w.pair(listener)
    w.step("close listener", listener.close)
    plain, reusing = w.server(), w.server()
    reusing.setsockopt(*SO_REUSEADDR, 1)
    w.step("bind", plain.bind, (w.there, w.port))
    w.step("bind with SO_REUSEADDR", reusing.bind, (w.there, w.port))
    w.step("listen", reusing.listen, 1)


@script
def bind_port_in_time_wait(w: World) -> None:
    listener = w.listener()
    client, accepted = w.pair(listener)
    listener.close()
    w.step("server closes first", accepted.close)
    w.step("client sees FIN", client.recv, 10)
    w.step("client closes", client.close)
    plain, reusing = w.server(), w.server()
    reusing.setsockopt(*SO_REUSEADDR, 1)
    w.step("bind", plain.bind, (w.there, w.port))
    w.step("bind wildcard", plain.bind, (w.any, w.port))
    w.step("bind with SO_REUSEADDR", reusing.bind, (w.there, w.port))
    w.step("listen", reusing.listen, 1)


@script
def bind_port_in_time_wait_of_one_without_reuse(w: World) -> None:
    listener = w.server()
    listener.bind((w.there, w.port + 5))
    listener.listen(1)
    client = w.connecting((w.there, w.port + 5))
    accepted = w.accept(listener)
    listener.close()
    w.step("server closes first", accepted.close)
    w.step("client closes", client.close)
    plain, reusing = w.server(), w.server()
    reusing.setsockopt(*SO_REUSEADDR, 1)
    w.step("bind", plain.bind, (w.there, w.port + 5))
    w.step("bind with SO_REUSEADDR", reusing.bind, (w.there, w.port + 5))


@script
def connect_from_a_pair_in_time_wait(w: World) -> None:
    w.listener()
    client = w.client()
    client.bind((w.here, w.port + 1))
    client.connect_ex((w.there, w.port))
    w.settle()
    client.close()
    w.settle()
    again = w.client()
    w.step("bind", again.bind, (w.here, w.port + 1))
    again.setsockopt(*SO_REUSEADDR, 1)
    w.step("bind with SO_REUSEADDR", again.bind, (w.here, w.port + 1))


@script
def connect_from_a_pair_in_use(w: World) -> None:
    w.listener()
    first, second = w.client(), w.client()
    for s in (first, second):
        s.setsockopt(*SO_REUSEADDR, 1)
        s.bind((w.here, w.port + 1))
    w.step("connect", first.connect, (w.there, w.port))
    w.step("connect the same pair", second.connect, (w.there, w.port))
    names(w, "second", second)
    w.step("connect another pair", second.connect, (w.there, w.port + 9))


@script
def bind_twice_to_somebody_else(w: World) -> None:
    s = w.client()
    s.bind((w.here, w.port))
    w.step("foreign", s.bind, (w.foreign, w.port + 1))
    w.step("own", s.bind, (w.outside, w.port + 1))
    s.listen(1)
    w.step("foreign, listening", s.bind, (w.foreign, w.port + 1))
