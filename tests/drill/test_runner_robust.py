"""Whatever a script says, its run ends with an outcome, and a fault of the runner's own is none of them."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from userstack.drill.calls.table import HANDLERS
from userstack.drill.run import run_script
from userstack.drill.script import (
    Action,
    Anything,
    Base,
    Call,
    Event,
    Field,
    IcmpSpec,
    IpFields,
    Number,
    Operation,
    OptionSpec,
    PacketEvent,
    Place,
    Script,
    Sequence,
    Structure,
    Symbol,
    SystemCall,
    TcpSpec,
    Text,
    Value,
    When,
)

pytestmark = pytest.mark.once

SYMBOLS = (
    *("AF_INET", "AF_INET6", "SOCK_STREAM", "IPPROTO_TCP", "SOL_SOCKET", "SO_REUSEADDR", "SO_LINGER", "SO_ERROR", "SO_RCVBUF"),
    *("TCP_NODELAY", "O_NONBLOCK", "F_SETFL", "F_GETFL", "SIOCINQ", "FIONBIO", "MSG_PEEK", "MSG_WAITALL", "POLLIN", "POLLOUT"),
    *("EPOLLIN", "EPOLLET", "EPOLL_CTL_ADD", "SHUT_RDWR", "EAGAIN", "INADDR_ANY", "NO_SUCH_CONSTANT", "TCP_INFO"),
)
NAMES = (
    *("fd", "events", "revents", "msg_iov", "msg_name", "msg_flags", "msg_control", "sa_family", "sin_port", "sin_addr"),
    *("onoff", "linger", "tv_sec", None),
)
SOCKET = SystemCall("socket", (Anything(), Symbol("SOCK_STREAM"), Number(0)), Number(3))
CONNECT = SystemCall("connect", (Number(3), Anything(), Anything()), Anything(), blocking=True)
PASSIVE = (
    SOCKET,
    SystemCall("bind", (Number(3), Anything(), Anything()), Anything()),
    SystemCall("listen", (Number(3), Number(1)), Anything()),
    PacketEvent(inbound=True, content=TcpSpec(0x02, 0, 0, 0, None, 1000)),
    PacketEvent(inbound=False, content=TcpSpec(0x12, 0, 0, 0, 1, options=None)),
    PacketEvent(inbound=True, content=TcpSpec(0x10, 1, 1, 0, 1, 1000)),
    SystemCall("accept", (Number(3), Anything(), Anything()), Number(4)),
)
ACTIVE = (
    SOCKET,
    CONNECT,
    PacketEvent(inbound=False, content=TcpSpec(0x02, 0, 0, 0, options=None)),
    PacketEvent(inbound=True, content=TcpSpec(0x12, 0, 0, 0, 1, 1000)),
    PacketEvent(inbound=False, content=TcpSpec(0x10, 1, 1, 0, 1)),
)
"""How scripts begin; whatever is drawn follows on one of these, as far as it is taken."""
SHAPES = re.split(
    r"\s+",
    """
