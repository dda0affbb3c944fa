"""Other stacks, under the names that the ratios know: ``lwip``, ``gvisor``, ``pasta``, ``slirp4netns``, ``pytcp``."""

import shutil
import sys
from collections.abc import Sequence
from functools import partial

from userstack.bench.contender import Contender, Mode
from userstack.bench.peers.build import build
from userstack.errors import SetupError


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
}
