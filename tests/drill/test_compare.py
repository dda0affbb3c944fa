"""Every field of an outbound packet: a line that says what is sent passes, another one fails and names the field."""

import pytest

from tests.drill.running import OPEN, check_fails, check_passes, check_skipped
from userstack.config import StackConfig
from userstack.drill.flow import TimestampMap

HUNDRED = "+0 < P. 1:101(100) ack 1 win 30000\n"
DATA = OPEN + "+0 write(4, ..., 100) = 100\n"
ANSWERED = """
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
"""


@pytest.mark.parametrize(
    "line",
    [
        "P. 1:101(100) ack 1",
        "P. 1:101(100) ack 1 win 65535",
        "P. 1:101(100) ack 1 <...>",
        "[ttl 64] P. 1:101(100) ack 1",
        "[tos 0x00] P. 1:101(100) ack 1",
        "[noecn] P. 1:101(100) ack 1",
    ],
)
def test_what_is_sent_matches(line: str) -> None:
    check_passes(f"{DATA}+0 > {line}\n")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (". 1:101(100) ack 1", "flags: expected ., got P."),
        ("FP. 1:101(100) ack 1", "its FIN was not sent"),
        ("PE. 1:101(100) ack 1", "flags: expected PE., got P."),
        ("P. 2:102(100) ack 1", "seq: expected 2:102(100), got 1:101(100)"),
        ("P. 1:102(101) ack 1", "101:102 of it was not sent"),
        (". 1:1(0) ack 1", "seq: expected 1:1(0), got 1:101(100)"),
        ("P. 1:101(100) ack 2", "ack: expected 2, got 1"),
        ("P. 1:101(100)", "ack: expected none, got 1"),
        ("P. 1:101(100) ack 1 win 65534", "win: expected 65534, got 65535"),
        ("P. 1:101(100) ack 1 urg 1", "urg: expected 1, got 0"),
        ("P. 1:101(100) ack 1 <nop,nop,TS val 1 ecr 1>", "options: expected <nop,nop,TS val 1 ecr 1>, got <>"),
        ("[ttl 63] P. 1:101(100) ack 1", "TTL: expected 63, got 64"),
        ("[tos 0x10] P. 1:101(100) ack 1", "TOS: expected 0x10, got 0x00"),
        ("[ect0] P. 1:101(100) ack 1", "ECN: expected 2, got 0"),
        ("[ect01] P. 1:101(100) ack 1", "ECN: expected ect0 or ect1, got 0"),
    ],
)
def test_a_field_that_differs_is_named(line: str, complaint: str) -> None:
    check_fails(f"{DATA}+0 > {line}\n", complaint)


def test_the_text_is_compared_with_what_was_written() -> None:
    script = OPEN + '+0 write(4, "hello", 5) = 5\n'
    check_passes(script + "+0 > P. 1:6(5) ack 1\n")


def test_a_sequence_number_beyond_the_first_is_the_initial_ones() -> None:
    check_fails(ANSWERED + "+0 < S 9:9(0) win 30000 <mss 1000>\n+0 > S. 0:0(0) ack 9 <...>\n", "ack: expected 9, got 10")
    check_passes(ANSWERED + "+0 < S 9:9(0) win 30000 <mss 1000>\n+0 > S. 77:77(0) ack 10 <...>\n+0 < . 10:10(0) ack 78 win 9\n")


def test_numbers_wrap() -> None:
    check_passes(
        ANSWERED
        + """
+0 < S 4294967295:4294967295(0) win 30000 <mss 1000>
+0 > S. 0:0(0) ack 0 <...>
+0 < . 0:0(0) ack 1 win 30000
+0 accept(3, ..., ...) = 4
+0 < P. 0:3000(3000) ack 1 win 30000
+0 > . 1:1(0) ack 3000
+0 read(4, ..., 9000) = 3000
"""
    )


