"""TCP_INFO: values against runs of the stack, and their meaning against what the kernel tells of the same exchange."""

import pytest

from tests.drill.running import OPEN, check_passes
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.tcpinfo import FREEBSD, LINUX, TcpInfo

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
