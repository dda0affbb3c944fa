"""The kernel's sockets as a ``World``, in a network namespace that lives as long as the process that runs this module.

``python -m tests.sim.kernel_world`` prints the record of every script as JSON; ``kernel_records`` starts it in the namespace.
"""

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

from tests.sim.scripts import SCRIPTS
from tests.sim.world import HERE, OUTSIDE, SILENT, THERE, Sock, World, port_of

SETUP = f"""
set -e
ip link set lo up
ip addr add {HERE}/32 dev lo
ip addr add {THERE}/32 dev lo
ip link add v0 type veth peer name v1
ip addr add {OUTSIDE}/24 dev v0
ip link set v0 up
ip link set v1 up
ip neigh add {SILENT} lladdr 02:00:00:00:00:99 dev v0 nud permanent
ip route add default via {SILENT}
exec "$@"
"""
QUIET = 0.002
"""Seconds: the loopback delivers inside the call, so this only waits for what the kernel defers."""


class KernelWorld(World):
    """Both ends are the kernel's own, over the loopback."""

    def _make(self, server: bool) -> Sock:
        return self._ready(cast("Sock", socket.socket()))

    def _ready(self, accepted: Sock) -> Sock:
        cast("socket.socket", accepted).setblocking(False)
        return accepted

    def settle(self) -> None:
        select.select([], [], [], QUIET)


def main() -> None:
    """Run every script and print the records."""
    records: dict[str, list[tuple[str, str]]] = {}
    for index, (name, run) in enumerate(SCRIPTS.items()):
        world = KernelWorld(port_of(index))
        run(world)
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
