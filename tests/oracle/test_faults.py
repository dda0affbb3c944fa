"""Deliberate faults in a copy of the stack, a line or two each: the oracle finds every one.

Where the source no longer holds the text that a fault replaces, its test fails and says so: the fault is to be written anew.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parent.parent.parent
BEING_WRITTEN = shutil.ignore_patterns("*.pyc.*")
"""What another process has just compiled goes by such a name for a moment."""


class Fault(NamedTuple):
    """``old`` becomes ``new`` in a file of userstack/tcp; it shows in the place named."""

    name: str
    file: str
    old: str
    new: str
    place: str


ARRIVES = "arrives.py"
FAULTS = (
    Fault(
        "a RST one octet off is believed",
        ARRIVES,
        "if segment.seq != tcb.rcv_nxt and not tcb.config.insecure_rst:",
        "if segment.seq - tcb.rcv_nxt not in (0, 1):",
        "ESTABLISHED",
    ),
    Fault(
        "no challenge ACK for a RST in the window",
        ARRIVES,
        'tcb.send_challenge_ack(now)\n        return\n    clause = "3.10.7.4 step 2"',
        'return\n    clause = "3.10.7.4 step 2"',
        "FIN-WAIT-2",
    ),
    Fault(
        "no challenge ACK for a SYN",
        ARRIVES,
        "else:\n        _challenge_syn(tcb, now)",
        "else:\n        pass",
        "CLOSE-WAIT",
    ),
    Fault(
        "the window ends one octet too late",
        "segment.py",
        "rcv_nxt <= self.seq < rcv_nxt + rcv_wnd",
        "rcv_nxt <= self.seq <= rcv_nxt + rcv_wnd",
        "ESTABLISHED",
    ),
    Fault(
        "text whose last octet is new is not acceptable",
        "segment.py",
        "rcv_nxt <= last < rcv_nxt + rcv_wnd",
        "rcv_nxt < last < rcv_nxt + rcv_wnd",
        "ESTABLISHED",
    ),
    Fault(
        "what is not acceptable gets no ACK",
        ARRIVES,
        "elif segment.length:\n        tcb.ack_now = True\n",
        "elif segment.length:\n",
        "LAST-ACK",
    ),
    Fault(
        "the oldest acceptable ACK is refused",
        ARRIVES,
        "if not tcb.snd_una - tcb.max_snd_wnd <= segment.ack <= tcb.snd_nxt:",
        "if not tcb.snd_una - tcb.max_snd_wnd < segment.ack <= tcb.snd_nxt:",
        "FIN-WAIT-1",
    ),
    Fault(
        "an ACK of what was never sent is believed",
        ARRIVES,
        "if not tcb.snd_una - tcb.max_snd_wnd <= segment.ack <= tcb.snd_nxt:",
        "if not tcb.snd_una - tcb.max_snd_wnd <= segment.ack <= tcb.snd_nxt + 1:",
        "ESTABLISHED",
    ),
    Fault(
        "a segment without ACK goes on to its text",
        ARRIVES,
        '"""Fifth step."""\n    if not segment.flags & ACK:\n        return False',
        '"""Fifth step."""\n    if not segment.flags & ACK:\n        return True',
        "ESTABLISHED",
    ),
    Fault(
        "SND.WL2 is not kept to: the window follows only new ACKs",
        ARRIVES,
        "tcb.snd_wl2 <= segment.ack",
        "tcb.snd_wl2 < segment.ack",
        "ESTABLISHED, data queued",
    ),
    Fault(
        "SND.WL1 is not kept to: an old ACK sets the window",
        ARRIVES,
        "if segment.ack >= tcb.snd_una:\n        _update_send_window(tcb, segment)",
        "_update_send_window(tcb, segment)",
        "ESTABLISHED, data in flight",
    ),
    Fault(
        "no RST for a bad ACK in SYN-RECEIVED",
        ARRIVES,
        "if not tcb.snd_una < segment.ack <= tcb.snd_nxt:\n        tcb.answer_reset(segment, segment.reset)\n",
        "if not tcb.snd_una < segment.ack <= tcb.snd_nxt:\n",
        "SYN-RECEIVED",
    ),
    Fault(
        "SEG.ACK = ISS is acceptable in SYN-SENT",
        ARRIVES,
        "if segment.has_ack and not tcb.iss < segment.ack <= tcb.snd_nxt:",
        "if segment.has_ack and not tcb.iss <= segment.ack <= tcb.snd_nxt:",
        "SYN-SENT",
    ),
    Fault(
        "a RST without ACK ends SYN-SENT",
        ARRIVES,
        "if segment.has_ack:\n            tcb.die(ConnectionRefused()",
        "if True:\n            tcb.die(ConnectionRefused()",
        "SYN-SENT",
    ),
    Fault(
        "a SYN that comes again with its text ends SYN-RECEIVED",
        ARRIVES,
        "if segment.seq < tcb.rcv_nxt:\n        # Only what",
        "if False:\n        # Only what",
        "SYN-RECEIVED",
    ),
    Fault(
        "the RST for a segment without ACK forgets SEG.LEN",
        "segment.py",
        "else (0, self.end)",
        "else (0, self.seq)",
        "CLOSED",
    ),
    Fault(
        "CLOSING ends with any ACK",
        ARRIVES,
        "case State.CLOSING:\n            if tcb.fin_acked:",
        "case State.CLOSING:\n            if True:",
        "CLOSING",
    ),
    Fault(
        "LAST-ACK outlives the ACK of its FIN",
        ARRIVES,
        "case State.LAST_ACK if tcb.fin_acked:",
        "case State.LAST_ACK if False:",
        "LAST-ACK",
    ),
    Fault(
        "FIN-WAIT-1 does not see its FIN acknowledged",
        ARRIVES,
        "if tcb.state is State.FIN_WAIT_1 and tcb.fin_acked:",
        "if tcb.state is State.FIN_WAIT_1 and tcb.fin_acked and segment.length:",
        "FIN-WAIT-1",
    ),
    Fault(
        "a repeated FIN does not restart the 2 MSL",
        "timewait.py",
        "if segment.fin and segment.end == self.rcv_nxt:",
        "if False:",
        "TIME-WAIT",
    ),
    Fault(
        "a bare ACK is answered in TIME-WAIT",
        "timewait.py",
        "self.ack_now |= bool(segment.length)",
        "self.ack_now = True",
        "TIME-WAIT",
    ),
    Fault(
        "an ACK that may wait never comes",
        "text.py",
        "tcb.timers.delayed_ack = delayed_ack.deadline(tcb.rtt.srtt, now)",
        "pass",
        "ESTABLISHED",
    ),
    Fault(
        "URG does not count at a zero window",
        ARRIVES,
        "            urgent.process_urgent(tcb, segment)",
        "            if tcb.rcv_wnd:\n                urgent.process_urgent(tcb, segment)",
        "ESTABLISHED, RCV.WND zero",
    ),
    Fault(
        "what was received is no more urgent",
        "urgent.py",
        "- consumed(tcb), 0)",
        "- tcb.rcv_nxt, 0)",
        "ESTABLISHED",
    ),
)


class Verdict(NamedTuple):
    """What the comparison made of a stack."""

    code: int
    combinations: int
    differences: int
    first: str


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A directory with a copy of the package, first on the path of those that run in it."""
    shutil.copytree(ROOT / "userstack", tmp_path / "userstack", ignore=BEING_WRITTEN)
    return tmp_path


