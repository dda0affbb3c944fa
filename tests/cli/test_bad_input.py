"""What a person gets wrong, or the machine lacks: one line that says what, the right code, never a traceback."""

import os
from pathlib import Path

import pytest

from tests.cli.running import userstack
from userstack.cli.app import run
from userstack.host.tuntap import open_tuntap

WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Still root by name, and not allowed anything: what counts is the capabilities."""
WITH_A_FULL_OUTPUT = ("sh", "-c", 'exec "$@" >/dev/full', "sh")
WITH_AN_EMPTY_RUN = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh")
"""Where no stack of anybody's has a control socket."""


Capture = pytest.CaptureFixture[str]


def one_line(code: int, wanted: int, output: str, told: str) -> str:
    assert code == wanted, told
    assert output == ""
    assert told.count("\n") == 1, told
    assert "Traceback" not in told
    return told


def complaint(code: int, *arguments: str, prefix: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> str:
    """The one line that a failed command said, as a process of its own."""
    done = userstack(*arguments, prefix=prefix, environment=environment)
    return one_line(done.returncode, code, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["nc"], "it takes an ADDRESS and a PORT"),
        (["nc", "10.9.0.1"], "it takes an ADDRESS and a PORT"),
        (["nc", "10.9.0.1", "80", "81"], "it takes an ADDRESS and a PORT"),
        (["nc", "-l"], "a PORT to listen on is missing"),
        (["nc", "10.9.0.1", "http"], "'http' is no port: a number from 1 to 65535"),
        (["nc", "10.9.0.1", "65536"], "'65536' is no port"),
        (["nc", "10.9.0.1", "0"], "'0' is no port"),
        (["nc", "10.9.0.1", "20-25"], "'20-25' is no port"),
        (["nc", "-z", "10.9.0.1", "25-20"], "'25-20' is no port: a number from 1 to 65535, or two joined by -"),
        (["nc", "-z", "10.9.0.1", "1-2-3"], "'1-2-3' is no port"),
        (["nc", "-z", "10.9.0.1", "20-"], "'20-' is no port"),
        (["nc", "10.9.0.1", "٣"], "'٣' is no port"),
        (["nc", "10.9.0.1", "+5"], "'+5' is no port"),
        (["nc", "10.9.0.1", "9" * 5000], "9' is no port"),
        (["nc", "-k", "10.9.0.1", "80"], "-k is for -l"),
        (["nc", "-g", "10.9.0.9", "-l", "80"], "-g is for connecting: with -l, --accept-source-route answers"),
        (["nc", "-l", "-p", "80", "81"], "-l takes its PORT as the last word or by -p: choose one"),
        (["nc", "-l", "80", "--wait", "nan"], "--wait"),
        (["nc", "-l", "80", "--wait", "inf"], "--wait is a number up to 1000000, not inf"),
        (["nc", "-l", "80", "--msl", "nan"], "--msl is a number up to 1000000, not nan"),
        (["nc", "-l", "80", "--rate", "inf"], "--rate is a number up to 1000000, not inf"),
        (["nc", "-l", "80", "--delay", "1e300"], "--delay is a number up to 1000000, not 1e+300"),
        (["nc", "-l", "80", "--address", ""], "--address is empty"),
        (["nc", "-l", "80", "--name", ""], "--name is empty"),
        (["nc", "-l", "80", "--netns", ""], "--netns is empty"),
        (["nc", "-l", "80", "--pcap", ""], "--pcap is empty"),
        (["nc", "-l", "-z", "80"], "-z connects, -l listens: choose one"),
        (["nc", "fd3d::1"], "it takes an ADDRESS and a PORT"),
        (["nc", "fd3d::1:80"], "it takes an ADDRESS and a PORT"),
        (["nc", "[fd3d::1]"], "it takes an ADDRESS and a PORT"),
        (["nc", "[fd3d::1]:"], "'' is no port"),
        (["nc", "[fd3d::1]:http"], "'http' is no port"),
        (["nc", "-4", "-6", "-l", "80"], "-4 is for IPv4 alone, -6 for IPv6 alone: choose one"),
        (["nc", "-4", "fd3d::1", "80"], "-4 is for IPv4, which fd3d::1 is not"),
        (["nc", "-6", "10.9.0.1", "80"], "-6 is for IPv6, which 10.9.0.1 is not"),
        (["nc", "-6", "-l", "10.9.0.2", "80"], "-6 is for IPv6, which 10.9.0.2 is not"),
        (["nc", "-l", "80", "--address", "10.9.0.2/24", "--address", ""], "--address is empty"),
        (["nc", "-l", "80", "--device", "token-ring"], "Invalid value for '--device': "),
        (["nc", "-l", "80", "--mtu", "20"], "Invalid value for '--mtu': "),
        (["nc", "-l", "80", "--isn", "4294967296"], "Invalid value for '--isn': "),
        (["nc", "-l", "80", "--device", "eth"], "--device eth needs --interface NAME"),
        (["nc", "-l", "80", "--interface", "eth0"], "--interface is for --device eth"),
        (["nc", "-l", "80", "--device", "eth", "--interface", "x", "--peer", "10.9.0.3"], "--peer is for devices that are made"),
        (["nc", "-l", "80", "--gateway", "10.9.0.1"], "--gateway is for devices of layer 2"),
        (["nc", "-l", "80", "--loss", "much"], "Invalid value for '--loss': "),
        (["demo", "--drop", "everything"], "Invalid value for '--drop': "),
        (["demo", "extra"], "unexpected extra argument"),
        (["doctor", "--jsn"], "No such option: --jsn"),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], words: str) -> None:
    told = one_line(run(arguments), 2, *capsys.readouterr())
    assert words in told
    assert told.startswith("userstack")
    assert "--help)" in told
    assert "Invalid value: " not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-l", "80", "--address", "10.9.0.300/24"], "10.9.0.300/24"),
        (["-l", "80", "--address", "10.9.0.2/33"], "10.9.0.2/33"),
        (["-l", "80", "--address", "ten.nine.zero.two"], "ten.nine.zero.two"),
        (["-l", "80", "--peer", "10.8.0.1"], "10.8.0.1"),
        (["-l", "80", "--peer", "10.9.0.2"], "10.9.0.2"),
        (["nobody.invalid", "80"], "'nobody.invalid' is no IP address"),
        (["-l", "80", "--address", "fd3d::2/129"], "fd3d::2/129"),
        (["-l", "80", "--address", "fe80::2%eth0/64"], "leave it out"),
        (["-l", "80", "--address", "fd3d::2/64", "--address", "fd3d::2/48"], "fd3d::2 is there twice"),
        (["-l", "80", "--address", "fd3d::2/64", "--peer", "fd3e::1"], "fd3e::1 must be another address of the network"),
        (["-6", "-l", "80", "--mtu", "1279"], "at least 1280"),
        (["fe80::1", "80", "--name", "us6"], "say on which, as in fe80::1%us6"),
        (["fe80::1%eth0", "80", "--name", "us6"], "not this stack's, which is us6"),
        (["fd3d::1%us6", "80", "--name", "us6"], "leave out what begins with %"),
        (["-l", "80", "--device", "tap", "--gateway", "10.9.0.1", "--gateway", "10.9.0.3"], "one gateway for a family"),
        (["-l", "80", "--loss", "2"], "loss must be a share from 0 to 1, not 2.0"),
        (["-l", "80", "--msl", "0"], "msl must be "),
        (["-l", "80", "--name", "a-name-that-is-too-long"], "too long"),
        (["-l", "80", "--name", "a/b"], "'a/b' cannot be a device's name"),
        (["-l", "80", "--netns", "no-such-namespace"], "no-such-namespace"),
        (["-l", "80", "--device", "eth", "--interface", "nosuch0"], "there is no device nosuch0"),
        (["-l", "80", "--pcap", "/nowhere/at/all.pcapng"], "/nowhere/at/all.pcapng"),
    ],
)
def test_what_cannot_be(namespace: str, capsys: Capture, arguments: list[str], words: str) -> None:
    place = [] if "--netns" in arguments else ["--netns", namespace]
    told = one_line(run(["nc", *arguments, *place]), 1, *capsys.readouterr())
    assert words in told
    assert told.startswith("userstack nc: ")


