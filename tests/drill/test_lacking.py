"""What the system does that a script was written for and userstack does not: such a script is skipped, and no other."""

import pytest

from tests.drill.running import OPEN, check_fails, check_passes, check_skipped
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.lacking import NOTHING, Lacking, lacking
from userstack.drill.shell import Setting

LINUX = lacking("linux", [])
SACKING = OPEN.replace("<mss 1000>", "<mss 1000,sackOK,nop,nop>")
WRITTEN = "+0 write(4, ..., 4000) = 4000\n+0 > P. 1:4001(4000) ack 1\n"
DUPLICATE = "+0 < . 1:1(0) ack 1 win 30000\n"
LISTENING = OPEN[: OPEN.index("+0 < S")]


def test_what_a_system_does_follows_from_its_settings() -> None:
    assert lacking("default", []) == NOTHING
    assert lacking("freebsd", []) == Lacking("FreeBSD", recovery=True)
    assert Lacking("Linux", recovery=True, pushes=True, tail_probes=True) == LINUX
    assert not lacking("linux", [Setting("net.ipv4.tcp_early_retrans", "0")]).tail_probes


def test_a_tail_loss_probe_skips_the_script() -> None:
    script = SACKING + WRITTEN + "+.2~+.25 > P. 3001:4001(1000) ack 1\n"
    check_skipped(script, "tail loss probes, as Linux sends them", lacking=LINUX)
    check_fails(script, "packet: expected at 0.200000~0.250000, but none was sent")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("+.05 > P. 1:4001(4000) ack 1", "but it happened at 0.000000"),
        ("+0 > P. 1:3001(3000) ack 1\n+0 > . 4001:4001(0) ack 1", "seq: expected 4001:4001(0), got 3001:4001(1000)"),
        ("+0 > P. 1:4001(4000) ack 1\n+0 > P. 3001:4001(1000) ack 1", "but none was sent"),
    ],
)
def test_what_is_sent_for_the_first_time_or_at_once_again_is_no_probe(line: str, complaint: str) -> None:
    check_fails(SACKING + "+0 write(4, ..., 4000) = 4000\n" + line, complaint, lacking=LINUX)


def test_without_sack_there_are_no_tail_loss_probes() -> None:
    script = OPEN + WRITTEN + "+.2~+.25 > P. 3001:4001(1000) ack 1\n"
    check_fails(script, "packet: expected at 0.200000~0.250000, but none was sent", lacking=LINUX)


def test_what_follows_on_duplicate_acknowledgments_is_loss_recovery() -> None:
    script = OPEN + WRITTEN + DUPLICATE * 2 + "+0 > . 1:1001(1000) ack 1\n"
    check_skipped(script, "loss recovery as Linux has it", lacking=LINUX)
    check_fails(script, "packet: expected at 0.000000, but none was sent")


def test_what_follows_on_sacks_is_loss_recovery() -> None:
    script = SACKING + WRITTEN + "+0 < . 1:1(0) ack 1 win 30000 <nop,nop,sack 3001:4001>\n+.03 > . 1:1001(1000) ack 1\n"
    check_skipped(script, "loss recovery as FreeBSD has it", lacking=lacking("freebsd", []))


def test_what_an_acknowledgment_of_something_sent_again_brings_is_loss_recovery() -> None:
    again = "+1 > . 1:1001(1000) ack 1\n+0 < . 1:1(0) ack 1001 win 30000\n"
    script = OPEN + WRITTEN + again + "+0 > . 2001:3001(1000) ack 1\n"
    check_skipped(script, "loss recovery as Linux has it", lacking=LINUX)


def test_a_retransmission_timeout_alone_is_none() -> None:
    script = OPEN + WRITTEN + "+1 > . 1:1001(1000) ack 1\n+1 > . 1:1001(1000) ack 1\n"
    check_fails(script, "packet: expected at 2.000000, but", lacking=LINUX)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("+0 > . 1:1001(1000) ack 2", "ack: expected 2, got 1"),
        ("+0 > . 1:1001(1000) ack 1 win 7", "win: expected 7"),
        ("+0 > . 1:1001(1000) ack 1 <nop,nop,TS val 1 ecr 2>", "options: expected"),
        ("+0 > E. 1:1001(1000) ack 1", "flags: expected E., got ."),
        ("+0 > . 5001:6001(1000) ack 1", "seq: expected 5001:6001(1000)"),
        ("+0 > . 1:1002(1001) ack 1", "1001:1002 of it was not sent"),
        ("+0 > . 2:1001(999) ack 1", "seq: expected 2:1001(999)"),
        ("+0 read(4, ..., 10) = 10", "read would block"),
    ],
)
def test_loss_recovery_is_no_excuse_for_anything_else(line: str, complaint: str) -> None:
    check_fails(OPEN + WRITTEN + DUPLICATE * 3 + line, complaint, lacking=LINUX)


def test_linux_pushes_in_the_middle_of_a_stream() -> None:
    script = OPEN + "+0 write(4, ..., 4000) = 4000\n+0 > . 1:1001(1000) ack 1\n+0 > P. 1001:2001(1000) ack 1\n"
    check_passes(script + "+0 > . 2001:3001(1000) ack 1\n+0 > P. 3001:4001(1000) ack 1\n", lacking=LINUX)
    check_fails(script + "+0 > . 2001:3001(1000) ack 1\n+0 > . 3001:4001(1000) ack 1\n", "expected ., got P.", lacking=LINUX)
    check_fails(script, "flags: expected P., got .", lacking=LINUX, strict=True)
    check_fails(OPEN.replace("> S. 0:0", "> SP. 0:0"), "flags: expected SP., got S.", lacking=LINUX)
    check_fails(script, "flags: expected P., got .")


def test_code_is_excused_for_what_loss_recovery_decides() -> None:
    script = OPEN + WRITTEN + DUPLICATE * 3 + "+0 > . 1:1001(1000) ack 1\n+0 "
    hooks = {"lacking": LINUX}
    check_skipped(script + "%{ assert tcpi_snd_cwnd == 7 }%", "loss recovery as Linux has it", hooks=CodeBlocks(), **hooks)
    check_fails(script + "%{ assert tcpi_snd_mss == 7 }%", "AssertionError", hooks=CodeBlocks(), **hooks)
    check_fails(OPEN + "+0 %{ assert tcpi_snd_cwnd == 7 }%", "AssertionError", hooks=CodeBlocks(), **hooks)
