"""TCP_INFO: values against runs of the stack, and their meaning against what the kernel tells of the same exchange."""

from contextlib import ExitStack

import pytest

from tests.drill.running import OPEN, check_passes
from tests.support.kernel_system import KernelSystem
from tests.support.netns import kernel_namespace
from userstack.config import StackConfig
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.outcome import Verdict
from userstack.drill.parser import parse
from userstack.drill.run import run_script
from userstack.drill.tcpinfo import FREEBSD, LINUX, TcpInfo
from userstack.host.inside import write_sysctl
from userstack.tcp.info import ConnectionInfo

ACTIVE = """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
"""


def check(text: str, *, kernel: TcpInfo = LINUX) -> None:
    """The assertions of the script hold."""
    check_passes(text, hooks=CodeBlocks(kernel))


# --- states ---


@pytest.mark.parametrize(
    ("steps", "state", "freebsd"),
    [
        ("", "TCP_ESTABLISHED", "TCPS_ESTABLISHED"),
        ("+0 < F. 1:1(0) ack 1 win 30000\n* > . 1:1(0) ack 2", "TCP_CLOSE_WAIT", "TCPS_CLOSE_WAIT"),
        ("+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 1", "TCP_FIN_WAIT1", "TCPS_FIN_WAIT_1"),
        ("+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 1\n+0 < . 1:1(0) ack 2 win 9", "TCP_FIN_WAIT2", "TCPS_FIN_WAIT_2"),
        (
            "+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 1\n+0 < F. 1:1(0) ack 1 win 9\n+0 > . 2:2(0) ack 2",
            "TCP_CLOSING",
            "TCPS_CLOSING",
        ),
        (
            "+0 < F. 1:1(0) ack 1 win 9\n* > . 1:1(0) ack 2\n+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 2",
            "TCP_LAST_ACK",
            "TCPS_LAST_ACK",
        ),
        ("+0 < R. 1:1(0) ack 1 win 9", "TCP_CLOSE", "TCPS_CLOSED"),
    ],
)
def test_the_states_of_an_accepted_connection(steps: str, state: str, freebsd: str) -> None:
    check(OPEN + steps + f"\n+0 %{{ assert tcpi_state == {state}, tcpi_state }}%\n")
    check(OPEN + steps + f"\n+0 %{{ assert tcpi_state == {freebsd}, tcpi_state }}%\n", kernel=FREEBSD)


def test_the_states_of_a_connection_being_opened() -> None:
    check(ACTIVE + "+0 %{ assert tcpi_state == TCP_SYN_SENT and tcpi_unacked == 1 }%\n")
    simultaneous = "+.1 < S 0:0(0) win 5792 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n"
    check(ACTIVE + simultaneous + "+0 %{ assert tcpi_state == TCP_SYN_RECV }%\n")


def test_the_constants_are_the_kernels() -> None:
    assert LINUX.constants["TCP_ESTABLISHED"] == 1
    assert LINUX.constants["TCP_CLOSING"] == 11
    assert [LINUX.constants[f"TCP_CA_{name}"] for name in ("Open", "Disorder", "CWR", "Recovery", "Loss")] == [0, 1, 2, 3, 4]
    assert LINUX.constants["TCPI_OPT_SYN_DATA"] == 32
    assert FREEBSD.constants["TCPS_ESTABLISHED"] == 4
    assert FREEBSD.constants["TCPS_TIME_WAIT"] == 10
    assert FREEBSD.constants["TCPI_OPT_TOE"] == 16


# --- units ---


def test_windows_are_segments_on_linux_and_octets_on_freebsd() -> None:
    sent = OPEN + "+0 write(4, ..., 4000) = 4000\n+0 > P. 1:4001(4000) ack 1\n+.1 < . 1:1(0) ack 2001 win 30000\n+0 "
    check(sent + "%{ assert (tcpi_snd_cwnd, tcpi_unacked, tcpi_snd_mss, tcpi_snd_ssthresh) == (11, 2, 1000, 0x7fffffff) }%")
    check(sent + "%{ assert (tcpi_snd_cwnd, tcpi_snd_mss, tcpi_snd_ssthresh) == (11000, 1000, 65535 << 14) }%", kernel=FREEBSD)