class TestOptions:
    SYN = ANSWERED + "+0 < S 0:0(0) win 30000 <mss 1000,sackOK,TS val 70 ecr 0,nop,wscale 7>\n"

    @pytest.mark.parametrize("options", ["<...>", "<mss 1460,sackOK,TS val 100 ecr 70,nop,wscale 7>"])
    def test_the_same_options_in_the_same_order_match(self, options: str) -> None:
        check_passes(f"{self.SYN}+0 > S. 0:0(0) ack 1 {options}\n")

    @pytest.mark.parametrize(
        "options",
        [
            "",
            "<mss 1460>",
            "<mss 1461,sackOK,TS val 100 ecr 70,nop,wscale 7>",
            "<mss 1460,sackOK,TS val 100 ecr 71,nop,wscale 7>",
            "<mss 1460,sackOK,TS val 100 ecr 70,nop,wscale 5>",
            "<sackOK,mss 1460,TS val 100 ecr 70,nop,wscale 7>",
            "<mss 1460,nop,nop,TS val 100 ecr 70,nop,wscale 7>",
            "<mss 1460,sackOK,TS val 100 ecr 70,nop,wscale 7,nop,nop,nop,nop>",
        ],
    )
    def test_others_do_not(self, options: str) -> None:
        check_fails(f"{self.SYN}+0 > S. 0:0(0) ack 1 {options}\n", "options: expected")

    def test_padding_is_as_long_as_the_script_has_it(self) -> None:
        freebsd = {"config": StackConfig.freebsd()}
        syn = ANSWERED + "+0 < S 0:0(0) win 30000 <mss 1000,sackOK,eol,eol>\n"
        check_passes(f"{syn}+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,eol,eol>\n", **freebsd)
        for options in ("<mss 1460,sackOK,eol,eol,eol,eol,eol,eol>", "<mss 1460,sackOK,eol,nop>"):
            check_fails(f"{syn}+0 > S. 0:0(0) ack 1 {options}\n", f"expected {options}, got <mss 1460,sackOK,eol,eol>", **freebsd)

    def test_the_systems_timestamps_become_the_scripts(self) -> None:
        script = (
            self.SYN
            + """
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 70,nop,wscale 7>
+.1 < . 1:1(0) ack 1 win 30000 <nop,nop,TS val 80 ecr 100>
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 100) = 100
"""
        )
        line = "+0 > P. 1:101(100) ack 1 <nop,nop,TS val {} ecr {}>\n"
        check_passes(script + line.format(200, 80))
        check_fails(script + line.format(200, 81), "options")
        check_passes("--tcp_ts_tick_usecs=1000\n" + script + line.format(200, 80))
        check_fails("--tcp_ts_tick_usecs=1000\n" + script + line.format(210, 80), "got <nop,nop,TS val 200 ecr 80>")

    def test_an_echo_that_comes_in_is_the_systems_own_value(self) -> None:
        """PAWS and the round-trip time would not take a foreign one: RTO = 0.3 s here, from one sample of 0.1 s."""
        check_passes(
            self.SYN
            + """
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 70,nop,wscale 7>
+.1 < . 1:1(0) ack 1 win 30000 <nop,nop,TS val 80 ecr 100>
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 100) = 100
+0 > P. 1:101(100) ack 1 <...>
+1 > P. 1:101(100) ack 1 <...>
"""
        )

    def test_sack_edges_are_mapped(self) -> None:
        check_passes(
            self.SYN.replace(",TS val 70 ecr 0,nop", ",nop,nop,nop")
            + """
+0 > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
+.1 < . 1:1(0) ack 1 win 30000
+0 accept(3, ..., ...) = 4
+0 < . 1001:2001(1000) ack 1 win 30000
+0 > . 1:1(0) ack 1 <nop,nop,sack 1001:2001>
"""
        )


