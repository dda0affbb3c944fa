"""TCP_INFO: values against runs of the stack, and their meaning against what the kernel tells of the same exchange."""

import socket
import struct
from contextlib import ExitStack

import pytest

from tests.drill.running import OPEN, check_passes, check_skipped
from tests.support.kernel_system import KernelSocket, KernelSystem
from tests.support.netns import KernelNamespace, kernel_namespace
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.outcome import Verdict
from userstack.drill.parser import parse
from userstack.drill.run import run_script
from userstack.drill.system import Address, DrillSocket
from userstack.drill.tcpinfo import FREEBSD, LINUX, TcpInfo
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


def test_with_ecn_linux_tells_what_is_not_known() -> None:
    opened = OPEN.replace("< S 0:0(0)", "< SEW 0:0(0)").replace("> S. 0:0(0)", "> SE. 0:0(0)")
    check(opened + "+0 %{ assert tcpi_options == TCPI_OPT_ECN }%\n", kernel=FREEBSD)
    check_skipped(opened + "+0 %{ assert tcpi_options == 8 }%\n", "tcpi_options of TCP_INFO", hooks=CodeBlocks())
    check_skipped(opened + "+0 %{ assert tcpi_ca_state == 0 }%\n", "tcpi_ca_state of TCP_INFO", hooks=CodeBlocks())


def test_probes_are_counted() -> None:
    check(
        OPEN.replace("ack 1 win 30000", "ack 1 win 0")
        + "+0 write(4, ..., 10) = 10\n+1 > . 1:2(1) ack 1\n+0 %{ assert tcpi_probes == 1 and tcpi_snd_wnd == 0 }%\n"
    )


# --- against the kernel ---

RAW = struct.Struct("=8B24I4Q6I4Q2I2Q3I2I")
FIELDS = """
    state ca_state retransmits probes backoff options wscales flags rto ato snd_mss rcv_mss unacked sacked lost retrans fackets
    last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss
    reordering rcv_rtt rcv_space total_retrans pacing_rate max_pacing_rate bytes_acked bytes_received segs_out segs_in
    notsent_bytes min_rtt data_segs_in data_segs_out delivery_rate busy_time rwnd_limited sndbuf_limited delivered delivered_ce
    bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd
"""
NOT_COMPARED = {"tcpi_rto", "tcpi_rtt", "tcpi_rttvar", "tcpi_rcv_wnd", "tcpi_rcv_wscale", "tcpi_snd_cwnd"}
"""Real time, how much room each system offers, and how its congestion window grows."""


class TellingSocket(KernelSocket):
    """A socket of the kernel that can be asked for its raw TCP_INFO; the last one made is the one asked."""

    last: socket.socket

    def __init__(self, sock: socket.socket, stack: ExitStack) -> None:
        super().__init__(sock, stack)
        TellingSocket.last = sock

    def accept(self) -> tuple[DrillSocket, Address]:
        sock, address = self._sock.accept()
        return TellingSocket(sock, self._stack), address


class TellingSystem(KernelSystem):
    """The kernel, with such sockets."""

    def __init__(self, namespace: KernelNamespace, stack: ExitStack, addresses: list[str], mtu: int) -> None:
        super().__init__(namespace, stack, addresses, mtu)
        self.sockets = namespace, stack

    def socket(self, family: int) -> DrillSocket:
        namespace, stack = self.sockets
        return TellingSocket(namespace.socket(family), stack)


def told_by_the_kernel() -> dict[str, int]:
    """Its TCP_INFO now."""
    raw = TellingSocket.last.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, RAW.size)
    told = {f"tcpi_{name}": value for name, value in zip(FIELDS.split(), RAW.unpack(raw), strict=True)}
    return told | {"tcpi_snd_wscale": told["tcpi_wscales"] & 15, "tcpi_rcv_wscale": told["tcpi_wscales"] >> 4}


class Comparison:
    """Hooks that keep what is told at each block."""

    def __init__(self, *, kernel: bool) -> None:
        self.kernel = kernel
        self.told: list[dict[str, int]] = []

    def command(self, text: str) -> None:
        raise AssertionError(text)

    def code(self, source: str, info: ConnectionInfo | None, segments: int) -> None:
        assert info is not None
        self.told.append(told_by_the_kernel() if self.kernel else LINUX.fields(info, segments))


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
    + "+0 < F. 1:1(0) ack 1 win 30000\n* > . 1:1(0) ack 2\n"
    + TELL
    + "+0 shutdown(4, SHUT_WR) = 0\n+0 > F. 1:1(0) ack 2\n"
    + TELL
)


@pytest.mark.parametrize("script", [WITH_TIMESTAMPS, A_CLIENT, CLOSED_BY_THE_PEER])
def test_the_kernel_tells_the_same_of_the_same_exchange(script: str) -> None:
    ours, theirs = Comparison(kernel=False), Comparison(kernel=True)
    parsed = parse("--tolerance_usecs=30000\n" + script)
    outcome = run_script(parsed, hooks=ours)
    assert outcome.verdict is Verdict.PASSED, outcome
    with kernel_namespace() as namespace, ExitStack() as stack:
        outcome = run_script(
            parsed, hooks=theirs, make_system=lambda addresses, mtu, _: TellingSystem(namespace, stack, addresses, mtu)
        )
    assert outcome.verdict is Verdict.PASSED, outcome
    assert len(ours.told) == len(theirs.told)
    for told, expected in zip(ours.told, theirs.told, strict=True):
        compared = told.keys() - NOT_COMPARED
        assert {name: told[name] for name in compared} == {name: expected[name] for name in compared}
