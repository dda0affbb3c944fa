"""One host in several processes, and the kernel as its peer: the connections are shared out, and nobody outside sees by whom."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import ARP, Ether

import userstack
from tests.cli.running import ROOT, Running, started
from tests.cli.running import userstack as command
from tests.interop import workers_program
from tests.interop.families import IPV4, IPV6, Family
from tests.interop.routed import Router, behind_router, ip
from tests.interop.waiting import eventually
from tests.interop.workers_program import KERNEL_PORT, OPENED, PORT
from tests.interop.world import addresses, kernel_alone
from tests.support.netns import KernelNamespace
from userstack import SetupError, StackConfig
from userstack.api import control
from userstack.errors import InvalidArgument
from userstack.host.inside import open_socket
from userstack.host.links import list_devices

LINKS = pytest.mark.parametrize("link", ["tun", "veth"])
CLIENTS = 24
FLOW_LIFETIME = 7.5
"""Seconds after which TUN has forgotten which queue a flow was written to: TUN_FLOW_EXPIRE, and as much until it is swept."""
SMALL = 1300
"""Octets that a link takes which is on the way."""


@contextmanager
def running(main: str, link: str, kernel: KernelNamespace, workers: int = 2, family: Family = IPV4) -> Iterator[Running]:
    """The program of ``workers_program``."""
    arguments = [kernel.name, str(workers), link, main, *addresses(family)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, workers_program.__file__, *arguments],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        cwd=ROOT,
        start_new_session=True,
    )
    with started(process) as run:
        yield run


def ready(run: Running, workers: int = 2) -> None:
    """Wait until every worker has said so."""
    for _ in range(workers):
        line = run.stdout.readline()
        assert line == b"ready\n", (line, run.stderr.read().decode() if not line else "")


def end(run: Running, number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    """End it; its code, and what it has said since."""
    run.process.send_signal(number)
    return finish(run)


def finish(run: Running) -> tuple[int, str, str]:
    out, error = run.process.communicate(timeout=30)
    return run.process.returncode, out.decode(), error.decode()


def connect(kernel: KernelNamespace, family: Family) -> tuple[socket.socket, int]:
    """A client, and the worker that has greeted it."""
    client = kernel.socket(family.number)
    client.settimeout(20)
    client.connect((family.ours, PORT))
    return client, int(client.recv(1))


def exchange(sock: socket.socket, text: bytes) -> None:
    sock.sendall(text)
    back = b""
    while len(back) < len(text) and (part := sock.recv(len(text) - len(back))):
        back += part
    assert back == text


def told(pid: int) -> list[dict[str, Any]]:
    """What the workers of a process tell at their control sockets."""
    found = []
    for stack in control.running():
        try:
            worker = control.query(stack.path, "info").get("worker")
            if worker is not None and worker["parent"] == pid:
                counters, rows = (control.query(stack.path, question) for question in ("counters", "connections"))
                found.append({**worker, "pid": stack.pid, "counters": counters, "rows": rows})
        except SetupError:  # of another test, and over
            continue
    return found


def part_of_ss(pid: int, *options: str) -> list[str]:
    """The part of ``userstack ss`` about the workers of a process."""
    parts = command("ss", *options).stdout.decode().split("\n\n")
    [part] = [part for part in parts if f"(process {pid}, 2 workers, " in part]
    return part.splitlines()


@LINKS
@pytest.mark.matrix("several workers", "passive")
def test_clients_are_shared_out_and_ss_sees_all(link: str) -> None:
    with kernel_alone() as kernel, running("serve", link, kernel, family=IPV6) as run:
        ready(run)
        clients, greeted = zip(*(connect(kernel, family) for family in (IPV4, IPV6) for _ in range(CLIENTS // 2)), strict=True)
        assert set(greeted) == {0, 1}
        for client in clients:
            exchange(client, os.urandom(20_000))
        by_worker = {worker["number"]: worker for worker in told(run.process.pid)}
        for number, count in Counter(greeted).items():
            assert by_worker[number]["counters"]["TcpPassiveOpens"] == count
            assert by_worker[number]["counters"].get("UserstackPassedOn", 0) == 0, "a flow stays where its SYN came"
        if link == "tun":
            check_ss(run, clients)
        assert end(run) == (-signal.SIGTERM, "tidied\ntidied\n", "")


def check_ss(run: Running, clients: tuple[socket.socket, ...]) -> None:
    """The workers are one stack to ``userstack ss``."""
    table = part_of_ss(run.process.pid)
    assert table[0].startswith(f"userstack {', '.join(addresses(IPV6))}")
    assert table[1] == f"TCP: {CLIENTS + 2} (LISTEN 2, ESTABLISHED {CLIENTS})"
    named = [int(line.split()[4].rpartition(":")[2]) for line in table if line.startswith("ESTABLISHED")]
    assert sorted(named) == sorted(client.getsockname()[1] for client in clients)
    counters = dict(line.split() for line in part_of_ss(run.process.pid, "--counters")[1:])
    assert counters["TcpPassiveOpens"] == counters["TcpCurrEstab"] == str(CLIENTS)


@pytest.mark.matrix("several workers", "active")
def test_connections_that_workers_open_stay_theirs_although_the_kernel_forgets_whose_they_are() -> None:
    """And on veth it never knew. The SYN,ACK already may come to another worker than the SYN was from."""
    with (
        kernel_alone() as one,
        kernel_alone() as other,
        running("open_many", "tun", one, family=IPV6) as tun,
        running("open_many", "veth", other, family=IPV6) as veth,
    ):
        accepted = [sock for kernel in (one, other) for sock in accept_all(kernel)]
        ready(tun)
        ready(veth)
        for sock in accepted:
            exchange(sock, os.urandom(200_000))
        time.sleep(FLOW_LIFETIME)
        for sock in accepted:
            exchange(sock, b"still there")
            sock.close()
        for run in (tun, veth):
            code, out, error = finish(run)
            assert (code, error) == (0, "")
            passed_on = [int(text) for text in re.findall(r"\d+", out)]
            assert len(passed_on) == 2
            assert sum(passed_on) > 0


def accept_all(kernel: KernelNamespace) -> list[socket.socket]:
    """The connections that two workers open to both addresses of the kernel's."""
    found: list[socket.socket] = []
    listeners = []
    eventually(lambda: len(list_devices(namespace=kernel.name)) > 1, "the device is there")
    for family in (IPV4, IPV6):
        listener = kernel.socket(family.number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda listener=listener, family=family: binds(listener, family.kernel), "the kernel has its address")  # type: ignore[misc]
        listener.listen(64)
        listener.settimeout(20)
        listeners.append(listener)
    for listener in listeners:
        for _ in range(2 * OPENED):
            sock, _ = listener.accept()
            sock.settimeout(20)
            assert sock.recv(1) == b"*"
            found.append(kernel.keep(sock))
        listener.close()
    return found