def test_small_segments_count_one_by_one() -> None:
    write = "+0 write(4, ..., 100) = 100\n"
    check(
        OPEN
        + "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n"
        + "".join(f"{write}+0 > P. {at}:{at + 100}(100) ack 1\n" for at in (1, 101, 201))
        + "+0 %{ assert tcpi_unacked == 3, tcpi_unacked }%\n"
        + "+.01 < . 1:1(0) ack 101 win 30000\n+0 %{ assert tcpi_unacked == 2 }%\n"
        + "+.01 < . 1:1(0) ack 301 win 30000\n+0 %{ assert tcpi_unacked == 0 }%\n"
        + "+0 close(4) = 0\n+0 > F. 301:301(0) ack 1\n+0 %{ assert tcpi_unacked == 1 }%\n"
    )


def test_times_are_microseconds() -> None:
    measured = "+.1 < S. 0:0(0) ack 1 win 5792 <mss 1000>\n+0 > . 1:1(0) ack 1\n+0 "
    check(ACTIVE + "+0 %{ assert (tcpi_rtt, tcpi_rttvar, tcpi_rto) == (0, 250000, 1000000) }%\n")
    check(ACTIVE + measured + "%{ assert (tcpi_rtt, tcpi_rttvar, tcpi_rto) == (100000, 50000, 1000000) }%\n")
    check(ACTIVE + measured + "%{ assert (tcpi_rtt, tcpi_rttvar, tcpi_rto) == (100000, 50000, 1000000) }%\n", kernel=FREEBSD)


def test_time_outs_are_counted_until_they_are_overcome() -> None:
    check(
        OPEN
        + """
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+0 %{ assert (tcpi_ca_state, tcpi_retransmits, tcpi_backoff, tcpi_total_retrans) == (TCP_CA_Open, 0, 0, 0) }%
+1 > P. 1:1001(1000) ack 1
+2 > P. 1:1001(1000) ack 1
+0 %{ assert (tcpi_ca_state, tcpi_retransmits, tcpi_backoff, tcpi_total_retrans) == (TCP_CA_Loss, 2, 2, 2) }%
+0 %{ assert (tcpi_snd_cwnd, tcpi_snd_ssthresh, tcpi_bytes_sent, tcpi_bytes_retrans) == (1, 2, 3000, 2000) }%
+.1 < . 1:1(0) ack 1001 win 30000
+0 %{ assert (tcpi_ca_state, tcpi_retransmits, tcpi_total_retrans) == (TCP_CA_Open, 0, 2) }%
"""
    )


def test_recovery_has_its_states() -> None:
    opened = OPEN.replace("<mss 1000>", "<mss 1000,sackOK,nop,nop>")
    check(
        opened
        + """
+0 write(4, ..., 8000) = 8000
+0 > P. 1:8001(8000) ack 1
+.1 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:2001>
+0 %{ assert (tcpi_ca_state, tcpi_sacked, tcpi_lost, tcpi_retrans) == (TCP_CA_Disorder, 1, 0, 0) }%
+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:3001>
+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 1001:4001>
+0 > . 1:1001(1000) ack 1
+0 %{ assert (tcpi_ca_state, tcpi_sacked) == (TCP_CA_Recovery, 3) }%
+.1 < . 1:1(0) ack 8001 win 30000
+0 %{ assert (tcpi_ca_state, tcpi_sacked, tcpi_unacked) == (TCP_CA_Open, 0, 0) }%
"""
    )


def test_recovery_without_sack_has_its_states() -> None:
    duplicate = "+0 < . 1:1(0) ack 1 win 30000\n"
    check(
        OPEN
        + "+0 write(4, ..., 8000) = 8000\n+0 > P. 1:8001(8000) ack 1\n"
        + duplicate
        + "+0 %{ assert tcpi_ca_state == TCP_CA_Disorder }%\n"
        + duplicate * 2
        + "+0 > . 1:1001(1000) ack 1\n"
        + "+0 %{ assert tcpi_ca_state == TCP_CA_Recovery }%\n"
    )


