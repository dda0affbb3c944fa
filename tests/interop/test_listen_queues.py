"""A listener's queues, SYN cookies and TIME-WAIT beside the kernel's: the same clients say the same to both.

What both answer is compared packet for packet, but for what chance or the clock decides, and so are the counters that tell of it.
"""

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from tests.sim.nets import IPV4, IPV6, Net
from tests.support.clients import IRS, MASK, MSS, PORT, REAL, SACK, SCALE, Client, of, stamp
from tests.support.kernel_system import KernelSystem
from tests.support.netns import KernelNamespace, kernel_namespace, nothing_left_behind
from userstack.config import SECOND, StackConfig
from userstack.drill.shell import Setting
from userstack.drill.sysctls import apply
from userstack.drill.system import DrillSocket, System
from userstack.host.inside import write_sysctl
from userstack.sim import VirtualHost
from userstack.wire import tcp
from userstack.wire.tcp import ACK, CWR, ECE, FIN, RST, SYN, Option, TcpSegment, flag_names

pytestmark = pytest.mark.once

FIXED = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_ecn": "2", "net.ipv4.tcp_congestion_control": "reno"}
COUNTED = (
    *("ListenOverflows", "ListenDrops", "TCPReqQFullDoCookies", "TCPReqQFullDrop", "EmbryonicRsts", "TWRecycled"),
    *("SyncookiesSent", "SyncookiesRecv", "SyncookiesFailed"),
)


class Beside:
    """One of both systems, its listener, and what its clients hear."""

    def __init__(self, system: System, net: Net, counters: Callable[[], dict[str, int]], moment: int) -> None:
        self.system, self.net, self.counters, self.moment = system, net, counters, moment
        self.heard: list[str] = []
        self.listener: DrillSocket

    def listen(self, backlog: int) -> None:
        self.listener = self.system.socket(self.net.family)
        self.listener.setsockopt(1, 2, struct.pack("i", 1))  # SO_REUSEADDR
        self.listener.bind((self.net.here, PORT))
        self.listener.listen(backlog)

    def client(self, number: int) -> "Heard":
        return Heard(self, 5000 + number)

    def note(self, line: str) -> None:
        self.heard.append(line)


class Heard(Client):
    """A client whose answers are written down."""

    def __init__(self, beside: Beside, port: int) -> None:
        super().__init__(beside.system, beside.net, port, moment=beside.moment)
        self._beside = beside

    def hear(self, wait: int = 0) -> Iterator[TcpSegment]:
        segments = list(super().hear(wait))
        for segment in segments:
            iss = self.iss if self.iss else segment.seq
            options = " ".join(str(option.kind) for option in segment.options)
            ack = segment.ack - self.irs & MASK if segment.flags & ACK else 0
            flags = flag_names(segment.flags)
            self._beside.note(
                f"{segment.destination_port} {flags} {segment.seq - iss & MASK} ack {ack} <{options}> {segment.window}"
            )
        self._beside.note(f"{self.port} has spoken")
        return iter(segments)


Scenario = Callable[[Beside], None]


def counted(namespace: KernelNamespace) -> dict[str, int]:
    """The counters of TcpExt."""
    lines = namespace.run(["cat", "/proc/net/netstat"]).stdout.decode().splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("TcpExt:"))
    return {name: int(value) for name, value in zip(names, values, strict=True)}


@contextmanager
def kernel(net: Net, sysctls: dict[str, str]) -> Iterator[Beside]:
    with nothing_left_behind(), kernel_namespace() as namespace, ExitStack() as stack:
        for name, value in sysctls.items():
            write_sysctl(name, value, namespace=namespace.name)
        yield Beside(KernelSystem(namespace, stack, [net.prefix], 1500), net, lambda: counted(namespace), REAL)


def ours(net: Net, sysctls: dict[str, str]) -> Beside:
    config = apply([Setting(name, value) for name, value in sysctls.items() if "congestion" not in name], StackConfig.linux())
    host = VirtualHost([net.prefix], config=replace(config, window_scale=None), start=1_000 * SECOND)
    return Beside(host, net, lambda: {name: host.counters[f"TcpExt{name}"] for name in COUNTED}, 0)


def same(net: Net, scenario: Scenario, **sysctls: int) -> None:
    """Both hear, count and accept the same."""
    settings = FIXED | {f"net.{'core' if name == 'somaxconn' else 'ipv4'}.{name}": str(value) for name, value in sysctls.items()}
    with kernel(net, settings) as theirs:
        scenario(theirs)
        found = theirs.counters()
    mine = ours(net, settings)
    scenario(mine)
    assert mine.heard == theirs.heard
    assert any("SYN,ACK" in line for line in mine.heard)
    assert mine.counters() == {name: found.get(name, 0) for name in COUNTED}


def accepted(beside: Beside) -> bool:
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        try:
            beside.listener.accept()
        except BlockingIOError:
            if beside.moment:
                time.sleep(0.001)
                continue
            return False
        return True
    return False


NETS = pytest.mark.parametrize("net", [IPV4, IPV6], ids=["ipv4", "ipv6"])


@NETS
@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("backlog", [0, 2])
def test_syns_beyond_the_backlog(net: Net, cookies: int, backlog: int) -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(backlog)
        for number in range(backlog + 3):
            beside.client(number).syn(MSS)

    same(net, scenario, tcp_syncookies=cookies)


@pytest.mark.parametrize("most", [4, 8, 16])
def test_without_cookies_max_syn_backlog_is_a_limit_too(most: int) -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(100)
        for number in range(most + 1):
            beside.client(number).syn(MSS)

    same(IPV4, scenario, tcp_syncookies=0, tcp_max_syn_backlog=most)