def test_a_device_that_exists(namespace: str) -> None:
    descriptor, _ = open_tuntap("taken0", level=3, namespace=namespace)
    try:
        told = complaint(1, "nc", "-l", "80", "--name", "taken0", "--netns", namespace)
    finally:
        os.close(descriptor)
    assert "cannot make the device taken0" in told
    assert "remove it with: ip link del taken0" in told


@pytest.mark.parametrize("arguments", [["nc", "-l", "80"], ["nc", "-l", "80", "--device", "veth"], ["demo"], ["bench"]])
def test_a_missing_privilege(arguments: list[str]) -> None:
    told = complaint(1, *arguments, prefix=WITHOUT_PRIVILEGES)
    assert told.startswith(f"userstack {arguments[0]}: cannot ")
    assert "sudo" in told


def test_the_doctor_sees_missing_privileges() -> None:
    done = userstack("doctor", prefix=WITHOUT_PRIVILEGES)
    told = done.stdout.decode()
    assert done.returncode == 1
    assert "missing NET_ADMIN  missing: to make devices" in told
    assert "mend: run it with sudo" in told
    assert told.endswith("not ready: what is marked as missing is needed\n")
    assert done.stderr == b""


def test_a_machine_without_netcat(tmp_path: Path) -> None:
    told = complaint(1, "demo", environment={"PATH": str(tmp_path)})
    assert told == "userstack demo: there is no nc (netcat): install it with: apt install netcat-openbsd\n"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("--help", "userstack"),
        ("--version", "userstack"),
        ("doctor", "userstack doctor"),
        ("doctor --json", "userstack doctor"),
        ("demo", "userstack demo"),
        ("demo --json", "userstack demo"),
    ],
)
def test_an_output_on_a_full_disk(command: str, name: str) -> None:
    buffered = {"PYTHONUNBUFFERED": ""}  # as it is for a person
    told = complaint(1, *command.split(), prefix=WITH_A_FULL_OUTPUT, environment=buffered)
    assert told == f"{name}: No space left on device\n"


@pytest.mark.parametrize("place", ["2>&-", "2>/dev/full"])
def test_where_nobody_takes_the_complaint_the_exit_code_has_to_do(place: str) -> None:
    done = userstack("nc", prefix=("sh", "-c", f'exec "$@" {place}', "sh"))
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


def test_a_closed_output_is_no_error() -> None:
    done = userstack("demo", "--json", prefix=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_usage_error_is_the_process_own_exit_code() -> None:
    assert "it takes an ADDRESS and a PORT" in complaint(2, "nc")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["demo", "--help"], ["nc", "-h"], ["ss", "--help"], ["bench", "-h"], ["doctor", "--help"]]
)
def test_help(capsys: Capture, arguments: list[str]) -> None:
    assert run(arguments) == 0
    output, told = capsys.readouterr()
    assert "Usage: userstack" in output
    assert told == ""


def test_version(capsys: Capture) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("userstack ")


@pytest.mark.parametrize("options", [[], ["--watch"]])
def test_no_running_stack(options: list[str]) -> None:
    told = complaint(1, "ss", *options, prefix=WITH_AN_EMPTY_RUN)
    assert told == "userstack ss: no stack is running: start one, for example with userstack nc -l 8080\n"