class TestSegments:
    """What one line has as one packet the system sends as three of 1000 octets."""

    WRITTEN = OPEN + "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 write(4, ..., 2500) = 2500\n"

    @pytest.mark.parametrize(
        "lines",
        [
            ["P. 1:2501(2500) ack 1"],
            [". 1:2001(2000) ack 1", "P. 2001:2501(500) ack 1"],
            ["P. 1:2001(2000) ack 1", "P. 2001:2501(500) ack 1"],
            ["P. 1:1501(1500) ack 1", "P. 1501:2501(1000) ack 1"],
            [". 1:501(500) ack 1", ". 501:1001(500) ack 1", ". 1001:2001(1000) ack 1", "P. 2001:2501(500) ack 1"],
        ],
    )
    def test_the_stream_may_be_cut_otherwise(self, lines: list[str]) -> None:
        check_passes(self.WRITTEN + "".join(f"+0 > {line}\n" for line in lines))

    def test_but_not_strictly(self) -> None:
        check_fails(self.WRITTEN + "+0 > P. 1:2501(2500) ack 1\n", "seq: expected 1:2501(2500), got 1:1001(1000)", strict=True)
        script = self.WRITTEN + "+0 > . 1:1001(1000) ack 1\n+0 > . 1001:2001(1000) ack 1\n+0 > P. 2001:2501(500) ack 1\n"
        check_passes(script, strict=True)

    @pytest.mark.parametrize(
        ("line", "complaint"),
        [
            ("P. 1:2501(2500) ack 2", "ack: expected 2, got 1"),
            ("P. 1:2501(2500) ack 1 win 9", "win: expected 9"),
            ("P. 1:2501(2500) ack 1 <nop,nop,sackOK>", "options"),
            ("PE. 1:2501(2500) ack 1", "flags"),
            (". 1:2501(2500) ack 1", "flags: expected ., got P."),
            ("FP. 1:2501(2500) ack 1", "its FIN was not sent"),
            ("P. 1:2601(2600) ack 1", "2501:2601 of it was not sent"),
            ("P. 2:2501(2499) ack 1", "seq"),
        ],
    )
    def test_all_else_must_be_right_in_every_piece(self, line: str, complaint: str) -> None:
        check_fails(f"{self.WRITTEN}+0 > {line}\n", complaint)

    def test_where_line_and_packet_are_the_same_stretch_psh_counts(self) -> None:
        lines = "+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1\n"
        check_fails(self.WRITTEN + lines, "flags: expected P., got .")

    def test_pieces_must_come_at_the_time_of_the_line(self) -> None:
        """The window lets 1500 octets out, the rest a tenth of a second later."""
        script = self.WRITTEN.replace("ack 1 win 30000\n+0 accept", "ack 1 win 2000\n+0 accept")
        check_fails(script + "+0 > P. 1:2501(2500) ack 1\n", "2001:2501 of it was not sent")
        check_passes(script + "+0 > P. 1:2001(2000) ack 1\n+.1 < . 1:1(0) ack 2001 win 9000\n+0 > P. 2001:2501(500) ack 1\n")

    def test_a_fin_may_ride_on_the_text_or_come_after_it(self) -> None:
        apart = OPEN + "+0 write(4, ..., 500) = 500\n+0 close(4) = 0\n"
        check_passes(apart + "+0 > P. 1:501(500) ack 1\n+0 > F. 501:501(0) ack 1\n")
        check_passes(apart + "+0 > FP. 1:501(500) ack 1\n")
        check_fails(OPEN + HUNDRED + "+.04 > F. 1:1(0) ack 101\n", "flags: expected F., got .")
        check_fails(apart + "+0 > P. 1:501(500) ack 1\n+0 > . 501:501(0) ack 1\n", "flags: expected ., got F.")
        together = OPEN.replace("win 30000\n+0 accept", "win 0\n+0 accept") + "+0 write(4, ..., 500) = 500\n+0 close(4) = 0\n"
        opened = together + "+.1 < . 1:1(0) ack 1 win 1000\n"
        check_passes(opened + "+0 > FP. 1:501(500) ack 1\n")
        check_passes(opened + "+0 > P. 1:501(500) ack 1\n+0 > F. 501:501(0) ack 1\n")
        check_fails(opened + "+0 > P. 1:501(500) ack 1\n+0 > F. 501:501(0) ack 1\n", "flags", strict=True)


def test_a_line_for_which_there_is_no_connection_fails() -> None:
    check_fails(" 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 > S 0:0(0) <...>\n", "no connection")


def test_outbound_flow_labels_and_icmp_are_not_there() -> None:
    check_skipped(DATA + "+0 > [flowlabel 0x1] P. 1:101(100) ack 1\n", "flow label of what goes out")
    check_skipped(DATA + "+0 > icmp unreachable port_unreachable\n", "ICMP that goes out")


def test_a_packet_that_cannot_be_built_fails() -> None:
    check_fails(OPEN + "+0 < . 1:65531(65530) ack 1 win 9\n", "packet: it cannot be built")


def test_timestamps_map_by_the_pairs_seen_and_else_by_their_distance_from_the_first() -> None:
    known = TimestampMap()
    assert known.to_live(5) == 5
    known.learn(100, 70_000)
    known.learn(200, 70_090)
    assert [known.to_live(value) for value in (100, 200, 150, 0)] == [70_000, 70_090, 70_050, 0]
    assert known.to_script(70_001) == 101
