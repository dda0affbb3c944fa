"""``userstack demo`` as a person runs it: every device and every loss, summary, order, capture, what it leaves behind."""

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import running, userstack
from userstack.host.netns import list_namespaces

Record = dict[str, Any]

DROPS = (None, "syn", "synack", "fin", "lastack")
ACT_1_PATH = ["SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
ACT_2_PATH = ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]
NOTHING_LEFT = {"tcbs": 0, "timers": 0, "tasks": 0, "descriptors": 0, "devices": 0, "namespaces": 0}


class Demo:
    """What one run of the demo printed and wrote."""

    def __init__(self, device: str, family: str, drop: str | None, pcap: Path) -> None:
        self.drop = drop
        self.pcap = pcap
        options = ["--device", device, "--json", "--pcap", str(pcap), *(["--drop", drop] if drop else [])]
        options += ["--ipv6"] if family == "ipv6" else []
        self.done = userstack("demo", *options)
        self.records: list[Record] = [json.loads(line) for line in self.done.stdout.splitlines()]

    def __repr__(self) -> str:
        return f"<Demo --drop {self.drop}>"

    @property
    def summary(self) -> Record:
        return self.records[-1]

    def of_act(self, number: int, event: str) -> list[Record]:
        """The records of one kind between an act's beginning and the next."""
        begins = [index for index, record in enumerate(self.records) if record["event"] == "act"]
        end = begins[number] if number < len(begins) else len(self.records)
        return [record for record in self.records[begins[number - 1] : end] if record["event"] == event]

    def lost(self) -> Record:
        [lost] = [record for record in self.records if record["event"] == "segment" and record["lost"]]
        return lost

    def after_loss(self) -> list[Record]:
        later = self.records[self.records.index(self.lost()) + 1 :]
        return [record for record in later if record["event"] == "segment"]


RUNS = [
    ("tun", "ipv4", DROPS),
    ("veth", "ipv6", DROPS[:1]),
    ("tap", "ipv4", DROPS[:1]),
    *(
        pytest.param(device, family, DROPS, marks=pytest.mark.once)
        for device, family in (("veth", "ipv4"), ("tun", "ipv6"), ("tap", "ipv6"))
    ),
    pytest.param("veth", "ipv6", DROPS[1:], marks=pytest.mark.once),
]


@pytest.mark.parametrize(("device", "family", "drops"), RUNS)
def test_every_device_and_loss(device: str, family: str, drops: tuple[str | None, ...], tmp_path: Path) -> None:
    """Side by side, because they mostly wait."""
    with ThreadPoolExecutor(len(drops)) as pool:
        for demo in pool.map(lambda drop: Demo(device, family, drop, tmp_path / f"{drop}.pcapng"), drops):
            everything_holds(demo)
            ends = {record["remote"] for record in demo.records if record["event"] == "segment"}
            assert all(end.startswith("[fd3d::1]:" if family == "ipv6" else "10.9.0.1:") for end in ends)


def everything_holds(demo: Demo) -> None:
    it_succeeds_and_leaves_nothing(demo)
    our_states_come_in_the_order_of_rfc_9293(demo)
    the_kernels_states_are_its_own_and_come_in_order(demo)
    handshake_and_close_are_marked(demo)
    data_flows_both_ways_and_into_the_half_closed_connection(demo)
    time_wait_counts_down(demo)
    the_capture_is_sound(demo)
    if demo.drop is None:
        assert not any(record.get("lost") for record in demo.records)
    else:
        the_loss_happens_once_and_is_made_good(demo)
    if demo.drop == "lastack":
        the_kernel_stays_in_last_ack_until_time_wait_answers(demo)


def it_succeeds_and_leaves_nothing(demo: Demo) -> None:
    assert demo.done.stderr == b""
    assert demo.summary["complaints"] == []
    assert (demo.done.returncode, demo.summary["event"], demo.summary["ok"]) == (0, "summary", True)
    assert demo.summary["leaks"] == NOTHING_LEFT


def our_states_come_in_the_order_of_rfc_9293(demo: Demo) -> None:
    for act, path in ((1, ACT_1_PATH), (2, ACT_2_PATH)):
        moves = [record["new"] for record in demo.of_act(act, "transition") if record["remote"] is not None]
        assert moves == path
    assert all(record["clause"].startswith("RFC 9293 3.") for record in demo.records if record["event"] == "transition")


def the_kernels_states_are_its_own_and_come_in_order(demo: Demo) -> None:
    """Beside an arrow stands what the kernel said then; where its program was quicker than the look, a state is passed over."""
    expected = (
        ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
        ["LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"],
    )
    for act, path in enumerate(expected, 1):
        seen = list(dict.fromkeys(record["peer_state"] for record in demo.of_act(act, "segment")))
        if act == 2 and "CLOSED" not in seen:  # netcat's listener outlived its connection for a moment
            assert seen.pop(0 if demo.drop == "syn" else -1) == "LISTEN"
        assert seen == [state for state in path if state in seen]
        assert "ESTABLISHED" in seen
    assert "?" not in demo.summary["peer_states_seen"]
    assert demo.of_act(1, "segment")[-1]["peer_state"] == "TIME-WAIT"
    assert demo.of_act(2, "segment")[-1]["peer_state"] in {"CLOSED", "LISTEN"}


