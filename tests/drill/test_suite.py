"""Many scripts at once: which are found, which settings they are run with, and that each has its own end."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from userstack.drill.junit import write_junit
from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.settings import Variant
from userstack.drill.suite import Case, Manner, find, run_case, run_suite
from userstack.errors import SetupError

LISTEN = """
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
"""
GOOD = LISTEN + "+0.1 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <...>\n"
BAD = LISTEN + "+0.1 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 2 <...>\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_scripts_are_found_in_their_order_and_once(tmp_path: Path) -> None:
    for name in ("b/2.pkt", "a.pkt", "b/1.pkt", "b/notes.txt", "b/c/3.pkt"):
        write(tmp_path / name, "")
    found = find([tmp_path / "b", tmp_path / "b" / "1.pkt", tmp_path / "b" / "notes.txt"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b/1.pkt", "b/2.pkt", "b/c/3.pkt", "b/notes.txt"]


def test_what_is_not_there_and_what_has_no_scripts_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"absent\.pkt: there is no such file"):
        find([tmp_path / "absent.pkt"])
    with pytest.raises(SetupError, match=r"none of its files ends in \.pkt"):
        find([tmp_path])


@pytest.mark.parametrize(
    ("text", "verdict", "message"),
    [
        (GOOD, Verdict.PASSED, ""),
        (BAD, Verdict.FAILED, "ack"),
        ("nonsense\n", Verdict.FAILED, ""),
        ("`iptables -F`\n" + GOOD, Verdict.SKIPPED, "shell command iptables"),
        ("`sysctl -w net.ipv4.tcp_unheard_of=1`\n" + GOOD, Verdict.SKIPPED, "sysctl net.ipv4.tcp_unheard_of"),
        (GOOD + "+0 `sysctl -w net.ipv4.tcp_sack=1`\n", Verdict.SKIPPED, "within a script"),
        (GOOD + "+0 `sysctl -w net.ipv4.tcp_pacing_ss_ratio=1`\n", Verdict.PASSED, ""),
        (GOOD + "+0 %{ assert tcpi_unheard_of == 1 }%\n", Verdict.SKIPPED, "TCP_INFO"),
        (GOOD + "+0 %{ assert 1 == 2, 'sums' }%\n", Verdict.FAILED, "sums"),
    ],
)
def test_each_script_has_its_end(tmp_path: Path, text: str, verdict: Verdict, message: str) -> None:
    outcome = run_case(Case(write(tmp_path / "one.pkt", text)), Manner()).outcome
    assert (outcome.verdict, message in outcome.message) == (verdict, True), outcome


@pytest.mark.parametrize("where", ["`sysctl -w {}`\n{}", "0 `sysctl -w {}`\n{}", "--init_scripts=set.sh\n{1}"])
def test_settings_before_the_first_event_make_the_system(tmp_path: Path, where: str) -> None:
    setting = "net.ipv4.tcp_window_scaling=0"
    script = LISTEN + "+.1 < S 0:0(0) win 1000 <mss 1000,nop,wscale 7>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n"
    write(tmp_path / "set.sh", f"sysctl -w {setting}\n")
    assert run_case(Case(write(tmp_path / "one.pkt", where.format(setting, script))), Manner()).outcome.verdict is Verdict.PASSED
    assert run_case(Case(write(tmp_path / "two.pkt", script)), Manner()).outcome.verdict is Verdict.FAILED


def test_a_script_that_takes_too_long_fails(tmp_path: Path) -> None:
    endless = GOOD + "+0 %{\nwhile True:\n  pass\n}%\n"
    outcome = run_case(Case(write(tmp_path / "one.pkt", endless)), Manner(time_limit=0.3)).outcome
    assert (outcome.verdict, outcome.message) == (Verdict.FAILED, "not done after 0.3 s of real time")


def test_a_file_that_is_no_text_fails(tmp_path: Path) -> None:
    (tmp_path / "one.pkt").write_bytes(b"\xff\xfe")
    outcome = run_case(Case(tmp_path / "one.pkt"), Manner()).outcome
    assert outcome.verdict is Verdict.FAILED


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_suite_gives_every_case_its_result(tmp_path: Path, jobs: int) -> None:
    cases = [
        Case(write(tmp_path / f"{number}.pkt", GOOD if number % 2 else BAD), variant) for number in range(4) for variant in Variant
    ]
    results = {result.case: result.outcome.verdict for result in run_suite(cases, Manner(), jobs)}
    assert results == {case: Verdict.PASSED if int(case.path.stem) % 2 else Verdict.FAILED for case in cases}


def test_a_script_that_kills_its_process_takes_no_other_down(tmp_path: Path) -> None:
    deadly = GOOD + "+0 %{\nimport os\nos._exit(1)\n}%\n"
    cases = [Case(write(tmp_path / f"{number}.pkt", deadly if number == 1 else GOOD)) for number in range(4)]
    results = {int(result.case.path.stem): result.outcome for result in run_suite(cases, Manner(), 2)}
    assert results.pop(1) == Outcome(Verdict.FAILED, "its process died")
    assert [outcome.verdict for outcome in results.values()] == [Verdict.PASSED] * 3


def test_junit_tells_every_end(tmp_path: Path) -> None:
    texts = {"good": GOOD, "bad": BAD, "other": "`iptables -F`\n" + GOOD, "odd": GOOD + "+0 %{ assert 0, chr(1) + '<&' }%\n"}
    cases = [Case(write(tmp_path / f"{name}.pkt", text)) for name, text in texts.items()]
    write_junit(list(run_suite(cases, Manner(), 1)), tmp_path / "junit.xml")
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "2", "1")
    ends = {case.get("name"): [child.tag for child in case] for case in suite}
    assert ends == {"good.pkt": [], "bad.pkt": ["failure"], "other.pkt": ["skipped"], "odd.pkt": ["failure"]}


def test_junit_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot write"):
        write_junit([], tmp_path / "absent" / "junit.xml")
