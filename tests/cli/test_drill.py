"""``userstack drill``: what it says of scripts that pass, fail and are skipped, and what it takes."""

import json
import os
import re
import signal
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.running import running, userstack
from userstack.cli.drillreport import DrillReport
from userstack.drill.outcome import Difference, Outcome, Seen, Verdict
from userstack.drill.suite import Case, Result

LISTEN = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 bind(3, ..., ...) = 0\n+0 listen(3, 1) = 0\n"
GOOD = LISTEN + "+0.1 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n"
BAD = LISTEN + "+0.1 < S 0:0(0) win 1000 <mss 1000>\n+0 > S. 0:0(0) ack 2 <mss 1460>\n"
OTHER = "`iptables -F`\n" + GOOD


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    for name, text in {"good": GOOD, "bad": BAD, "other": OTHER}.items():
        (tmp_path / f"{name}.pkt").write_text(text)
    return tmp_path


def test_a_directory_is_summed_up_and_a_mismatch_drawn(scripts: Path) -> None:
    done = userstack("drill", str(scripts), "--jobs", "1")
    out = done.stdout.decode()
    assert done.returncode == 1
    assert "1 passed, 1 failed, 1 skipped" in out.splitlines()[-1]
    assert "1 skipped: shell command iptables -F" in out
    assert f"{scripts / 'bad.pkt'}:5:" in out
    ladder = out[out.index("failed") :].splitlines()
    assert [line.split()[0] for line in ladder if line.lstrip().startswith(("expected", "got"))] == ["expected", "got"]
    assert any("◀─ S 0:0(0) win 1000 <mss 1000> ─" in line and line.split()[0] == "0.100000" for line in ladder)
    assert not any(str(scripts / "good.pkt") in line for line in ladder)


def test_on_a_terminal_the_ladder_fits_and_what_differs_is_marked() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=60, color_system="standard")
    outcome = Outcome(
        Verdict.FAILED, "", None, Difference("S. 0:0(0) ack 2", "S. 0:0(0) ack 1"), (Seen(0, ">", "S. 0:0(0) ack 1"),)
    )
    with console.capture() as capture:
        DrillReport(console, verbose=False).show(Result(Case(Path("a.pkt")), outcome, 0))
    reverse = re.findall(r"\x1b\[7[;\d]*m(.*?)\x1b", capture.get())
    assert reverse == ["2", "1"]
    plain = re.sub(r"\x1b\[[\d;]*m", "", capture.get()).splitlines()
    assert [line.split(maxsplit=1)[0] for line in plain] == ["failed", "seconds", "0.000000", "expected", "got"]
    assert len(plain[2]) < 60
    assert plain[2].endswith("─▶")


def test_the_exit_code_is_0_when_none_failed(scripts: Path) -> None:
    done = userstack("drill", str(scripts / "good.pkt"), str(scripts / "other.pkt"))
    assert (done.returncode, done.stderr) == (0, b"")


def test_verbose_shows_those_that_passed_too(scripts: Path) -> None:
    out = userstack("drill", "-v", str(scripts / "good.pkt")).stdout.decode()
    assert out.startswith(f"passed {scripts / 'good.pkt'}")
    assert "─ S. 0:0(0) ack 1 " in out


def test_json_is_one_object(scripts: Path) -> None:
    done = userstack("drill", "--json", "--variant", "ipv4,ipv6,ipv4-mapped", str(scripts))
    told = json.loads(done.stdout)
    assert (done.returncode, told["passed"], told["failed"], told["skipped"]) == (1, 3, 3, 3)
    assert told["reasons"] == {"shell command iptables -F": 3}
    bad = [one for one in told["scripts"] if one["verdict"] == "failed"]
    assert [(one["variant"], one["line"]) for one in bad] == [("ipv4", 5), ("ipv6", 5), ("ipv4-mapped-ipv6", 5)]
    assert all("ack 2" in one["expected"] and "ack 1" in one["got"] for one in bad)


def test_junit_is_written_beside_the_report(scripts: Path) -> None:
    done = userstack("drill", "--junit", str(scripts / "out.xml"), str(scripts))
    assert done.returncode == 1
    assert ET.parse(scripts / "out.xml").getroot().get("tests") == "3"


