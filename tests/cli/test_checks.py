"""The doctor's eyes: each check on what it would read from a machine, sound and unsound; and netcat's four flavours."""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import running
from userstack.cli.checks import check_ipv6_routes, check_routes, judge_rules, run_checks, version_tuple
from userstack.cli.netcat import FLAVOURS, Netcat, recognize
from userstack.errors import SetupError
from userstack.host.netns import list_namespaces

HEADER = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
DEFAULT = "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
TEN = "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
OTHER = "eth2\t0000080A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"


def test_a_default_route_does_not_clash() -> None:
    assert check_routes(HEADER + DEFAULT + OTHER).ok


def test_a_route_over_the_default_network_does() -> None:
    finding = check_routes(HEADER + DEFAULT + TEN)
    assert (finding.ok, finding.required) == (False, False)
    assert finding.detail == "10.9.0.0/24, the default, overlaps 10.0.0.0/8 on eth1"
    assert "--address" in finding.mend


def ipv6_route(target: str, length: int, device: str) -> str:
    """A line of /proc/net/ipv6_route: destination, source, next hop, metric, counts, flags, device."""
    return f"{target:0<32} {length:02x} {'':0<32} 00 {'':0<32} 00000100 00000001 00000000 00000001 {device:>8}\n"


def test_ipv6_routes_that_do_not_clash() -> None:
    table = ipv6_route("", 0, "eth0") + ipv6_route("fd3e", 16, "eth1") + ipv6_route("fe80", 64, "eth1")
    finding = check_ipv6_routes(table)
    assert (finding.ok, finding.detail) == (True, "nothing else uses fd3d::/64, IPv6's default")


def test_an_ipv6_route_over_the_default_network_does() -> None:
    finding = check_ipv6_routes(ipv6_route("", 0, "eth0") + ipv6_route("fd00", 8, "eth1"))
    assert (finding.ok, finding.required) == (False, False)
    assert finding.detail == "fd3d::/64, the default, overlaps fd00::/8 on eth1"
    assert "--address fd99::2/64" in finding.mend


def test_ipv6_is_looked_at() -> None:
    found = {finding.name: finding for finding in run_checks()}
    assert (found["ipv6"].ok, found["ipv6"].required) == (True, False)
    assert found["routes6"].ok is not None


@pytest.mark.parametrize(
    ("tool", "rules", "ok"),
    [
        ("nft", "", True),
        ("nft", "table inet t {\n chain c {\n  tcp dport 22 accept\n }\n}\n", True),
        ("nft", "table inet t {\n chain c {\n  ip saddr 10.0.0.0/8 drop\n }\n}\n", False),
        ("nft", "table inet t {\n chain c {\n  type filter hook input priority 0; policy drop;\n }\n}\n", False),
        ("iptables-save", "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", True),
        ("iptables-save", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", False),
        ("iptables-save", "-A INPUT -p tcp -j REJECT --reject-with tcp-reset\n", False),
    ],
)
def test_rules_that_drop_are_found(tool: str, rules: str, ok: bool) -> None:
    finding = judge_rules(tool, rules)
    assert (finding.ok, finding.required) == (ok, False)
    assert "\n" not in finding.detail


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("OpenBSD netcat (Debian patchlevel 1.219-1)\nusage: nc [-46CDdFhklNnrStUuvZz]", "openbsd"),
        ("[v1.10-47]\nconnect to somewhere:\tnc [-options] hostname port[s] [ports] ...", "traditional"),
        ("Ncat 7.93 ( https://nmap.org/ncat )\nUsage: ncat [options] [hostname] [port]", "ncat"),
        ("nc: invalid option -- 'h'\nBusyBox v1.35.0 (Debian) multi-call binary.", "busybox"),
    ],
)
def test_netcats_are_told_apart(text: str, name: str) -> None:
    assert recognize("/usr/bin/nc", text).name == name


def test_an_unknown_netcat_is_told_with_the_mend() -> None:
    with pytest.raises(SetupError, match=r"no netcat that userstack knows .* apt install netcat-openbsd"):
        recognize("/usr/bin/nc", "GNU netcat 0.7.1")


@pytest.mark.parametrize(
    ("name", "connect", "listen"),
    [
        ("openbsd", "nc -N 10.9.0.2 7", "nc -N -l 8"),
        ("traditional", "nc -q 0 10.9.0.2 7", "nc -q 0 -l -p 8"),
        ("ncat", "nc 10.9.0.2 7", "nc -l 8"),
        ("busybox", "nc 10.9.0.2 7", "nc -l -p 8"),
    ],
)
def test_each_netcat_is_asked_in_its_own_words(name: str, connect: str, listen: str) -> None:
    netcat = Netcat("nc", next(flavour for flavour in FLAVOURS if flavour.name == name))
    assert " ".join(netcat.connect("10.9.0.2", 7)) == connect
    assert " ".join(netcat.listen(8)) == listen


@pytest.mark.parametrize(("name", "listen"), [("openbsd", "nc -6 -N -l 8"), ("ncat", "nc -6 -l 8")])
def test_a_netcat_is_asked_for_ipv6(name: str, listen: str) -> None:
    netcat = Netcat("nc", next(flavour for flavour in FLAVOURS if flavour.name == name))
    assert " ".join(netcat.listen(8, ipv6=True)) == listen


@pytest.mark.parametrize("name", ["traditional", "busybox"])
def test_a_netcat_that_knows_nothing_of_ipv6_is_told_with_the_mend(name: str) -> None:
    netcat = Netcat("/bin/nc", next(flavour for flavour in FLAVOURS if flavour.name == name))
    with pytest.raises(SetupError, match=rf"/bin/nc \({name}\) knows nothing of IPv6: .* apt install netcat-openbsd"):
        netcat.listen(8, ipv6=True)


@pytest.mark.parametrize(
    ("text", "numbers"), [("2.6.0", (2, 6, 0)), ("0.9.2", (0, 9, 2)), ("2.6.0rc1", (2, 6)), ("2.8.0.dev1", (2, 8, 0)), ("x", ())]
)
def test_versions_are_compared_as_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert version_tuple(text) == numbers


def test_this_machine_is_ready() -> None:
    """The suite needs root, a TUN and a netcat, as the program does: what is missing here must fail, not be skipped."""
    assert [finding for finding in run_checks() if finding.required and not finding.ok] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_doctor_when_it_holds_nothing(number: signal.Signals, code: int) -> None:
    before = set(list_namespaces())
    with running("doctor", "--json") as doctor:
        wait_until(lambda: _catches(doctor.process.pid, signal.SIGHUP) and _made_since(before))
        doctor.process.send_signal(number)
        assert doctor.process.wait(10) == code
        assert doctor.stdout.read() + doctor.stderr.read() == b""
    wait_until(lambda: not _made_since(before))  # another test's may be there for a moment


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has come to where a signal does not simply kill it."""
    [caught] = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return bool(int(caught, 16) >> (number - 1) & 1)


def _made_since(before: set[str]) -> list[str]:
    return [name for name in list_namespaces() if name.startswith("userstack-doctor") and name not in before]