socket vnn   bind dvv      listen dn     accept dvv     accept4 dvvn      connect dvv    dup d      close d
read dvn     readv dvn     recv dvnf     recvfrom dvnfvv  recvmsg dvf     shutdown dn    fcntl dsn  ioctl dsv
write dvn    writev dvn    send dvnf     sendto dvnfvv  sendmsg dvf       getsockopt dssvn  setsockopt dssvn
poll vnn     epoll_create n  epoll_create1 n  epoll_ctl dndv  epoll_wait dvnn  epoll_pwait dvnnv  getsockname dvv  getpeername dvv
""".strip(),
)
ARGUMENTS = dict(zip(SHAPES[::2], SHAPES[1::2], strict=True))
"""What each call takes: descriptor, number, symbol, flags, or any value."""

numbers = st.one_of(st.sampled_from([-1, 0, 1, 2, 3, 4, 5, 8, 1000, 65536, 1 << 31, 1 << 32]), st.integers(-(1 << 40), 1 << 40))
leaves = st.one_of(
    numbers.map(Number),
    st.floats(allow_nan=False).map(Number),
    st.binary(max_size=8).map(Text),
    st.sampled_from(SYMBOLS).map(Symbol),
    st.just(Anything()),
)


def grow(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    fields = st.lists(st.builds(Field, st.sampled_from(NAMES), inner), max_size=4).map(tuple)
    return st.one_of(
        st.builds(
            Operation, st.sampled_from(["|", "&", "~", "<<", ">>", "-", "^"]), st.lists(inner, min_size=1, max_size=2).map(tuple)
        ),
        st.builds(Sequence, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Structure, fields),
        st.builds(Call, st.sampled_from(["htons", "inet_addr", "inet_pton", "other"]), st.lists(inner, max_size=2).map(tuple)),
    )


values: st.SearchStrategy[Value] = st.recursive(leaves, grow, max_leaves=6)
kinds: dict[str, st.SearchStrategy[Value]] = {
    "d": st.sampled_from([3, 3, 4, 4, 5, -1]).map(Number),
    "n": st.one_of(numbers.map(Number), values),
    "s": st.one_of(st.sampled_from(SYMBOLS).map(Symbol), values),
    "f": st.sampled_from([Number(0), Number(0), Number(0), Symbol("MSG_PEEK"), Symbol("MSG_WAITALL"), Symbol("MSG_DONTWAIT")]),
    "v": values,
}
likely = st.sampled_from(sorted(ARGUMENTS)).flatmap(
    lambda name: st.builds(
        SystemCall,
        st.just(name),
        st.tuples(*[kinds[kind] for kind in ARGUMENTS[name]]),
        st.just(Anything()),
        st.none(),
        st.just(True),
    )
)
odd = st.builds(
    SystemCall,
    st.sampled_from([*HANDLERS, "mmap"]),
    st.lists(values, max_size=6).map(tuple),
    values,
    st.sampled_from([None, "EAGAIN", "EBADF", "ENOSUCH"]),
    st.booleans(),
    st.sampled_from([None, 0, 10**8]),
)
words = st.integers(0, (1 << 32) - 1)
optional = st.one_of(st.none(), words)
options = st.one_of(
    st.just(OptionSpec(1)),
    st.builds(OptionSpec, st.sampled_from([2, 3, 5, 8]), st.lists(optional, max_size=4).map(tuple)),
    st.builds(OptionSpec, st.integers(2, 255), data=st.binary(max_size=12)),
)
segments = st.builds(
    TcpSpec,
    st.integers(-1, 0x1FF),
    words,
    words,
    st.sampled_from([0, 1, 1000, 65000, 70000]),
    optional,
    st.one_of(st.none(), st.integers(0, 1 << 17)),
    st.one_of(st.none(), st.integers(0, 65535)),
    st.one_of(st.none(), st.lists(options, max_size=5).map(tuple)),
    st.one_of(st.none(), st.binary(max_size=5)),
    st.booleans(),
    st.sampled_from([None, 1001]),
    st.sampled_from([None, 8080]),
)
errors = st.builds(
    IcmpSpec,
    st.sampled_from(["unreachable", "unreachable", "unreachable", "time_exceeded"]),
    st.sampled_from(["frag_needed", "port_unreachable", "host_unreachable", "nothing"]),
    st.one_of(st.none(), st.integers(0, 1 << 32)),
    st.one_of(st.none(), segments),
)
fields = st.builds(
    IpFields, st.one_of(st.none(), st.integers(0, 3)), st.booleans(), *[st.one_of(st.none(), st.integers(0, 255))] * 2
)
packets = st.builds(PacketEvent, st.sampled_from([True, True, True, False]), st.one_of(segments, errors), fields)
times = st.builds(When, st.sampled_from([Base.ANY, Base.RELATIVE]), st.sampled_from([0, 0, 10**7, 10**9]))
actions = st.one_of(likely, likely, likely, likely, packets, packets, odd)


def write(opening: tuple[Action, ...], taken: int, drawn: list[tuple[When, Action]]) -> Script:
    """A script of the head of an opening, and what was drawn."""
    parts = [(When(Base.RELATIVE), action) for action in opening[: len(opening) - taken]] + drawn
    events = tuple(Event(Place(Path("drawn"), at + 1, 1), when, action) for at, (when, action) in enumerate(parts))
    return Script(Path("drawn"), events)


scripts = st.builds(
    write,
    st.sampled_from([PASSIVE, ACTIVE]),
    st.sampled_from([0, 0, 0, 1, 2, 3, 4]),
    st.lists(st.tuples(times, actions), min_size=1, max_size=14),
)


@pytest.mark.early
@settings(max_examples=400, deadline=None)
@given(scripts, st.booleans())
def test_every_script_has_an_outcome(script: Script, strict: bool) -> None:
    outcome = run_script(script, strict=strict)
    assert not outcome.message.startswith("internal"), outcome.message