def test_somaxconn() -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(100)
        for number in range(4):
            beside.client(number).syn(MSS)

    same(IPV4, scenario, tcp_syncookies=0, somaxconn=1)


@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("abort", [0, 1])
def test_a_full_accept_queue(cookies: int, abort: int) -> None:
    """It holds one more than the backlog; the SYN of another is dropped, the last ACK of one that is half open too, or reset."""

    def scenario(beside: Beside) -> None:
        beside.listen(1)
        first, second, third, late = (beside.client(number) for number in range(4))
        first.syn(MSS)
        second.syn(MSS)
        first.ack()
        late.syn(MSS)
        second.ack()
        third.syn(MSS)
        late.ack()
        late.ack(data=b"x")
        late.ack(ack=9)  # no ACK of the handshake's: reset in any case
        beside.note(f"accepts {accepted(beside)} {accepted(beside)} {accepted(beside)}")
        late.ack()
        beside.note(f"accepts {accepted(beside)}")

    same(IPV4, scenario, tcp_syncookies=cookies, tcp_abort_on_overflow=abort)


def test_the_end_of_a_listener() -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(5)
        established, half_open, forgotten = (beside.client(number) for number in range(3))
        for client in (established, half_open, forgotten):
            client.syn(MSS)
        established.ack()
        beside.listener.close()
        list(established.hear())
        half_open.ack()
        list(forgotten.hear(11 * SECOND // 10))

    same(IPV4, scenario)


# --- cookies ---

SETS: list[tuple[Option, ...]] = [(), (MSS,), (MSS, SACK, SCALE), (MSS, stamp(77)), (MSS, SACK, stamp(77)), (MSS, stamp(77), SCALE)]
SETS.append((MSS, SACK, stamp(77), SCALE))


ALL = SETS[-1]


@pytest.mark.parametrize(
    ("net", "ecn", "options"),
    [
        *((IPV4, 0, options) for options in SETS),
        (IPV4, ECE | CWR, ALL),
        (IPV4, ECE | CWR, SETS[2]),
        (IPV6, ECE | CWR, ALL),
        (IPV6, 0, ()),
    ],
)
def test_the_answer_with_a_cookie_and_what_comes_of_it(net: Net, ecn: int, options: tuple[Option, ...]) -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(5)
        client = beside.client(0)
        client.syn(*options, flags=SYN | ecn)
        client.ack(window=500)
        connection, _ = beside.listener.accept()
        connection.send(bytes(1000))
        # Of its segments the options and the size: the kernel goes on with another window than its SYN,ACK had, and pushes.
        (data,) = Client.hear(client)
        beside.note(f"{len(data.payload)} {of(data, tcp.TIMESTAMPS) is not None}")

    same(net, scenario, tcp_syncookies=2)


def test_what_brings_a_cookie_back_and_what_does_not() -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(9)
        unknown, client, with_text, reset, both = (beside.client(number) for number in range(5))
        unknown.say(ACK, IRS + 1, 4711)
        for one in (client, with_text, reset, both):
            one.syn(MSS)
        unknown.say(ACK, IRS + 1, 4711)
        client.ack(ack=1 << 20)
        client.ack(seq=1 << 20)
        client.ack()
        with_text.ack(data=b"text")
        reset.ack(flags=ACK | RST)
        reset.ack()
        both.ack(flags=ACK | SYN)

    same(IPV4, scenario, tcp_syncookies=2)


def test_no_cookie_is_looked_at_before_one_was_sent() -> None:
    def scenario(beside: Beside) -> None:
        beside.listen(9)
        beside.client(0).syn(MSS)
        beside.client(1).say(ACK, IRS + 1, 4711)

    same(IPV4, scenario, tcp_syncookies=1)


# --- TIME-WAIT ---


def in_time_wait(beside: Beside, *, stamps: bool) -> Client:
    beside.listen(5)
    client = beside.client(0)
    client.syn(MSS, *((stamp(77),) if stamps else ()))
    client.ack()
    beside.listener.accept()[0].close()
    list(client.hear())
    client.ack(flags=ACK | FIN, ack=2)
    return client


@pytest.mark.parametrize("rfc1337", [0, 1])
def test_a_reset_in_time_wait(rfc1337: int) -> None:
    def scenario(beside: Beside) -> None:
        client = in_time_wait(beside, stamps=False)
        client.ack(seq=-900, ack=2, data=b"old")
        client.say(RST, IRS + 2)
        client.ack(flags=ACK | FIN, ack=2)

    same(IPV4, scenario, tcp_rfc1337=rfc1337)


@pytest.mark.parametrize(
    ("stamps", "tsval", "seq"),
    [
        *(
            (True, tsval, seq)
            for tsval, seq in ((79, -5_000), (78, 5_000), (78, -5_000), (70, 5_000), (None, 5_000), (None, -5_000))
        ),
        *((False, tsval, seq) for tsval, seq in ((None, 5_000), (None, -5_000), (1, 5_000))),
    ],
)
def test_a_syn_in_time_wait(stamps: bool, tsval: int | None, seq: int) -> None:
    """RFC 6191. Linux goes its own way with a SYN just above the FIN, and with one that brings timestamps where there were none."""

    def scenario(beside: Beside) -> None:
        client = in_time_wait(beside, stamps=stamps)
        found = client.say(SYN, IRS + seq, options=(MSS,) if tsval is None else (MSS, stamp(tsval)))
        beside.note(str([segment.flags for segment in found]))
        beside.heard = [
            line for line in beside.heard if "SYN,ACK" not in line or " 0 ack 1 " in line
        ]  # its ISS is each system's own

    same(IPV4, scenario)
