"""The Python of scripts: what it knows, what it shares, and how it fails."""

import pytest

from tests.drill.running import OPEN, check_fails, check_passes, check_skipped, run
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.outcome import Difference, Verdict
from userstack.drill.tcpinfo import FREEBSD

LINES = OPEN.count("\n")


def test_a_block_that_holds_passes_and_sees_the_connection_as_it_is_at_its_time() -> None:
    check_passes(
        OPEN
        + """
+0 %{ assert tcpi_unacked == 0 and tcpi_state == TCP_ESTABLISHED }%
+0 write(4, ..., 3000) = 3000
+0 %{ assert tcpi_unacked == 3, tcpi_unacked }%
+0 > . 1:1001(1000) ack 1
+0 > . 1001:2001(1000) ack 1
+0 > P. 2001:3001(1000) ack 1
+.1 < . 1:1(0) ack 1001 win 30000
+0 %{ assert tcpi_unacked == 2, tcpi_unacked }%
""",
        hooks=CodeBlocks(),
    )


def test_blocks_share_their_variables_functions_and_imports() -> None:
    check_passes(
        OPEN
        + """
+0 %{
import math
before = tcpi_snd_cwnd
def grown(): return tcpi_snd_cwnd - before
}%
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+.1 < . 1:1(0) ack 1001 win 30000
+0 %{ assert grown() == 1 and math.floor(1.5) == 1 and [tcpi_snd_cwnd for _ in "x"] == [before + 1] }%
""",
        hooks=CodeBlocks(),
    )


def test_two_scripts_share_nothing() -> None:
    check_passes(OPEN + "+0 %{ mine = 1 }%\n", hooks=CodeBlocks())
    check_fails(OPEN + "+0 %{ mine }%\n", "code: mine: NameError: name 'mine' is not defined", hooks=CodeBlocks())


def test_a_variable_of_the_script_hides_a_field() -> None:
    check_passes(OPEN + "+0 %{ tcpi_rto = 5 }%\n+0 %{ assert tcpi_rto == 5 }%\n", hooks=CodeBlocks())


def test_an_assertion_that_fails_says_where_why_and_what_was_told() -> None:
    script = OPEN + '+0 %{\n# a comment\nassert tcpi_snd_cwnd == 7, "wrong window"\n}%\n'
    outcome = check_fails(script, "code: assert tcpi_snd_cwnd == 7", hooks=CodeBlocks())
    assert outcome.message.endswith(": AssertionError: wrong window")
    assert outcome.difference == Difference('assert tcpi_snd_cwnd == 7, "wrong window"', "tcpi_snd_cwnd = 10")
    assert outcome.place is not None
    assert outcome.place.line == LINES + 3


def test_an_assertion_behind_the_braces_is_told_with_its_line() -> None:
    outcome = check_fails(OPEN + "+0 %{ x = 1\n      assert x == 2 }%\n", "code: assert x == 2: AssertionError", hooks=CodeBlocks())
    assert outcome.place is not None
    assert outcome.place.line == LINES + 2


def test_an_assertion_in_a_function_of_another_block_fails_here() -> None:
    script = OPEN + "+0 %{ def check(): assert False, 'never' }%\n+0 %{ check() }%\n"
    outcome = check_fails(script, "AssertionError: never", hooks=CodeBlocks())
    assert outcome.place is not None
    assert outcome.place.line == LINES + 2


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("1 / 0", "code: 1 / 0: ZeroDivisionError: division by zero"),
        ("raise ValueError", "code: raise ValueError: ValueError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("exit()", "SystemExit: None"),
        ("def f(): f()\nf()", "RecursionError"),
        ("unknown", "NameError: name 'unknown' is not defined"),
        ("if x\ny (", "SyntaxError: expected ':'"),
        ("x = (", "SyntaxError: '(' was never closed"),
        ("(" * 300, "code: "),
        ("x = '\\0'", None),
        ("", None),
    ],
)
def test_whatever_a_block_raises_fails_with_its_text(code: str, complaint: str | None) -> None:
    script = OPEN + f"+0 %{{\n{code}\n}}%\n"
    if complaint is None:
        check_passes(script, hooks=CodeBlocks())
    else:
        check_fails(script, complaint, hooks=CodeBlocks())


def test_a_syntax_error_is_placed() -> None:
    outcome = run(OPEN + "+0 %{\nx = 1\nif x\n}%\n", hooks=CodeBlocks())
    assert outcome.verdict is Verdict.FAILED
    assert outcome.place is not None
    assert outcome.place.line == LINES + 3


def test_what_is_not_known_skips_the_script() -> None:
    check_skipped(OPEN + "+0 %{ assert tcpi_no_such_thing }%\n", "tcpi_no_such_thing of TCP_INFO", hooks=CodeBlocks())
    check_skipped(OPEN + "+0 %{ assert tcpi_ca_state == 0 }%\n", "tcpi_ca_state of TCP_INFO", hooks=CodeBlocks(FREEBSD))


def test_what_is_not_known_and_not_asked_for_does_no_harm() -> None:
    check_passes(OPEN + "+0 %{ assert tcpi_rto or tcpi_no_such_thing }%\n", hooks=CodeBlocks())


def test_without_a_connection_there_is_nothing_to_tell() -> None:
    script = " 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 "
    check_skipped(script + "%{ assert tcpi_state }%", "TCP_INFO of a socket without a connection", hooks=CodeBlocks())
    check_passes(script + "%{ assert 1 }%", hooks=CodeBlocks())


def test_what_a_block_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    check_passes(OPEN + "+0 %{ print(tcpi_snd_cwnd) }%\n", hooks=CodeBlocks())
    assert capsys.readouterr() == ("", "10\n")


def test_a_runner_without_hooks_skips() -> None:
    check_skipped(OPEN + "+0 %{ assert True }%\n", "code block")