def handshake_and_close_are_marked(demo: Demo) -> None:
    for act in (1, 2):
        phases = dict.fromkeys(record["phase"] for record in demo.of_act(act, "segment") if record["phase"])
        assert list(phases) == ["1/3", "2/3", "3/3", "1/4", "2/4", "3/4", "4/4"]
    assert "the peer closes first" in [record["note"] for record in demo.of_act(1, "segment")]
    assert "we close first" in [record["note"] for record in demo.of_act(2, "segment")]


def data_flows_both_ways_and_into_the_half_closed_connection(demo: Demo) -> None:
    for act in (1, 2):
        carried = {record["direction"] for record in demo.of_act(act, "segment") if record["length"]}
        assert carried == {"sent", "received"}
    half_closed = [record for record in demo.of_act(2, "segment") if record["state"] == "FIN-WAIT-2" and record["length"]]
    assert [record["direction"] for record in half_closed] == ["received"]


def time_wait_counts_down(demo: Demo) -> None:
    left = [record["seconds_left"] for record in demo.of_act(2, "countdown")]
    assert len(left) >= 4
    assert all(0 <= later <= 2.0 for later in left)


def the_loss_happens_once_and_is_made_good(demo: Demo) -> None:
    assert demo.drop is not None
    lost = demo.lost()
    phase = {"syn": "1/3", "synack": "2/3", "fin": "1/4", "lastack": "4/4"}[demo.drop]
    assert (lost["phase"], lost["direction"]) == (phase, "sent")
    mark = "acknowledged again" if demo.drop == "lastack" else "retransmission"
    [repair, *_] = [record for record in demo.after_loss() if record["phase"] == phase and record["direction"] == "sent"]
    assert mark in repair["marks"]
    assert (repair["wire_seq"], repair["flags"]) == (lost["wire_seq"], lost["flags"])


def the_kernel_stays_in_last_ack_until_time_wait_answers(demo: Demo) -> None:
    assert demo.lost()["peer_state"] == "LAST-ACK"
    fin, ack = demo.after_loss()[:2]
    assert (fin["direction"], fin["phase"], fin["state"], "retransmission" in fin["marks"]) == (
        "received",
        "3/4",
        "TIME-WAIT",
        True,
    )
    assert (ack["direction"], ack["phase"]) == ("sent", "4/4")
    assert ack["peer_state"] in {"CLOSED", "LISTEN"}


def the_capture_is_sound(demo: Demo) -> None:
    fields = ["tcp.checksum.status", "ip.checksum.status", "_ws.malformed", "tcp.len"]
    checks = ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    command = ["tshark", "-n", "-r", str(demo.pcap), "-Y", "tcp", *checks, "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    shown = subprocess.run(command, capture_output=True, check=True, timeout=60)
    rows = [line.split("\t") for line in shown.stdout.decode().splitlines()]
    assert {tuple(row[:3]) for row in rows} <= {("1", "1", ""), ("1", "", "")}  # the header of IPv6 has no checksum
    segments = [record for record in demo.records if record["event"] == "segment"]
    assert [int(row[3]) for row in rows] == [record["length"] for record in segments]


def test_the_picture_for_people() -> None:
    done = userstack("demo", "--codec", "scapy")
    picture = done.stdout.decode()
    assert (done.returncode, done.stderr) == (0, b"")
    assert "\x1b" not in picture
    assert max(map(len, picture.splitlines())) == 110
    for words in (
        "Act 1: the kernel connects to us, and closes first",
        "Act 2: we connect to the kernel, and close first",
        "nc -N 10.9.0.2 7777",
        "▶ ESTABLISHED   2/3",
        "LISTEN → SYN-RECEIVED",
        "RFC 9293 3.10.7.2",
        "MSL is 1 s here, 30 s by default",
        "TIME-WAIT: 1.",  # and what follows it: the first may come late on a busy machine
        "TCB freed",
        "left behind: 0 tcbs, 0 timers, 0 tasks, 0 descriptors, 0 devices, 0 namespaces",
        "verdict: segments, transitions and both ends' final states are what RFC 9293 says",
    ):
        assert words in picture


def fake_netcat(folder: Path, script: str) -> dict[str, str]:
    """An environment whose ``nc`` is ``script``, which the demo takes for OpenBSD's."""
    path = folder / "nc"
    path.write_text(f'#!/bin/sh\n[ "$1" = -h ] && echo "OpenBSD netcat" && exit\n{script}\n')
    path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_wrong_data_fails_it(tmp_path: Path) -> None:
    """A netcat that says something else than it was told: every byte is compared."""
    done = userstack(
        "demo", "--json", environment=fake_netcat(tmp_path, 'stdbuf -o0 tr h H | /usr/bin/nc "$@" | stdbuf -o0 tr h H')
    )
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, summary["ok"]) == (1, False)
    assert any("b'Hello" in complaint for complaint in summary["complaints"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("device", ["tun", "veth"])
def test_a_signal_ends_it_quietly_and_removes_everything(number: signal.Signals, code: int, device: str) -> None:
    with running("demo", "--json", "--device", device) as demo:
        namespace = json.loads(next(iter(demo.stdout)))["namespace"]
        assert namespace in list_namespaces()
        demo.process.send_signal(number)
        assert demo.process.wait(10) == code
        assert demo.stderr.read() == b""
    assert namespace not in list_namespaces()