def test_ecn_has_its_bits_and_its_state() -> None:
    opened = OPEN.replace("< S 0:0(0)", "< SEW 0:0(0)").replace("> S. 0:0(0)", "> SE. 0:0(0)")
    check(opened + "+0 %{ assert tcpi_options == TCPI_OPT_ECN }%\n", kernel=FREEBSD)
    check(opened + "+0 %{ assert (tcpi_options, tcpi_ca_state) == (TCPI_OPT_ECN, TCP_CA_Open) }%\n")
    marked = "+0 <[ce] P. 1:101(100) ack 1 win 30000\n* > E. 1:1(0) ack 101\n"
    check(opened + marked + "+0 %{ assert tcpi_options == TCPI_OPT_ECN | TCPI_OPT_ECN_SEEN }%\n")
    told = "+0 write(4, ..., 4000) = 4000\n+0 >[ect0] P. 1:4001(4000) ack 1\n+.1 < E. 1:1(0) ack 1001 win 30000\n"
    check(opened + told + "+0 %{ assert (tcpi_ca_state, tcpi_delivered_ce, tcpi_delivered) == (TCP_CA_CWR, 1, 2) }%\n")


def test_probes_are_counted() -> None:
    check(
        OPEN.replace("ack 1 win 30000", "ack 1 win 0")
        + "+0 write(4, ..., 10) = 10\n+1 > . 1:2(1) ack 1\n+0 %{ assert tcpi_probes == 1 and tcpi_snd_wnd == 0 }%\n"
    )


# --- against the kernel ---

LINUX_PROFILE = StackConfig.linux()
ROOM = {"tcpi_rcv_wnd", "tcpi_rcv_wscale", "tcpi_rcv_ssthresh", "tcpi_snd_cwnd", "tcpi_snd_ssthresh"}
"""How much room each system offers, and how its congestion control (the kernel's is cubic) moves the window."""
CLOCK = 40_000
NEAR = {
    "tcpi_rto": 4_000 + CLOCK,  # it counts in ticks of 4 ms
    "tcpi_ato": 4_000,
    **dict.fromkeys(("tcpi_rtt", "tcpi_rttvar", "tcpi_min_rtt", "tcpi_rcv_rtt"), CLOCK),
    **dict.fromkeys(("tcpi_busy_time", "tcpi_rwnd_limited", "tcpi_sndbuf_limited"), 3 * CLOCK),
    **dict.fromkeys(("tcpi_last_data_sent", "tcpi_last_data_recv", "tcpi_last_ack_recv", "tcpi_total_rto_time"), 3 * CLOCK // 1000),
}
"""Its clock is real: by how much in its own unit a value may differ."""


class Comparison:
    """Hooks that keep what is told at each block."""

    def __init__(self) -> None:
        self.told: list[dict[str, int]] = []

    def command(self, text: str) -> None:
        raise AssertionError(text)

    def code(self, source: str, info: ConnectionInfo | None) -> None:
        assert info is not None
        self.told.append(LINUX.fields(info))


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
}


@pytest.mark.once
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_the_kernel_tells_the_same_of_the_same_exchange(script: str) -> None:
    parsed = parse("--tolerance_usecs=60000\n" + script)
    ours, theirs = Comparison(), Comparison()
    outcome = run_script(parsed, hooks=ours, config=LINUX_PROFILE)
    assert outcome.verdict is Verdict.PASSED, outcome
    with kernel_namespace() as namespace, ExitStack() as stack:
        write_sysctl("net.ipv4.tcp_ecn", "2", namespace=namespace.name)
        outcome = run_script(
            parsed, hooks=theirs, make_system=lambda addresses, mtu, _: KernelSystem(namespace, stack, addresses, mtu)
        )
    assert outcome.verdict is Verdict.PASSED, outcome
    assert len(ours.told) == len(theirs.told) > 1
    for told, expected in zip(ours.told, theirs.told, strict=True):
        equal = told.keys() - ROOM - NEAR.keys() - {"tcpi_delivery_rate"}
        assert {name: told[name] for name in equal} == {name: expected[name] for name in equal}
        assert {name: (told[name], expected[name]) for name, by in NEAR.items() if abs(told[name] - expected[name]) > by} == {}
        assert told["tcpi_delivery_rate"] * 3 // 4 <= expected["tcpi_delivery_rate"] * 2
