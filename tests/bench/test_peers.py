"""The other stacks: what they are called, what is told when one cannot be had, and lwIP, where it can, at work."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from userstack.bench.contender import Mode
from userstack.bench.peers import PEERS, compiled
from userstack.bench.peers.compiled import RECIPES, Recipe, build, check_needs
from userstack.bench.peers.proxy import main as proxy
from userstack.bench.peers.pytcp_services import main as pytcp
from userstack.errors import SetupError
from userstack.host.addresses import add_address
from userstack.host.inside import open_socket
from userstack.host.links import set_link
from userstack.host.netns import in_namespace, temporary_namespace

OWN, KERNEL = "10.77.0.2", "10.77.0.1"
DEVICE = "bench0"
ECHO, DISCARD, CHARGEN = 7, 9, 19
PACKAGES = {
    "lwip": "gcc libc6-dev liblwip-dev",
    "gvisor": "golang-go golang-gvisor-gvisor-dev",
    "services": "gcc libc6-dev",
}


def test_every_peer_has_its_modes_and_says_what_it_is() -> None:
    modes = {name: contender.modes for name, contender in PEERS.items()}
    over_tun = dict.fromkeys(("lwip", "pasta", "slirp4netns", "pytcp"), (Mode.TUN,))
    assert modes == {"gvisor": (Mode.TUN, Mode.VETH), **over_tun}
    for contender in PEERS.values():
        assert contender.description
        assert contender.description.isprintable()


def test_a_flood_is_only_for_who_bounds_half_open_connections() -> None:
    assert [name for name, contender in PEERS.items() if contender.measures is None] == ["gvisor"]
    assert not any("flood" in (contender.measures or ()) for contender in PEERS.values())


@pytest.mark.parametrize(("name", "packages"), PACKAGES.items())
def test_without_a_compiler_one_line_says_what_to_install(name: str, packages: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError) as told:
        build(name)
    assert str(told.value) == f"{name} cannot be built without {RECIPES[name].compiler}: apt-get install {packages}"


def test_without_a_library_one_line_says_what_to_install() -> None:
    with pytest.raises(SetupError) as told:
        check_needs("lwip", replace(RECIPES["lwip"], compiler="sh", needs=("/nowhere/tcp.h",)))
    assert str(told.value) == "lwip cannot be built without /nowhere/tcp.h: apt-get install gcc libc6-dev liblwip-dev"


def test_a_proxy_that_is_not_installed_is_told_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name, package in {"pasta": "passt", "slirp4netns": "slirp4netns"}.items():
        with pytest.raises(SetupError, match=f"^{name} is not installed: apt-get install {package}$"):
            PEERS[name].command()


def test_pytcp_is_looked_for_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = tmp_path / "userstack" / "bench" / "PyTCP==2.7.6"
    with pytest.raises(SetupError) as told:
        PEERS["pytcp"].command()
    assert str(told.value) == f"pytcp is not installed: pip install --no-deps --target {directory} PyTCP==2.7.6"
    (directory / "pytcp" / "lib").mkdir(parents=True)
    assert PEERS["pytcp"].command()[-1] == str(directory)


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler, named cc1: it copies, and notes each time that it does."""
    program = tmp_path / "cc1"
    program.write_text(f'#!/bin/sh\necho "$2" >>{tmp_path}/times\ncp "$1" "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "source.c").write_text("one")
    monkeypatch.setattr(compiled, "SOURCES", tmp_path)
    monkeypatch.setitem(RECIPES, "made", Recipe("source.c", "cc1", ("SOURCE", "TARGET"), (str(program),), "cc1"))
    return program


def test_what_is_built_is_kept_until_its_source_or_a_library_changes(compiler: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = build("made", cache)
    assert build("made", cache) == first
    assert first.read_text() == "one"
    (tmp_path / "source.c").write_text("two")
    second = build("made", cache)
    assert second.read_text() == "two"
    os.utime(compiler, (0, 0))
    third = build("made", cache)
    assert sorted(cache.iterdir()) == sorted([first, second, third])
    assert len((tmp_path / "times").read_text().splitlines()) == 3


def test_what_a_compiler_complains_of_is_one_line_and_leaves_nothing(compiler: Path, tmp_path: Path) -> None:
    compiler.write_text("#!/bin/sh\necho 'In file included:\nlwip.c:7: error: no such type\n  7 | type' >&2\nexit 1\n")
    with pytest.raises(SetupError) as told:
        build("made", tmp_path / "cache")
    assert str(told.value) == "cannot build made: cc1 says: lwip.c:7: error: no such type"
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_cache_that_cannot_be_made_is_one_line(compiler: Path) -> None:
    with pytest.raises(SetupError, match=rf"^cannot build made in {compiler}/cache: Not a directory$"):
        build("made", compiler / "cache")


def test_other_arguments_are_answered_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"^arguments are NAME SERVICES DEVICE tun .* MTU: pasta has no mode veth$"):
        proxy(["pasta", "services", DEVICE, "veth", f"{OWN}/24", KERNEL, "1500"])
    with pytest.raises(SystemExit, match=r"^arguments are DIRECTORY DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU$"):
        pytcp(["directory", DEVICE, "veth", f"{OWN}/24", KERNEL, "1500"])


@contextmanager
def serving(namespace: str, command: Sequence[str]) -> Iterator[None]:
    """A contender in a namespace, as the harness has it; its end by SIGTERM is a clean one."""
    words = [*command, DEVICE, "tun", f"{OWN}/24", KERNEL, "1500"]
    process = in_namespace(namespace, lambda: subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "device\n"
        set_link(DEVICE, namespace=namespace, up=True)
        add_address(DEVICE, f"{KERNEL}/24", namespace=namespace)
        assert process.stdout.readline() == "ready\n"
        yield
        process.terminate()
        assert process.wait(5) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.communicate()


def connect(namespace: str, port: int) -> socket.socket:
    sock = open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM)
    sock.settimeout(5)
    sock.connect((OWN, port))
    return sock


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(size - len(data))
        assert part, f"closed after {len(data)} octets"
        data += part
    return data


def read_to_the_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_lwip_serves(tmp_path: Path) -> None:
    if not (shutil.which("gcc") and all(Path(need).exists() for need in RECIPES["lwip"].needs)):  # CI does not install them
        with pytest.raises(SetupError, match=f"^lwip cannot be built without .*: apt-get install {PACKAGES['lwip']}$"):
            build("lwip", tmp_path)
        return
    program = build("lwip", tmp_path)
    text = os.urandom(300_000)
    with temporary_namespace("peers") as namespace, serving(namespace, [str(program)]):
        with connect(namespace, ECHO) as sock:
            for at in range(0, len(text), 30_000):
                sock.sendall(text[at : at + 30_000])
                assert read(sock, 30_000) == text[at : at + 30_000]
            sock.shutdown(socket.SHUT_WR)
            assert read_to_the_end(sock) == b""
        with connect(namespace, DISCARD) as sock:
            sock.sendall(text)
            sock.shutdown(socket.SHUT_WR)
            assert read_to_the_end(sock) == b""
        with connect(namespace, CHARGEN) as sock:
            assert read(sock, 300_000)[:95] == bytes(range(32, 127))
