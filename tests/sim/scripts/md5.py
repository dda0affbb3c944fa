"""Keys for signatures: TCP_MD5SIG and TCP_MD5SIG_EXT."""

import socket

from tests.sim.scripts.registry import script
from tests.sim.world import IPV4, IPV6, Sock, World
from tests.support.md5 import FLAG_IFINDEX, FLAG_PREFIX, TCP_MD5SIG, TCP_MD5SIG_EXT, tcp_md5sig

TCP = socket.IPPROTO_TCP
KEY = b"secret"


def set_and_delete(w: World, s: Sock) -> None:
    own, mapped, six = tcp_md5sig, f"::ffff:{IPV4.there}", IPV6.there
    for label, option, raw in (
        ("delete what is not there", TCP_MD5SIG, own(w.there, b"")),
        ("set", TCP_MD5SIG, own(w.there, KEY)),
        ("set again", TCP_MD5SIG, own(w.there, b"other")),
        ("delete", TCP_MD5SIG, own(w.there, b"")),
        ("delete twice", TCP_MD5SIG, own(w.there, b"")),
        ("80 octets", TCP_MD5SIG, own(w.there, bytes(80))),
        ("81 octets", TCP_MD5SIG, own(w.there, KEY, size=81)),
        ("IPv4", TCP_MD5SIG, own(IPV4.there, KEY)),
        ("IPv6", TCP_MD5SIG, own(six, KEY)),
        ("mapped", TCP_MD5SIG, own(mapped, KEY)),
        ("the mapped one by a prefix of its IPv4 part", TCP_MD5SIG_EXT, own(mapped, b"", prefix=32, flags=FLAG_PREFIX)),
        ("no family", TCP_MD5SIG, own(w.there, KEY, family=77)),
        ("prefix", TCP_MD5SIG_EXT, own(w.there, KEY, prefix=24, flags=FLAG_PREFIX)),
        ("prefix, not masked", TCP_MD5SIG_EXT, own(w.here, KEY, prefix=24, flags=FLAG_PREFIX)),
        ("delete the address of the prefix", TCP_MD5SIG, own(w.there, b"")),
        ("delete another prefix", TCP_MD5SIG_EXT, own(w.there, b"", prefix=25, flags=FLAG_PREFIX)),
        ("delete the prefix", TCP_MD5SIG_EXT, own(w.there, b"", prefix=24, flags=FLAG_PREFIX)),
        ("prefix of nothing", TCP_MD5SIG_EXT, own(w.there, KEY, prefix=0, flags=FLAG_PREFIX)),
        ("prefix without its flag", TCP_MD5SIG_EXT, own(w.there, KEY, prefix=200)),
        ("prefix of the plain option", TCP_MD5SIG, own(w.there, KEY, prefix=200, flags=FLAG_PREFIX)),
        ("33 bits", TCP_MD5SIG_EXT, own(w.there, KEY, prefix=33, flags=FLAG_PREFIX)),
        ("129 bits", TCP_MD5SIG_EXT, own(w.there, KEY, prefix=129, flags=FLAG_PREFIX)),
        ("an interface", TCP_MD5SIG_EXT, own(w.there, KEY, interface=1, flags=FLAG_IFINDEX)),
        ("an interface without its flag", TCP_MD5SIG_EXT, own(w.there, KEY, interface=1)),
        ("an interface of the plain option", TCP_MD5SIG, own(w.there, KEY, interface=1, flags=FLAG_IFINDEX)),
        ("too short", TCP_MD5SIG, own(w.there, KEY)[:-1]),
        ("longer", TCP_MD5SIG, own(w.there, KEY) + bytes(4)),
        ("nothing", TCP_MD5SIG, b""),
    ):
        w.step(label, s.setsockopt, TCP, option, raw)
    w.step("a number", s.setsockopt, TCP, TCP_MD5SIG, 1)
    w.step("get", s.getsockopt, TCP, TCP_MD5SIG, 216)
    w.step("get ext", s.getsockopt, TCP, TCP_MD5SIG_EXT, 216)


@script
def md5_keys_of_a_fresh_socket(w: World) -> None:
    set_and_delete(w, w.client())


@script
def md5_keys_of_a_listener(w: World) -> None:
    set_and_delete(w, w.listener())


@script
def md5_child_has_the_key_of_its_peer_alone(w: World) -> None:
    listener, client = w.listener(), w.client()
    listener.setsockopt(TCP, TCP_MD5SIG_EXT, tcp_md5sig(w.here, KEY, prefix=8, flags=FLAG_PREFIX))
    client.setsockopt(TCP, TCP_MD5SIG, tcp_md5sig(w.there, KEY))
    client.bind((w.here, 0))
    w.step("connect", client.connect, (w.there, w.port))
    child = w.accept(listener)
    w.step("send", client.send, b"signed")
    w.step("receive", child.recv, 10)
    w.step("the prefix is not the child's", child.setsockopt, TCP, TCP_MD5SIG_EXT, tcp_md5sig(w.here, b"", prefix=8, flags=1))
    w.step("the peer's key is", child.setsockopt, TCP, TCP_MD5SIG, tcp_md5sig(w.here, b""))
    w.step("send unheard", client.send, b"signed")
    w.step("nothing comes", child.recv, 10)
    w.step("delete the client's too", client.setsockopt, TCP, TCP_MD5SIG, tcp_md5sig(w.there, b""))
    w.step("send more", client.send, b"plain")


@script
def md5_without_the_right_key_nobody_answers(w: World) -> None:
    listener, client, stranger = w.listener(), w.client(), w.client()
    listener.setsockopt(TCP, TCP_MD5SIG, tcp_md5sig(w.here, KEY))
    client.setsockopt(TCP, TCP_MD5SIG, tcp_md5sig(w.there, b"wrong"))
    for label, s in (("wrong key", client), ("no key", stranger)):
        s.bind((w.here, 0))
        w.step(label, s.connect, (w.there, w.port))
        w.step("still waiting", s.connect, (w.there, w.port))
    w.step("nobody to accept", listener.accept)


@script
def md5_longest_prefix(w: World) -> None:
    listener, client = w.listener(), w.client()
    for prefix, key in ((8, b"8"), (30, b"30"), (16, b"16")):
        listener.setsockopt(TCP, TCP_MD5SIG_EXT, tcp_md5sig(w.here, key, prefix=prefix, flags=FLAG_PREFIX))
    client.setsockopt(TCP, TCP_MD5SIG, tcp_md5sig(w.there, b"30"))
    client.bind((w.here, 0))
    w.step("connect", client.connect, (w.there, w.port))
    w.step("connected", client.connect, (w.there, w.port))
