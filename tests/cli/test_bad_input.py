"""What a person gets wrong, or the machine lacks: one line that says what, the right code, never a traceback."""

import os
from pathlib import Path

import pytest

from tests.cli.running import userstack
from userstack.cli.app import run
from userstack.host.tuntap import open_tuntap

WITHOUT_PRIVILEGES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
"""Still root by name, and not allowed anything: what counts is the capabilities."""
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
        (["nc", "-z", "10.9.0.1", "25-20"], "'25-20' is no port"),
        (["nc", "-l", "-z", "80"], "-z connects, -l listens: choose one"),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-l", "80", "--address", "10.9.0.300/24"], "10.9.0.300/24"),
        (["-l", "80", "--address", "10.9.0.2/33"], "10.9.0.2/33"),
        (["-l", "80", "--address", "ten.nine.zero.two"], "ten.nine.zero.two"),
        (["-l", "80", "--peer", "10.8.0.1"], "10.8.0.1"),
        (["-l", "80", "--peer", "10.9.0.2"], "10.9.0.2"),
        (["nobody.invalid", "80"], "'nobody.invalid' is no IP address"),
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


@pytest.mark.parametrize("arguments", [["nc", "-l", "80"], ["nc", "-l", "80", "--device", "veth"], ["demo"]])
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


def test_a_usage_error_is_the_process_own_exit_code() -> None:
    assert "it takes an ADDRESS and a PORT" in complaint(2, "nc")


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["nc", "-h"], ["ss", "--help"], ["doctor", "--help"]])
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