def binds(sock: socket.socket, address: str) -> bool:
    try:
        sock.bind((address, KERNEL_PORT))
    except OSError:
        return False
    return True


def test_a_link_has_one_neighbour_there_and_who_alone_listens_gets_all_connections() -> None:
    with kernel_alone() as kernel, running("serve_one", "veth", kernel, workers=3) as run:
        ready(run, 3)
        ping = kernel.run(["ping", "-c", "3", "-i", "0.2", "-W", "5", IPV4.ours]).stdout.decode()
        assert " 3 received" in ping
        assert "DUP" not in ping
        assert len(answers_to_arp(kernel)) == 1
        clients, greeted = zip(*(connect(kernel, IPV4) for _ in range(8)), strict=True)
        assert set(greeted) == {2}
        for client in clients:
            exchange(client, os.urandom(100_000))
        assert end(run)[0] == -signal.SIGTERM


def answers_to_arp(kernel: KernelNamespace) -> list[Ether]:
    """Ask once who has our address."""
    [device] = [name for name in list_devices(namespace=kernel.name) if name.startswith("usk")]
    wire = kernel.keep(open_socket(kernel.name, socket.AF_PACKET, socket.SOCK_RAW, 0))
    wire.bind((device, 0x0806))
    wire.settimeout(0.5)
    mac = wire.getsockname()[4]
    question = ARP(op=1, hwsrc=mac, psrc=IPV4.kernel, pdst=IPV4.ours)
    wire.send(bytes(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / question))
    return [frame for frame in heard(wire) if ARP in frame and (frame[ARP].op, frame[ARP].psrc) == (2, IPV4.ours)]


def test_one_worker_is_enough() -> None:
    with kernel_alone() as kernel, running("serve", "veth", kernel, workers=1) as run:
        ready(run, 1)
        client, greeted = connect(kernel, IPV4)
        exchange(client, b"hello")
        assert greeted == 0
        assert end(run) == (-signal.SIGTERM, "tidied\n", "")


def test_what_a_router_tells_of_the_path_gets_to_the_worker_whose_connection_it_is_about() -> None:
    """The errors about all flows come to one worker: without ports in it, an ICMP packet has the hash of its addresses."""
    with kernel_alone() as kernel, running("serve", "tun", kernel) as run:
        ready(run)
        with behind_router(Router(IPV4, kernel)) as peer:
            ip(kernel, "link", "set", peer.veth, "mtu", str(SMALL))
            clients, greeted = zip(*(connect(peer.kernel, IPV4) for _ in range(CLIENTS)), strict=True)
            assert set(greeted) == {0, 1}
            for client in clients:
                exchange(client, os.urandom(20_000))
            workers = told(run.process.pid)
            assert {row["info"]["path_mtu"] for worker in workers for row in worker["rows"] if row["remote"]} == {SMALL}
            assert sum(worker["counters"].get("UserstackPassedOn", 0) for worker in workers) > 0
            assert end(run)[0] == -signal.SIGTERM


