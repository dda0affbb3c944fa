"""The runner on whole scripts: times, connections, both opens, the end of a script."""

import pytest

from tests.drill.running import OPEN, check_fails, check_passes, check_skipped, run
from userstack.config import StackConfig
from userstack.drill.outcome import Difference, Verdict
from userstack.sim import VirtualHost


def test_a_passive_open_a_transfer_each_way_and_the_close() -> None:
    check_passes(
        OPEN
        + """
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+.1 < . 1:1(0) ack 1001 win 30000
+0 < P. 1:501(500) ack 1001 win 30000
+0 read(4, ..., 1000) = 500
+.04 > . 1001:1001(0) ack 501
+0 close(4) = 0
+0 > F. 1001:1001(0) ack 501
+0 < F. 501:501(0) ack 1002 win 30000
+0 > . 1002:1002(0) ack 502
"""
    )


def test_an_active_open_that_blocks() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = 0
+0 > S 0:0(0) <...>
+.1 < S. 0:0(0) ack 1 win 5792 <mss 1460>
+0 > . 1:1(0) ack 1
"""
    )


def test_a_simultaneous_open() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+.1 < S 700:700(0) win 5792 <mss 1000>
+0 > S. 0:0(0) ack 701 <...>
+.1 < . 701:701(0) ack 1 win 5792
+0 connect(3, ..., ...) = 0
+0 write(3, ..., 100) = 100
+0 > P. 1:101(100) ack 701
"""
    )


def test_a_time_outside_the_tolerance_fails_and_one_inside_does_not() -> None:
    script = OPEN + "+0 < P. 1:501(500) ack 1 win 30000\n"
    check_passes(script + "+.037 > . 1:1(0) ack 501\n")
    check_passes(script + "+.044 > . 1:1(0) ack 501\n")
    check_fails(script + "+.046 > . 1:1(0) ack 501\n", "packet: expected at 0.046000, but it happened at 0.040000")
    check_fails(script + "+.030 > . 1:1(0) ack 501\n", "packet: expected at 0.030000, but none was sent")
    check_passes("--tolerance_usecs=10000\n" + script + "+.030 > . 1:1(0) ack 501\n")
    check_passes("--tolerance_percent=20\n" + script + "+.035 > . 1:1(0) ack 501\n")


@pytest.mark.parametrize("when", ["*", "+.03~+.05", "+0~+.05", "0.04~0.06", "0.04"])
def test_ranges_absolute_times_and_any_time(when: str) -> None:
    check_passes(OPEN + f"+0 < P. 1:501(500) ack 1 win 30000\n{when} > . 1:1(0) ack 501\n")


def test_a_relative_time_counts_from_when_the_event_before_was_done() -> None:
    check_passes(OPEN + "+0 < P. 1:501(500) ack 1 win 30000\n+0~+.1 > . 1:1(0) ack 501\n0.04 read(4, ..., 500) = 500\n")


def test_the_clock_of_absolute_times_begins_with_the_first_event() -> None:
    check_passes(OPEN.replace(" 0 socket", "5.0 socket") + "5.5 write(4, ..., 10) = 10\n5.5 > P. 1:11(10) ack 1\n")


def test_a_call_whose_time_has_gone_by_fails() -> None:
    check_fails(
        OPEN + "+.1 write(4, ..., 10) = 10\n0.05 > P. 1:11(10) ack 1\n", "expected at 0.050000, but it happened at 0.100000"
    )
    check_fails(OPEN + "+.1 write(4, ..., 10) = 10\n0.05 close(4) = 0\n", "event: expected at 0.050000")


def test_a_packet_that_no_line_has_fails_at_the_next_line_that_looks() -> None:
    outcome = check_fails(OPEN + "+0 write(4, ..., 10) = 10\n+0 close(4) = 0\n+0 > F. 11:11(0) ack 1\n", "seq")
    assert outcome.difference == Difference("F. 11:11(0) ack 1", "P. 1:11(10) ack 1 win 65535")


def test_a_packet_that_no_line_has_fails_at_the_end_if_it_was_not_the_last_events() -> None:
    check_passes(OPEN + "+0 write(4, ..., 10) = 10\n")
    check_fails(OPEN + "+0 write(4, ..., 10) = 10\n+.1 read(3, ..., 1) = -1 ENOTCONN\n", "that the script does not have")
    part = OPEN + "+0 write(4, ..., 10) = 10\n+0 > P. 1:10(9) ack 1\n"
    check_fails(part, "the rest of one was sent at 0.000000")
    check_fails(part + "+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 5\n", "the rest of one was sent at 0.000000")


def test_the_ladder_has_what_happened_in_the_scripts_numbers() -> None:
    outcome = run(OPEN + "+.5 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1\n")
    assert outcome.verdict is Verdict.FAILED
    *_, syn, answer, ack, _, write, data = outcome.seen
    assert [(one.time, one.arrow) for one in (syn, answer, ack, data)] == [(0, "<"), (0, ">"), (0, "<"), (500_000_000, ">")]
    assert syn.text == "S 0:0(0) win 30000 <mss 1000>"
    assert answer.text.startswith("S. 0:0(0) ack 1 win 65535 <mss 1460")
    assert data.text == "P. 1:11(10) ack 1 win 65535"
    assert "write(4, ..., 10) = 10" in write.text


