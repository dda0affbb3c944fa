"""The kernel's sockets as a ``World``, in a network namespace that lives as long as the process that runs this module.

``python -m tests.sim.kernel_world`` prints the record of every script as JSON; ``kernel_records`` starts it in the namespace.
"""

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

from tests.sim.scripts import CASES
from tests.sim.world import EVENTS, IPV4, IPV6, LOCAL_HERE, LOCAL_SILENT, LOCAL_THERE, Names, Sock, World, port_of

SETUP = f"""
set -e
ip link set lo up
ip link add v0 type veth peer name v1
ip link set v0 addrgenmode none
ip link set v1 addrgenmode none
for address in {IPV4.here}/32 {IPV4.there}/32 {IPV6.here}/128 {IPV6.there}/128; do ip addr add $address dev lo; done
ip addr add {IPV4.outside}/24 dev v0
for address in {IPV6.outside} {LOCAL_THERE} {LOCAL_HERE}; do ip addr add $address/64 dev v0 nodad; done
ip link set v0 up
ip link set v1 up
for address in {IPV4.silent} {IPV6.silent} {LOCAL_SILENT}; do
  ip neigh add $address lladdr 02:00:00:00:00:99 dev v0 nud permanent
done
ip route add default via {IPV4.silent}
ip -6 route add default via {IPV6.silent}
exec "$@"
"""
SIOCATMARK = 0x8905
QUIET = 0.002
"""Seconds: the loopback delivers inside the call, so this only waits for what the kernel defers."""


class KernelWorld(World):
    """Both ends are the kernel's own, over the loopback."""

    def __init__(self, port: int, names: Names) -> None:
        super().__init__(port, names)
        self.link = socket.if_nametoindex("v0")

    def _make(self, server: bool, family: int) -> Sock:
        return self._ready(cast("Sock", socket.socket(family)))

    def _ready(self, accepted: Sock) -> Sock:
        cast("socket.socket", accepted).setblocking(False)
        return accepted

    def at_mark(self, sock: Sock) -> bool:
        return fcntl.ioctl(cast("socket.socket", sock), SIOCATMARK, bytes(4)) != bytes(4)

    def events(self, sock: Sock) -> int:
        poller = select.poll()
        poller.register(cast("socket.socket", sock), EVENTS)
        return next((events for _, events in poller.poll(0)), 0)

    def settle(self) -> None:
        select.select([], [], [], QUIET)


def main() -> None:
    """Run every script and print the records."""
    records: dict[str, list[tuple[str, str]]] = {}
    for index, (name, case) in enumerate(CASES.items()):
        world = KernelWorld(port_of(index), case.names)
        case.run(world)
        world.finish()
        records[name] = world.record
    json.dump(records, sys.stdout)


def kernel_records() -> dict[str, list[tuple[str, str]]]:
    """Every script's record on the kernel, from a namespace of its own; nothing of it is left afterwards."""
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    command = [*unshare, "sh", "-c", SETUP, "sh", sys.executable, "-m", "tests.sim.kernel_world"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[2])
    if done.returncode != 0:
        raise RuntimeError(f"the kernel's run failed; it needs root, iproute2 and util-linux: {done.stderr.strip()}")
    return {name: [(label, result) for label, result in record] for name, record in json.loads(done.stdout).items()}


if __name__ == "__main__":
    main()
