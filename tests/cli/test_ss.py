"""``userstack ss``: its columns from fixed rows, and the live table of a running stack."""

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import running, userstack
from userstack.api.control import control_directory
from userstack.cli.infoline import format_timer
from userstack.cli.table import HEADER, format_counters, format_info, format_row, format_summary
from userstack.config import MILLISECOND, SECOND
from userstack.counters import MEANINGS
from userstack.host.inside import open_socket
from userstack.tcp import linux_info

pytestmark = pytest.mark.once

TOLD = dict.fromkeys(linux_info.unpack(b""), 0) | {
    "tcpi_options": 7,
    "tcpi_snd_wscale": 7,
    "tcpi_rcv_wscale": 10,
    "tcpi_rto": 1_000_000,
    "tcpi_backoff": 2,
    "tcpi_rtt": 1_250,
    "tcpi_rttvar": 500,
    "tcpi_ato": 40_000,
    "tcpi_snd_mss": 1448,
    "tcpi_pmtu": 1500,
    "tcpi_rcv_mss": 536,
    "tcpi_advmss": 1448,
    "tcpi_snd_cwnd": 10,
    "tcpi_snd_ssthresh": 7,
    "tcpi_bytes_sent": 110,
    "tcpi_bytes_retrans": 10,
    "tcpi_bytes_acked": 90,
    "tcpi_bytes_received": 80,
    "tcpi_segs_out": 11,
    "tcpi_segs_in": 12,
    "tcpi_data_segs_out": 9,
    "tcpi_data_segs_in": 8,
    "tcpi_last_data_sent": 5,
    "tcpi_pacing_rate": 0xFFFFFFFFFFFFFFFF,
    "tcpi_delivery_rate": 1000,
    "tcpi_delivered": 7,
    "tcpi_delivery_rate_app_limited": 1,
    "tcpi_busy_time": 3_000,
    "tcpi_rwnd_limited": 1_000,
    "tcpi_unacked": 2,
    "tcpi_retrans": 1,
    "tcpi_total_retrans": 3,
    "tcpi_lost": 1,
    "tcpi_reordering": 4,
    "tcpi_min_rtt": 1_000,
    "tcpi_snd_wnd": 64240,
    "tcpi_rcv_wnd": 65535,
}
LINE = (
    "\t ts sack reno wscale:7,10 rto:1000 backoff:2 rtt:1.25/0.5 ato:40 mss:1448 pmtu:1500 rcvmss:536 advmss:1448 "
    "cwnd:10 ssthresh:7 bytes_sent:110 bytes_retrans:10 bytes_acked:90 bytes_received:80 segs_out:11 segs_in:12 "
    "data_segs_out:9 data_segs_in:8 send 92672000bps lastsnd:5 delivery_rate 8000bps delivered:7 app_limited "
    "busy:3ms rwnd_limited:1ms(33.3%) unacked:2 retrans:1/3 lost:1 reordering:4 minrtt:1 snd_wnd:64240 "
    "rcv_wnd:65535"
)
INFO: dict[str, Any] = {
    "retransmits": 2,
    "acks_expected": 1,
    "pending_timer": "on",
    "pending_expires_in": 250 * MILLISECOND,
    "congestion": "reno",
    "tcp_info": TOLD,
    "orphan": False,
}


def row(state: str, *, remote: bool = True, timer: str = "", expires: int | None = None, info: bool = False) -> dict[str, Any]:
    return {
        "local": {"address": "10.9.0.2", "port": 8080},
        "remote": {"address": "10.9.0.1", "port": 40000} if remote else None,
        "state": state,
        "timer": timer,
        "expires_in": expires,
        "recv_q": 5,
        "send_q": 12345,
        "info": INFO if info else None,
    }


TABLE = """\
State          Recv-Q  Send-Q  Local Address:Port      Peer Address:Port       Timer
LISTEN              5   12345  10.9.0.2:8080           *:*
ESTABLISHED         5   12345  10.9.0.2:8080           10.9.0.1:40000          (retransmission,250ms,2)
TIME-WAIT           5   12345  10.9.0.2:8080           10.9.0.1:40000          (TIME-WAIT,59.5s,0)
SYN-RECEIVED        5   12345  10.9.0.2:8080           10.9.0.1:40000          (retransmission,0ms,0)
"""


def test_the_columns() -> None:
    rows = [
        row("LISTEN", remote=False),
        row("ESTABLISHED", timer="retransmission", expires=250 * MILLISECOND, info=True),
        row("TIME-WAIT", timer="TIME-WAIT", expires=59 * SECOND + 500 * MILLISECOND),
        row("SYN-RECEIVED", timer="retransmission", expires=-1),  # it is due, and not yet served
    ]
    assert "".join(f"{line}\n" for line in (HEADER, *map(format_row, rows))) == TABLE


def test_an_ipv6_endpoint_is_bracketed() -> None:
    line = format_row({**row("ESTABLISHED"), "remote": {"address": "fd3d::1", "port": 80}})
    assert "[fd3d::1]:80" in line