def test_icmp_reaches_the_connection_that_it_quotes() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = -1 ECONNREFUSED (Connection refused)
+0 > S 0:0(0) <...>
+.1 < icmp unreachable port_unreachable [0:0(0)]
"""
    )


def test_a_connection_made_later_is_the_one_under_test() -> None:
    check_passes(
        OPEN
        + """
+0 listen(3, 2) = 0
+0 < S 0:0(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 1 <...>
+0 < . 1:1(0) ack 1 win 30000
+0 accept(3, ..., ...) = 5
+0 write(5, ..., 10) = 10
+0 > P. 1:11(10) ack 1
"""
    )


def test_ports_choose_between_connections() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 2) = 0
+0 < 1001 > 8080 S 0:0(0) win 30000 <mss 1000>
+0 > 8080 > 1001 S. 0:0(0) ack 1 <...>
+0 < 1002 > 8080 S 500:500(0) win 30000 <mss 1000>
+0 > 8080 > 1002 S. 0:0(0) ack 501 <...>
+0 < 1002 > 8080 . 501:501(0) ack 1 win 30000
+0 < 1001 > 8080 . 1:1(0) ack 1 win 30000
+0 accept(3, ..., ...) = 4
+0 accept(3, ..., ...) = 5
+0 write(4, ..., 10) = 10
+0 write(5, ..., 20) = 20
+0 > 8080 > 1001 P. 1:21(20) ack 1
+0 > 8080 > 1002 P. 1:11(10) ack 501
"""
    )


def test_ports_choose_between_listeners() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, {sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("0.0.0.0")}, 16) = 0
+0 listen(3, 10) = 0
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
+0 bind(4, {sa_family=AF_INET, sin_port=htons(9090), sin_addr=inet_addr("0.0.0.0")}, 16) = 0
+0 listen(4, 10) = 0
+0 < 30000 > 8080 S 0:0(0) win 32792 <mss 1000>
+0 > 8080 > 30000 S. 0:0(0) ack 1 <mss 1460>
+0 < 30000 > 8080 . 1:1(0) ack 1 win 32792
+0 < 30001 > 9090 S 0:0(0) win 32792 <mss 1000>
+0 > 9090 > 30001 S. 0:0(0) ack 1 <mss 1460>
+0 < 30001 > 9090 . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 5
+0 accept(4, ..., ...) = 6
+0 write(5, ..., 10) = 10
+0 > 8080 > 30000 P. 1:11(10) ack 1
+0 write(6, ..., 20) = 20
+0 > 9090 > 30001 P. 1:21(20) ack 1
"""
    )


def test_ports_choose_between_a_connection_that_was_opened_and_one_that_comes_in() -> None:
    check_passes(
        """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 10) = 0
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(4, {sa_family=AF_INET, sin_port=htons(9999), sin_addr=inet_addr("192.0.2.1")}, 16) = -1 EINPROGRESS
+0 > S 0:0(0) <...>
+0 < S. 0:0(0) ack 1 win 32792 <mss 1000>
+0 > . 1:1(0) ack 1
+0 < 30000 > 8080 S 0:0(0) win 32792 <mss 1000>
+0 > 8080 > 30000 S. 0:0(0) ack 1 <mss 1460>
+0 < 30000 > 8080 . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 5
+0 write(5, ..., 10) = 10
+0 > 8080 > 30000 P. 1:11(10) ack 1
+0 write(4, ..., 10) = 10
+0 > 40000 > 9999 P. 1:11(10) ack 1
"""
    )


def test_what_is_not_there_is_skipped_with_its_reason() -> None:
    check_skipped(" 0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3\n", "socket type SOCK_DGRAM")
    check_skipped(" 0 mmap(...) = 3\n", "system call mmap")
    check_skipped(OPEN + "+0 setsockopt(4, SOL_SOCKET, SO_ZEROCOPY, [1], 4) = 0\n", "setsockopt SOL_SOCKET SO_ZEROCOPY")
    check_skipped("--udp_encaps=1\n" + OPEN, "option --udp_encaps")
    check_skipped(OPEN + "+0 `true`\n", "command true within the script")
    check_skipped(OPEN + "+0 %{ assert True }%\n", "code block")


def test_a_fault_of_the_runner_is_a_failure_that_says_where() -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no such thing")

    outcome = run(OPEN, make_system=broken)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.message.startswith("internal: ZeroDivisionError: no such thing (test_runner.py:")


def test_a_packet_that_is_none_fails_where_it_was_sent() -> None:
    class Broken(VirtualHost):
        def take(self) -> list[tuple[int, bytes]]:
            return [(time, packet[:-1] + bytes([packet[-1] ^ 1])) for time, packet in super().take()]

    def make(addresses: list[str], mtu: int, config: StackConfig) -> Broken:
        return Broken(addresses, mtu=mtu, config=config)

    outcome = check_fails(OPEN, "the system sent a packet that is none: wrong TCP checksum", make_system=make)
    assert outcome.place is not None
    assert outcome.place.line == 5
