"""The shell commands of a script: which settings are read from them, and that everything else is refused."""

from pathlib import Path

import pytest

from userstack.drill.errors import NotSupported
from userstack.drill.shell import MAX_SCRIPT, Setting, read_settings


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("sysctl -w net.ipv4.tcp_sack=0", ["tcp_sack=0"]),
        ("sysctl -q net.ipv4.tcp_sack=0 net.ipv4.tcp_dsack=1", ["tcp_sack=0", "tcp_dsack=1"]),
        ("/sbin/sysctl -w net/ipv4/tcp_sack=0 > /dev/null 2>&1", ["tcp_sack=0"]),
        ("sudo sysctl -w net.ipv4.tcp_sack=0; sysctl -w net.ipv4.tcp_ecn=0", ["tcp_sack=0", "tcp_ecn=0"]),
        ("sysctl -w net.ipv4.tcp_sack=0 && \\\n sysctl -w net.ipv4.tcp_ecn=0 # the end isn't near", ["tcp_sack=0", "tcp_ecn=0"]),
        ('sysctl -w net.ipv4.tcp_rmem="4096 131072 $((15*1024*1024))"', ["tcp_rmem=4096 131072 15728640"]),
        ("sysctl -w 'net.ipv4.tcp_rmem=4096 $ 6'", ["tcp_rmem=4096 $ 6"]),
        ("sysctl -w net.ipv4.tcp_mem=$(( (1 + 2) * 3 - 8 / 3 % 2 ))", ["tcp_mem=9"]),
        ("sysctl -w net.ipv4.tcp_mem=$((1 << 4))", ["tcp_mem=16"]),
        ("echo 0 > /proc/sys/net/ipv4/tcp_sack", ["tcp_sack=0"]),
        ("echo -n 4096 8192 65536 >/proc/sys/net/ipv4/tcp_rmem", ["tcp_rmem=4096 8192 65536"]),
        ("../common/set_sysctls.py /proc/sys/net/ipv4/tcp_sack=0 /proc/sys/net/ipv4/tcp_ecn=1", ["tcp_sack=0", "tcp_ecn=1"]),
        ("sysctl net.ipv4.tcp_sack", []),
        ("ip tcp_metrics flush all > /dev/null 2>&1", []),
        ("tc qdisc add dev tun0 root pfifo", []),
        ("sleep 1 || true", []),
        ("", []),
    ],
)
def test_settings_are_read(text: str, settings: list[str]) -> None:
    expected = [Setting(f"net.ipv4.{name}", value) for name, _, value in (setting.partition("=") for setting in settings)]
    assert read_settings(text, Path("nowhere")) == expected


def test_the_names_of_freebsd_are_kept() -> None:
    settings = read_settings("sysctl kern.ipc.maxsockbuf=2097152\nsysctl -n net.inet.tcp.rfc1323=0", Path("nowhere"))
    assert settings == [Setting("kern.ipc.maxsockbuf", "2097152"), Setting("net.inet.tcp.rfc1323", "0")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ip route change 192.0.2.0/24 dev tun0 initcwnd 5", "shell command ip route"),
        ("iptables -A INPUT -j DROP", "shell command iptables -A"),
        ("tc qdisc add dev tun0 root netem delay 10ms", "shell command tc qdisc"),
        ("tc qdisc replace dev tun0 root fq", "shell command tc qdisc"),
        ("grep ' 0A ' /proc/net/tcp | grep ':1F90'", "shell command grep"),
        ("echo 1 | tee /proc/sys/net/ipv4/tcp_sack", "shell command echo 1"),
        ("cat x > /proc/sys/net/ipv4/tcp_sack", "shell command cat > /proc/sys/net/ipv4/tcp_sack"),
        ("sysctl -p /etc/sysctl.conf", "sysctl -p"),
        ("sysctl -w net.ipv4.tcp_sack=$X", "shell command with variables"),
        ("sysctl -w net.ipv4.tcp_sack=`cat x`", "shell command with variables"),
        ("sysctl -w net.ipv4.tcp_sack=$((1/0))", "shell arithmetic"),
        ("sysctl -w net.ipv4.tcp_sack=$((1 << 64))", "shell arithmetic"),
        ("set_sysctls.py net.ipv4.tcp_sack", "setting net.ipv4.tcp_sack without a value"),
        ("if true; then sysctl -w net.ipv4.tcp_sack=0; fi", "shell command if true"),
        ("echo 'not closed", "shell command that is more than words"),
        ("./absent.sh", "shell script absent.sh: cannot be read"),
    ],
)
def test_everything_else_is_refused_with_its_reason(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(NotSupported) as refusal:
        read_settings(text, tmp_path)
    assert refusal.value.reason.startswith(reason)


def test_a_script_that_only_sets_is_read(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "defaults.sh").write_text("#!/bin/bash\n# Don't panic.\n\nsysctl -q net.ipv4.tcp_sack=1\n. ./more.sh\n")
    (tmp_path / "more.sh").write_text("sysctl -q net.ipv4.tcp_ecn=0\n")
    expected = [Setting("net.ipv4.tcp_sack", "1"), Setting("net.ipv4.tcp_ecn", "0")]
    for text in ("./common/defaults.sh", "source ./common/defaults.sh", "bash common/defaults.sh\n"):
        assert read_settings(text, tmp_path) == expected


def test_scripts_that_call_each_other_long_ones_and_other_languages_are_refused(tmp_path: Path) -> None:
    (tmp_path / "circle.sh").write_text("./circle.sh")
    (tmp_path / "long.sh").write_text("#" * (MAX_SCRIPT + 1))
    (tmp_path / "other.py").write_text("#!/usr/bin/env python3\n")
    (tmp_path / "binary.sh").write_bytes(b"\xff\xfe\x00")
    for name, reason in (
        ("circle.sh", "called from too deep"),
        ("long.sh", "too long"),
        ("other.py", "no shell script"),
        ("binary.sh", "cannot be read"),
    ):
        with pytest.raises(NotSupported, match=reason):
            read_settings(f"./{name}", tmp_path)