def test_a_symbol_of_the_command_line_reaches_the_script(scripts: Path) -> None:
    script = scripts / "defined.pkt"
    script.write_text(LISTEN.replace("listen(3, 1) = 0", "listen(3, 1) = RESULT"))
    assert userstack("drill", "-D", "RESULT=0", str(script)).returncode == 0
    assert userstack("drill", "-D", "RESULT=1", str(script)).returncode == 1
    assert b"constant RESULT" in userstack("drill", str(script)).stdout


def test_the_profile_of_the_command_line_counts(scripts: Path) -> None:
    script = scripts / "habits.pkt"
    syn = "+0 < S 0:0(0) win 1000 <mss 1000,sackOK,nop,nop,nop,wscale 7>\n"
    script.write_text(LISTEN + syn + "+0 > S. 0:0(0) ack 1 <mss 1460,nop,wscale 6,sackOK,eol,eol>\n")
    assert userstack("drill", "--profile", "freebsd", str(script)).returncode == 0
    assert userstack("drill", "--profile", "linux", str(script)).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "Missing argument"),
        (("absent.pkt",), "no script absent.pkt: there is no such file or directory"),
        (("--profile", "windows", "x"), "--profile is one of default, linux, freebsd, not 'windows'"),
        (("--variant", "ipv5", "x"), "--variant takes ipv4, ipv6, ipv4-mapped, not 'ipv5'"),
        (("-D", "1=2", "x"), "-D takes NAME=VALUE, not '1=2'"),
        (("-D", "NAME", "x"), "-D takes NAME=VALUE, not 'NAME'"),
        (("-j", "0", "x"), "'--jobs'"),
    ],
)
def test_wrong_arguments_get_one_line(arguments: tuple[str, ...], text: str) -> None:
    done = userstack("drill", *arguments)
    error = done.stderr.decode()
    assert done.returncode in (1, 2)
    assert text in error
    assert len(error.splitlines()) == 1


def test_a_junit_file_that_cannot_be_written_gets_one_line(scripts: Path) -> None:
    done = userstack("drill", "--junit", str(scripts / "absent" / "out.xml"), str(scripts / "good.pkt"))
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"userstack drill: cannot write {scripts}/absent/out.xml: No such file or directory"
    ]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_ends_scripts_that_would_go_on_for_ever(tmp_path: Path, jobs: str) -> None:
    """Every process of the terminal's gets SIGINT."""
    os.mkfifo(tmp_path / "begun")
    endless = f"{LISTEN}+0 %{{\nopen({str(tmp_path / 'begun')!r}, 'w').close()\nwhile True: pass\n}}%\n"
    (tmp_path / "a.pkt").write_text(endless)
    (tmp_path / "b.pkt").write_text(GOOD)
    with running("drill", "--jobs", jobs, str(tmp_path), prefix=["setsid"]) as ours:
        (tmp_path / "begun").read_bytes()
        os.killpg(ours.process.pid, signal.SIGINT)
        assert ours.process.wait(10) == 130
        assert ours.stderr.read() == b""


def test_ctrl_c_never_reaches_the_processes_that_run_scripts(tmp_path: Path) -> None:
    blocked = LISTEN + "+0 %{\nimport signal\nassert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])\n}%\n"
    for name in ("a", "b"):
        (tmp_path / f"{name}.pkt").write_text(blocked)
    assert userstack("drill", "--jobs", "2", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_whatever_is_in_a_script_and_its_name_can_be_shown(tmp_path: Path, encoding: str) -> None:
    script = os.fsencode(tmp_path) + b"/\xff\x1b[2J\xe2\x86\x92.pkt"
    odd = '+0 write(3, "\x1b[2J\x80\xff", 3) = 1 # \x1b\n'
    Path(os.fsdecode(script)).write_bytes((LISTEN + odd).encode("latin-1"))
    junit = tmp_path / "out.xml"
    done = userstack("drill", "--junit", str(junit), str(tmp_path), environment={"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"\x1b" not in done.stdout
    assert ET.parse(junit).getroot().get("failures") == "1"