def run(stack: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in that directory: its package is found first, the tests of this checkout after it."""
    environment = {**os.environ, "PYTHONPATH": f"{stack}{os.pathsep}{ROOT}"}
    return subprocess.run([sys.executable, *arguments], cwd=stack, env=environment, capture_output=True, text=True, check=False)


def compared(stack: Path, *arguments: str) -> Verdict:
    """What ``python -m tests.oracle`` says of the package in that directory."""
    done = run(stack, "-m", "tests.oracle", *arguments)
    assert done.stdout, done.stderr
    numbers = json.loads(done.stdout)
    return Verdict(done.returncode, numbers["combinations"], numbers["differences"], done.stderr)


def test_the_copy_is_what_is_compared(stack: Path) -> None:
    done = run(stack, "-c", "import tests.oracle.stack, userstack; print(userstack.__file__)")
    assert done.stdout.strip() == str(stack / "userstack" / "__init__.py")


def test_the_copy_without_a_fault_agrees(stack: Path) -> None:
    verdict = compared(stack, "--first", "CLOSED", "LISTEN", "SYN-SENT")
    assert (verdict.code, verdict.differences) == (0, 0)
    assert verdict.combinations > 500


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_fault_is_found(stack: Path, fault: Fault) -> None:
    source = stack / "userstack" / "tcp" / fault.file
    text = source.read_text()
    assert text.count(fault.old) == 1, f"userstack/tcp/{fault.file} holds {text.count(fault.old)} times, not once: {fault.old!r}"
    source.write_text(text.replace(fault.old, fault.new))
    verdict = compared(stack, "--first", fault.place)
    assert verdict.code == 1
    assert verdict.differences > 0
    assert fault.place in verdict.first
