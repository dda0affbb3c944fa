"""The table of all contenders."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from userstack.bench.contender import Contender, Mode
from userstack.bench.peers import PEERS
from userstack.errors import SetupError

BULK = ("bulk_in", "bulk_out", "bulk_both")
BASIC = ("round_trip", "round_trip_one_cpu", "connections", "connections_64", *BULK)
LOOP = ("round_trip", "round_trip_one_cpu", "connections", "connections_64", "bulk_in", "bulk_out")


def program(name: str, *options: str) -> Callable[[], Sequence[str]]:
    """The command of one of our programs."""
    return lambda: (sys.executable, "-m", f"userstack.bench.programs.{name}", *options)


def stack(loop: str, *options: str) -> Callable[[], Sequence[str]]:
    """The command of userstack's, on an event loop that has to be there."""

    def command() -> Sequence[str]:
        if loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
            raise SetupError("uvloop is missing: install it with pip install 'userstack[fast]'")
        return program("stack", "--loop", loop, *options)()

    return command


def own_contenders(loop: str) -> dict[str, Contender]:
    """userstack, the bare loop and the kernel.

    Args:
        loop: the event loop of userstack's programs, ``asyncio`` or ``uvloop``; with asyncio uvloop is measured beside it.
    """
    tun = (Mode.TUN,)
    own = {
        "userstack": Contender(f"userstack over TUN with offload, on {loop}", tun, stack(loop)),
        "userstack-plain": Contender(
            f"userstack over TUN without offload, on {loop}", tun, stack(loop, "--no-offload"), measures=BULK
        ),
        "userstack-veth": Contender(f"userstack over veth, on {loop}", (Mode.VETH,), stack(loop), measures=BASIC),
        "userstack-uvloop": Contender("userstack over TUN with offload, on uvloop", tun, stack("uvloop"), measures=BASIC),
        "loop": Contender("the bare Python loop over TUN with offload", tun, program("loop"), measures=LOOP),
        "loop-plain": Contender(
            "the bare Python loop over TUN without offload", tun, program("loop", "--no-offload"), measures=("bulk_in", "bulk_out")
        ),
        "kernel": Contender("the kernel over veth, served by Python", (Mode.VETH,), program("kernel"), own_memory=False),
    }
    if loop == "uvloop":
        del own["userstack-uvloop"]
    return own


def labelled(contenders: dict[str, Contender]) -> dict[str, tuple[Contender, Mode]]:
    """Each as often as it has modes: the second is told apart by ``-veth``, and measured in what a device can change."""
    found: dict[str, tuple[Contender, Mode]] = {}
    for name, contender in contenders.items():
        for mode in contender.modes:
            if mode is Mode.VETH and len(contender.modes) > 1:
                found[f"{name}-veth"] = replace(contender, measures=BASIC), mode
            else:
                found[name] = contender, mode
    return found


def choose(*, loop: str, peers: bool, only: Sequence[str]) -> dict[str, tuple[Contender, Mode]]:
    """Those to measure.

    Args:
        loop: see ``own_contenders``.
        peers: whether the other stacks are among them.
        only: names, of ours or of peers; empty for all.

    Raises:
        SetupError: there is none of such a name.
    """
    own, others = labelled(own_contenders(loop)), labelled(PEERS)
    known = own | others
    for name in only:
        if name not in known:
            raise SetupError(f"there is no contender {name}: there are {', '.join(known)}")
    if only:
        return {name: known[name] for name in known if name in only}
    return known if peers else own


def peers_over_tun() -> list[str]:
    """The names of the other stacks over TUN, for the ratios."""
    return [name for name, (_, mode) in labelled(PEERS).items() if mode is Mode.TUN]
