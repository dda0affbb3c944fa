"""Other stacks, under the names that the ratios know: ``lwip``, ``gvisor``, ``pasta``, ``slirp4netns``, ``pytcp``."""

import shutil
import sys
from collections.abc import Sequence
from functools import partial

from userstack.bench.contender import Contender, Mode
from userstack.bench.peers.compiled import build, cache_directory
from userstack.errors import SetupError

PYTCP = "PyTCP==2.7.6"
BASIC = ("round_trip", "round_trip_one_cpu", "connections", "connections_64", "bulk_in", "bulk_out", "bulk_both")
IDLE = (*BASIC, "idle")
UNFLOODED = (*IDLE, "growth")
"""For those that put no limit on half-open connections: lwIP searches a list of them for every SYN, a proxy makes a socket of each,
and a million SYNs take hours."""


def built(name: str) -> Sequence[str]:
    """The command line of a program of ours against the stack.

    Raises:
        SetupError: it cannot be built.
    """
    return [str(build(name))]


def proxied(name: str, package: str) -> Sequence[str]:
    """The command line of a proxy, and of what serves behind it.

    Raises:
        SetupError: it is not installed, or the services cannot be built.
    """
    if shutil.which(name) is None:
        raise SetupError(f"{name} is not installed: apt-get install {package}")
    return [sys.executable, "-m", "userstack.bench.peers.proxy", name, str(build("services"))]


def installed_pytcp() -> Sequence[str]:
    """The command line of PyTCP's program; ``-O`` leaves out the log that it writes otherwise.

    Note: 2.7.6 is the last on PyPI that runs on every Python of ours. Of 2.7.9 and 2.7.10 just two modules of 73 are there.

    Raises:
        SetupError: it is not installed where we keep it.
    """
    directory = cache_directory() / PYTCP
    if not (directory / "pytcp" / "lib").is_dir():
        raise SetupError(f"pytcp is not installed: pip install --no-deps --target {directory} {PYTCP}")
    return [sys.executable, "-O", "-m", "userstack.bench.peers.pytcp_services", str(directory)]


PEERS: dict[str, Contender] = {
    "lwip": Contender(
        "lwIP 2.1.3 over TUN (C), raw callbacks in one loop, no offload",
        (Mode.TUN,),
        partial(built, "lwip"),
        measures=UNFLOODED,
    ),
    "gvisor": Contender(
        "gVisor's netstack of December 2022 (Go), no offload over TUN, the kernel segments over veth",
        (Mode.TUN, Mode.VETH),
        partial(built, "gvisor"),
    ),
    "pasta": Contender(
        "pasta over TAP (C), a proxy: the kernel serves behind it",
        (Mode.TUN,),
        partial(proxied, "pasta", "passt"),
        most_connections=1000,  # of ten thousand it resets some
        measures=UNFLOODED,
    ),
    "slirp4netns": Contender(
        "slirp4netns over TAP (C), a proxy: the kernel serves behind it",
        (Mode.TUN,),
        partial(proxied, "slirp4netns", "slirp4netns"),
        most_connections=1000,  # of a quarter of a mebibyte each
        measures=UNFLOODED,
    ),
    "pytcp": Contender(
        "PyTCP 2.7.6 over TAP (Python), a thread for each connection",
        (Mode.TUN,),
        installed_pytcp,
        most_connections=300,  # what each is looked at for once a millisecond: a thousand take half a minute to be there
        measures=IDLE,
    ),
}
