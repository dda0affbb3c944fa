"""TCP_INFO and the counters beside the kernel's own: the same script is played on both, and each tells what it has seen.

Law: what chance, the clock, or the room that a system offers decides is named here; everything else is equal. ``-rP`` prints each
field and counter of both in two columns.
"""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.drill.running import OPEN
from tests.drill.test_tcpinfo import ACTIVE
from tests.support.kernel_system import KernelSystem
from tests.support.netns import KernelNamespace, kernel_namespace
from userstack.config import StackConfig
from userstack.counters import MEANINGS
from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.parser import parse
from userstack.drill.run import run_script
from userstack.drill.system import System
from userstack.drill.tcpinfo import LINUX
from userstack.host.inside import write_sysctl
from userstack.sim import VirtualHost
from userstack.tcp.info import ConnectionInfo

pytestmark = pytest.mark.once

ROOM = {"tcpi_rcv_wnd", "tcpi_rcv_wscale", "tcpi_rcv_ssthresh", "tcpi_snd_cwnd", "tcpi_snd_ssthresh"}
"""How much room each system offers, and how its congestion control (the kernel's is cubic) moves the window."""
CLOCK = 40_000
NEAR = {
    "tcpi_rto": 4_000 + CLOCK,  # it counts in ticks of 4 ms
    "tcpi_ato": CLOCK,  # it follows the pace at which text comes
    **dict.fromkeys(("tcpi_rtt", "tcpi_rttvar", "tcpi_min_rtt", "tcpi_rcv_rtt"), CLOCK),
    **dict.fromkeys(("tcpi_busy_time", "tcpi_rwnd_limited", "tcpi_sndbuf_limited"), 3 * CLOCK),
    **dict.fromkeys(("tcpi_last_data_sent", "tcpi_last_data_recv", "tcpi_last_ack_recv", "tcpi_total_rto_time"), 3 * CLOCK // 1000),
}
"""Its clock is real: by how much in its own unit a value may differ."""


TRIES = 3
"""The machine may be busy; what is not true fails every time."""
UNLIKE = {
    "TcpCurrEstab": "nstat leaves gauges out",
    "TcpExtDelayedACKs": "how long an ACK waits depends on the clock",
    "TcpExtTCPPureAcks": "compared together with TCPHPAcks",
    "TcpExtTCPHPAcks": "there is no header prediction here: all are TCPPureAcks",
}
NOT_HERE = {
    "TcpExtTCPSackShifted": "how the kernel keeps what was SACKed: three of them",
    "TcpExtTCPSackMerged": "",
    "TcpExtTCPSackShiftFallback": "",
    "TcpExtTCPRcvCoalesce": "how it keeps what was received",
    "TcpExtTcpTimeoutRehash": "another path may be chosen by a hash",
}
"""What the kernel counts and userstack cannot."""


TELL = "+0 %{ tell }%\n"
WITH_TIMESTAMPS = (
    OPEN.replace("<mss 1000>", "<mss 1000,sackOK,TS val 100 ecr 0,nop,wscale 7>").replace(
        "ack 1 win 30000", "ack 1 win 257 <nop,nop,TS val 101 ecr 0>"
    )
    + TELL
    + "+0 write(4, ..., 2964) = 2964\n+0 > P. 1:2965(2964) ack 1 <...>\n"
    + TELL
    + "+0 < . 1:1(0) ack 2965 win 257 <nop,nop,TS val 200 ecr 0>\n"
    + TELL
)
A_CLIENT = (
    ACTIVE
    + "+.05 < S. 0:0(0) ack 1 win 5792 <mss 1000,sackOK,nop,nop>\n+0 > . 1:1(0) ack 1\n"
    + TELL
    + "+0 write(3, ..., 3000) = 3000\n+0 > P. 1:3001(3000) ack 1\n"
    + TELL
    + "+.05 < . 1:1(0) ack 1 win 5792 <nop,nop,sack 1001:2001>\n"
    + TELL
    + "+0 < . 1:1(0) ack 3001 win 5792\n"
    + TELL
    + "+0 < P. 1:501(500) ack 3001 win 5792\n* > . 3001:3001(0) ack 501\n"
    + TELL
    + "+0 shutdown(3, SHUT_WR) = 0\n+0 > F. 3001:3001(0) ack 501\n"
    + TELL
    + "+.01 < . 501:501(0) ack 3002 win 5792\n"
    + TELL
)
CLOSED_BY_THE_PEER = (
    OPEN
    + TELL
    + "+.01 < P. 1:101(100) ack 1 win 30000\n* > . 1:1(0) ack 101\n"
    + "+0 < F. 101:101(0) ack 1 win 30000\n* > . 1:1(0) ack 102\n"
    + TELL
    + "+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 102\n"
    + TELL
)
SLOW = OPEN.replace("+0 < . 1:1", "+.05 < . 1:1")
SELECTIVE = SLOW.replace("<mss 1000>", "<mss 1000,sackOK,nop,nop>")
EIGHT = SELECTIVE + "+0 write(4, ..., 8000) = 8000\n+0 > P. 1:8001(8000) ack 1\n"
A_LOSS_AND_A_DUPLICATE = (
    EIGHT
    + "+.05 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:2001>\n+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:3001>\n"
    + "+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:4001>\n+0 > . 1:1001(1000) ack 1\n"
    + TELL
    + "+.05 < . 1:1(0) ack 4001 win 30000\n"
    + TELL
    + "+0 < . 1:1(0) ack 8001 win 30000\n"
    + TELL
    + "+0 < . 1:1(0) ack 8001 win 30000 <nop,nop,sack 1:1001>\n"
    + TELL
)
REORDERED = (
    EIGHT
    + "+.05 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 3001:4001>\n"
    + "+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:2001 3001:4001>\n"
    + TELL
    + "+0 < . 1:1(0) ack 4001 win 30000\n"
    + TELL
)
TIMED_OUT = (
    SELECTIVE
    + "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n* > P. 1:1001(1000) ack 1\n* > P. 1:1001(1000) ack 1\n"
    + TELL
    + "+.01 < . 1:1(0) ack 1001 win 30000\n"
    + TELL
)
WINDOW_SHUT = (
    SLOW
    + "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n+.05 < . 1:1(0) ack 1001 win 0\n+0 write(4, ..., 1000) = 1000\n"
    + TELL
    + "* > . 1000:1000(0) ack 1\n"
    + TELL
    + "+.01 < . 1:1(0) ack 1001 win 0\n"
    + TELL
    + "+.01 < . 1:1(0) ack 1001 win 30000\n+0 > P. 1001:2001(1000) ack 1\n"
    + TELL
)
OUT_OF_ORDER = (
    SELECTIVE
    + "+.01 < . 1:1001(1000) ack 1 win 30000\n* > . 1:1(0) ack 1001\n+.01 < . 2001:3001(1000) ack 1 win 30000\n"
    + "* > . 1:1(0) ack 1001 <...>\n"
    + TELL
    + "+.01 < . 1001:2001(1000) ack 1 win 30000\n* > . 1:1(0) ack 3001\n"
    + TELL
)
MARKED = (
    SLOW.replace("< S 0:0(0)", "< SEW 0:0(0)").replace("> S. 0:0(0)", "> SE. 0:0(0)")
    + "+0 <[ect0] P. 1:101(100) ack 1 win 30000\n* > . 1:1(0) ack 101\n"
    + TELL
    + "+0 write(4, ..., 4000) = 4000\n+0 >[ect0] P. 1:4001(4000) ack 101\n+.05 < E. 101:101(0) ack 1001 win 30000\n"
    + TELL
)
STAMPED = SLOW.replace("<mss 1000>", "<mss 1000,sackOK,TS val 1000 ecr 0,nop,wscale 7>").replace(
    "ack 1 win 30000", "ack 1 win 257 <nop,nop,TS val 1001 ecr 0>"
)
HALF_OPEN = OPEN.partition("+0 < . 1:1")[0]
LINGER = "+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0\n"
IDLE = "+0 setsockopt(4, SOL_SOCKET, SO_KEEPALIVE, [1], 4) = 0\n+0 setsockopt(4, SOL_TCP, TCP_KEEPIDLE, [1], 4) = 0\n"
LOST_ONE = (
    EIGHT
    + "+.05 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:2001>\n+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:3001>\n"
    + "+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:4001>\n+0 > . 1:1001(1000) ack 1\n"
)
SCRIPTS = {
    "with timestamps": WITH_TIMESTAMPS,
    "a client": A_CLIENT,
    "closed by the peer": CLOSED_BY_THE_PEER,
    "a loss and a duplicate": A_LOSS_AND_A_DUPLICATE,
    "reordered": REORDERED,
    "timed out": TIMED_OUT,
    "window shut": WINDOW_SHUT,
    "out of order": OUT_OF_ORDER,
    "marked": MARKED,
    "lost twice": LOST_ONE + "+.2~+.6 > . 1:1001(1000) ack 1\n" + TELL + "+.01 < . 1:1(0) ack 8001 win 30000\n" + TELL,
    "not lost": (
        LOST_ONE
        + "+.01 < . 1:1(0) ack 4001 win 30000\n+.04 < . 1:1(0) ack 4001 win 30000 <nop,nop,sack 1:1001>\n"
        + TELL
        + "+.01 < . 1:1(0) ack 8001 win 30000\n"
    ),
    "a tail loss probe": (
        SELECTIVE
        + "+0 write(4, ..., 1000) = 1000\n+0 > P. 1:1001(1000) ack 1\n+.05~+.4 > P. 1:1001(1000) ack 1\n"
        + TELL
        + "+.05 < . 1:1(0) ack 1001 win 30000\n"
        + TELL
    ),
    "reset": OPEN + "+0 < R. 1:1(0) ack 1 win 30000\n+.01 %{ tell }%\n",
    "a RST in the window": OPEN + "+0 < R. 100:100(0) ack 1 win 30000\n+0 > . 1:1(0) ack 1\n",
    "a SYN in the window": OPEN + "+0 < S 1:1(0) win 30000\n+0 > . 1:1(0) ack 1\n",
    "beyond the window": OPEN + "+0 < P. 200001:200101(100) ack 1 win 30000\n* > . 1:1(0) ack 1\n",
    "of what was never sent": OPEN + "+0 < . 1:1(0) ack 5000 win 30000\n* > . 1:1(0) ack 1\n",
    "an old timestamp": STAMPED + "+0 < P. 1:101(100) ack 1 win 257 <nop,nop,TS val 900 ecr 0>\n* > . 1:1(0) ack 1 <...>\n",
    "text twice": (
        SELECTIVE
        + "+0 < P. 1:101(100) ack 1 win 30000\n* > . 1:1(0) ack 101\n"
        + "+0 < P. 1:101(100) ack 1 win 30000\n* > . 1:1(0) ack 101 <...>\n"
        + TELL
    ),
    "text twice beyond a hole": (
        SELECTIVE
        + "+0 < P. 101:201(100) ack 1 win 30000\n* > . 1:1(0) ack 1 <...>\n"
        + "+0 < P. 101:201(100) ack 1 win 30000\n* > . 1:1(0) ack 1 <...>\n"
        + TELL
    ),
    "closed unread": OPEN + "+0 < P. 1:101(100) ack 1 win 30000\n* > . 1:1(0) ack 101\n+0 close(4) = 0\n* > R. 1:1(0) ack 101\n",
    "closed without linger": OPEN + LINGER + "+0 close(4) = 0\n* > R. 1:1(0) ack 1\n",
    "text after close": OPEN + "+0 close(4) = 0\n* > F. 1:1(0) ack 1\n+0 < P. 1:101(100) ack 2 win 30000\n* > R 2:2(0)\n",
    "half-open and reset": HALF_OPEN + "+0 < R 1:1(0) win 30000\n+.01 close(3) = 0\n",
    "refused": ACTIVE + "+.01 < R. 0:0(0) ack 1 win 0\n+.01 close(3) = 0\n",
    "a keep-alive": OPEN + IDLE + "+1~+1.2 > . 0:0(0) ack 1\n" + TELL + "+0 < . 1:1(0) ack 1 win 30000\n" + TELL,
}


class Told:
    """Hooks that keep what is told at each block."""

    def __init__(self) -> None:
        self.infos: list[dict[str, int]] = []
        self.counters: dict[str, int] = {}

    def command(self, text: str) -> None:
        raise AssertionError(text)

    def code(self, source: str, info: ConnectionInfo | None) -> None:
        assert info is not None
        self.infos.append(LINUX.fields(info))


def play(script: str, told: Told, make: Callable[[list[str], int, StackConfig | None], System]) -> None:
    outcome: Outcome = run_script(parse("--tolerance_usecs=60000\n" + script), hooks=told, make_system=make)
    assert outcome.verdict is Verdict.PASSED, outcome


def told_by_us(script: str) -> Told:
    told, hosts = Told(), []

    def make(addresses: list[str], mtu: int, _: object) -> System:
        hosts.append(VirtualHost(addresses, mtu=mtu, config=StackConfig.linux()))
        return hosts[-1]

    play(script, told, make)
    told.counters = hosts[0].counters.snapshot()
    return told


def told_by_the_kernel(script: str) -> Told:
    told = Told()
    with kernel_namespace() as namespace, ExitStack() as stack:
        write_sysctl("net.ipv4.tcp_ecn", "2", namespace=namespace.name)
        before = nstat(namespace)
        play(script, told, lambda addresses, mtu, _: KernelSystem(namespace, stack, addresses, mtu))
        told.counters = {name: value - before.get(name, 0) for name, value in nstat(namespace).items()}
    return told


def nstat(namespace: KernelNamespace) -> dict[str, int]:
    """Every counter of the kernel there since its beginning."""
    lines = namespace.run(["nstat", "-az"]).stdout.decode().splitlines()[1:]
    return {line.split()[0]: int(line.split()[1]) for line in lines}


def of_tcp(counters: dict[str, int]) -> dict[str, int]:
    """Those of TCP that were raised: the namespace has traffic of its own below."""
    return {name: value for name, value in counters.items() if value and name.startswith("Tcp") and name not in UNLIKE}


def acks(counters: dict[str, int]) -> int:
    return counters.get("TcpExtTCPPureAcks", 0) + counters.get("TcpExtTCPHPAcks", 0)


def print_beside(ours: dict[str, int], theirs: dict[str, int]) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        print(f"{name:34} {ours.get(name, 0):>20} {theirs.get(name, 0):>20}")


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_the_kernel_tells_the_same_of_the_same_exchange(script: str) -> None:
    ours = told_by_us(script)
    for left in reversed(range(TRIES)):
        try:
            check(script, ours, told_by_the_kernel(script))
        except AssertionError:
            if not left:
                raise
        else:
            return


def check(script: str, ours: Told, theirs: Told) -> None:
    assert len(ours.infos) == len(theirs.infos) == script.count(TELL) + script.count("+.01 %{ tell }%")
    for told, told_there in zip(ours.infos, theirs.infos, strict=True):
        print_beside(told, told_there)
        check_info(told, told_there)
    print_beside(of_tcp(ours.counters), of_tcp(theirs.counters))
    expected = of_tcp(theirs.counters)
    assert of_tcp(ours.counters) == {name: value for name, value in expected.items() if name not in NOT_HERE}
    assert acks(ours.counters) == acks(theirs.counters)


def check_info(told: dict[str, int], expected: dict[str, int]) -> None:
    equal = told.keys() - ROOM - NEAR.keys() - {"tcpi_delivery_rate"}
    assert {name: told[name] for name in equal} == {name: expected[name] for name in equal}
    assert {name: (told[name], expected[name]) for name, by in NEAR.items() if abs(told[name] - expected[name]) > by} == {}
    assert told["tcpi_delivery_rate"] * 3 // 4 <= expected["tcpi_delivery_rate"] * 2


def test_what_the_kernel_alone_counts_is_not_told_by_us() -> None:
    assert NOT_HERE.keys() & MEANINGS.keys() == set()
