"""Other stacks, under the names that the ratios know: ``lwip``, ``gvisor``, ``pasta``, ``slirp4netns``, ``pytcp``."""

import shutil
import sys
from collections.abc import Sequence
from functools import partial

from userstack.bench.contender import Contender, Mode
from userstack.bench.peers.compiled import build, cache_directory
from userstack.errors import SetupError

PYTCP = "PyTCP==2.7.6"


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
    "lwip": Contender("lwIP 2.1.3 (C), raw callbacks in one loop, no offload", (Mode.TUN,), partial(built, "lwip")),
    "gvisor": Contender(
        "gVisor netstack of December 2022 (Go); over veth its segmentation offload", (Mode.TUN, Mode.VETH), partial(built, "gvisor")
    ),
    "pasta": Contender("pasta (C), a proxy: the kernel serves behind it", (Mode.TUN,), partial(proxied, "pasta", "passt")),
    "slirp4netns": Contender(
        "slirp4netns (C), a proxy: the kernel serves behind it",
        (Mode.TUN,),
        partial(proxied, "slirp4netns", "slirp4netns"),
    ),
    "pytcp": Contender("PyTCP 2.7.6 (Python), a thread for each connection", (Mode.TUN,), installed_pytcp, most_connections=1000),
}