def test_a_link_local_endpoint_is_told_with_its_link() -> None:
    line = format_row({**row("ESTABLISHED"), "remote": {"address": "fe80::1%userstack0", "port": 80}})
    assert "[fe80::1%userstack0]:80" in line


def test_the_information() -> None:
    assert format_info(row("LISTEN")) == ""
    assert format_info(row("ESTABLISHED", info=True)) == LINE


def test_the_timers_of_ss() -> None:
    assert format_row(row("ESTABLISHED", info=True), as_ss=True).endswith(" timer:(on,250ms,2)")
    assert format_row(row("TIME-WAIT", expires=59 * SECOND), as_ss=True).endswith(" timer:(timewait,59sec,0)")
    assert format_row(row("LISTEN", remote=False), as_ss=True).endswith("*:*")
    idle = row("ESTABLISHED") | {"info": INFO | {"pending_timer": ""}}
    assert "timer" not in format_row(idle, as_ss=True)
    assert format_timer("keepalive", 119 * 60 * SECOND + 31 * SECOND, 0) == "timer:(keepalive,119min,0)"
    assert format_timer("keepalive", 8 * 60 * SECOND + 43 * SECOND, 0) == "timer:(keepalive,8min43sec,0)"
    assert format_timer("persist", 1234 * MILLISECOND, 3) == "timer:(persist,1.234ms,3)"
    assert format_timer("on", -1, 0) == "timer:(on,000ms,0)"


def test_counters_are_told_as_nstat_tells_them() -> None:
    counted = {"TcpInSegs": 3, "IpInReceives": 4}
    assert list(format_counters(counted, zeros=False)) == [
        "IpInReceives                    4",
        "TcpInSegs                       3",
    ]
    assert len(list(format_counters(counted, zeros=True))) == len(MEANINGS)


def test_the_counts_by_state() -> None:
    rows = [row("TIME-WAIT"), row("ESTABLISHED"), row("TIME-WAIT")]
    assert format_summary(rows) == "TCP: 3 (ESTABLISHED 1, TIME-WAIT 2)"
    assert format_summary([]) == "TCP: 0"


def part_of(pid: int, output: bytes) -> str:
    """What is told of one stack: others may be running too."""
    [part] = [part for part in output.decode().split("\n\n") if f"(process {pid}," in part]
    return part


def test_a_running_stack(namespace: str) -> None:
    with running("nc", "-l", "-k", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for("Listening on")
        pid = ours.process.pid
        with open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(10)
            client.connect(("10.9.0.2", 8080))
            ours.wait_for("Connection from")
            table = part_of(pid, userstack("ss").stdout).splitlines()
            assert table[0].startswith("userstack 10.9.0.2/24 on userstack0 (process ")
            assert table[1] == "TCP: 2 (LISTEN 1, ESTABLISHED 1)"
            assert table[2] == HEADER
            assert {line.split()[0] for line in table[3:]} == {"LISTEN", "ESTABLISHED"}
            assert f"10.9.0.1:{client.getsockname()[1]}" in "\n".join(table)
            told = part_of(pid, userstack("ss", "-i", "-o").stdout)
            assert re.search(r"\n\t ts sack reno wscale:\d+,\d+ rto:\d.* mss:1448 pmtu:1500 rcvmss:536 advmss:1448 cwnd:10 ", told)
            assert part_of(pid, userstack("ss", "-s").stdout).splitlines()[1:] == [table[1]]
            every = part_of(pid, userstack("ss", "--counters", "-z").stdout)
            counters = dict(line.split() for line in every.splitlines()[1:])
            assert list(counters) == list(MEANINGS)
            assert (counters["TcpPassiveOpens"], counters["TcpRetransSegs"]) == ("1", "0")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_watching_goes_on_until_a_signal(namespace: str, number: signal.Signals, code: int) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace) as ours:
        ours.wait_for("Listening on")
        with running("ss", "--watch") as watch:
            for _ in range(2):
                assert any(f"(process {ours.process.pid}," in line.decode() for line in watch.stdout)
            watch.process.send_signal(number)
            assert watch.process.wait(10) == code
            assert watch.stderr.read() == b""


def test_a_stack_that_does_not_answer_hides_no_other(namespace: str) -> None:
    with running("nc", "-l", "8080", "-v", "--netns", namespace) as ours, deaf_stack() as other:
        ours.wait_for("Listening on")
        done = userstack("ss")
        assert done.returncode == 0
        assert "TCP: 1 (LISTEN 1)" in part_of(ours.process.pid, done.stdout)
        assert str(other) in done.stdout.decode()


@contextmanager
def deaf_stack() -> Iterator[Path]:
    """A control socket that hangs up on whoever asks."""
    path = control_directory() / f"{os.getpid()}-deaf.sock"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()


def test_an_orphan_is_told_as_one() -> None:
    orphan = {**row("FIN-WAIT-1", timer="persist", expires=SECOND), "info": {**INFO, "orphan": True}}
    assert format_row(orphan).endswith("(persist,1.0s,2) orphan")
    assert format_summary([orphan, row("ESTABLISHED", info=True)]) == "TCP: 2 (ESTABLISHED 1, FIN-WAIT-1 1, orphaned 1)"