def heard(wire: socket.socket) -> Iterator[Ether]:
    while True:
        try:
            yield Ether(wire.recv(2000))
        except TimeoutError:
            return


# --- how it ends ---


def test_one_that_fails_ends_all_and_is_told_of() -> None:
    """One program runs after the other: each leaves nothing that is in the way of the next."""
    with kernel_alone() as kernel, running("fail,vanish,lambda_result,tell", "tun", kernel) as run:
        code, out, error = finish(run)
        assert (code, error) == (0, "")
        failed, vanished, not_pickled, results = out.split("--\n")
        assert failed.startswith("tidied\n"), "the other worker was stopped in good order"
        assert "LookupError: nothing here\nin worker 1 (process " in failed
        assert 'raise LookupError("nothing here")' in failed
        assert re.search(r"worker 0 \(process \d+\) ended with code 0, and without a word", vanished)
        assert re.search(r"pickle.*\nin worker \d \(process \d+\):", not_pickled)
        assert results == "results [(0, 'userstack0'), (1, 'userstack0')]\n"


@pytest.mark.parametrize(("link", "number"), [("tun", signal.SIGINT), ("veth", signal.SIGHUP)])
def test_a_signal_ends_all_workers_in_good_order(link: str, number: signal.Signals) -> None:
    """As a terminal sends it: to all processes at once."""
    with kernel_alone() as kernel, running("serve", link, kernel) as run:
        ready(run)
        client, _ = connect(kernel, IPV4)
        os.killpg(run.process.pid, number)
        code, out, _ = finish(run)
        assert (code, out) == (-number, "tidied\ntidied\n")
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_one_worker_is_the_end_of_all(number: signal.Signals) -> None:
    with kernel_alone() as kernel, running("serve", "tun", kernel) as run:
        ready(run)
        [victim] = [worker["pid"] for worker in told(run.process.pid) if worker["number"] == 1]
        os.kill(victim, number)
        code, out, error = finish(run)
        assert (code, out) == (1, "tidied\n" * (2 if number is signal.SIGTERM else 1))
        assert f"worker 1 (process {victim}) was ended by {number.name}" in error


def test_workers_do_not_outlive_who_has_started_them() -> None:
    with kernel_alone() as kernel, running("serve", "tun", kernel) as run:
        ready(run)
        workers = [worker["pid"] for worker in told(run.process.pid)]
        assert len(workers) == 2
        assert end(run, signal.SIGKILL) == (-signal.SIGKILL, "tidied\ntidied\n", "")
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers are gone")


def test_who_does_not_stop_is_killed() -> None:
    with kernel_alone() as kernel, running("hold", "veth", kernel) as run:
        ready(run)
        assert end(run)[0] == -signal.SIGTERM


# --- what cannot be ---


async def never(stack: userstack.Stack) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"workers": 0}, "workers must be 1 to 256, the most queues that a device can have, not 0"),
        ({"workers": 257}, "workers must be 1 to 256, the most queues that a device can have, not 257"),
        ({"workers": 2, "link": "tap"}, "link must be 'tun' or 'veth', not 'tap'"),
        ({"workers": 2, "gateway": "10.77.0.1"}, "a TUN device has no second name and asks for no next hop"),
        ({"workers": 2, "config": StackConfig(ephemeral_ports=(9, 9))}, "2 workers need an ephemeral port each: 9 to 9 are 1"),
        ({"workers": 2, "mtu": 20}, "MTU"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_made(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(words)) as caught:
        userstack.run(never, f"{IPV4.ours}/24", **arguments)
    assert "\n" not in str(caught.value)


def test_too_few_descriptors_are_told_with_the_mend() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        with pytest.raises(
            SetupError, match="256 workers need 1856 descriptors, and the limit is 1024: raise it with: ulimit -n 1856"
        ):
            userstack.run(never, f"{IPV4.ours}/24", workers=256)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_an_unknown_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="there is no setting colour"):
        userstack.run(never, f"{IPV4.ours}/24", workers=2, colour="red")  # type: ignore[call-arg]


@pytest.mark.asyncio
async def test_it_is_not_for_a_running_event_loop() -> None:
    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        userstack.run(never, f"{IPV4.ours}/24", workers=2)
