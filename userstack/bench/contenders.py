"""The table of all contenders."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from userstack.bench.contender import Contender, Mode
from userstack.bench.peers import PEERS
from userstack.errors import SetupError

BULK = ("bulk_in", "bulk_out", "bulk_both")
BASIC = ("round_trip", "round_trip_one_cpu", "connections", "connections_64", *BULK)
LOOP = ("round_trip", "round_trip_one_cpu", "connections", "connections_64", "bulk_in", "bulk_out")


def program(name: str, *options: str) -> Callable[[], Sequence[str]]:
    """The command of one of our programs."""
    return lambda: (sys.executable, "-m", f"userstack.bench.programs.{name}", *options)


def stack(loop: str, *options: str, python: Path | None = None) -> Callable[[], Sequence[str]]:
    """The command of userstack's, on an event loop that has to be there; that of another ``python`` than this one's, if given."""

    def command() -> Sequence[str]:
        if loop == "uvloop" and importlib.util.find_spec("uvloop") is None:
            raise SetupError("uvloop is missing: install it with pip install 'userstack[fast]'")
        name, *rest = program("stack", "--loop", loop, *options)()
        # -P: what is installed there, and not what lies in the current directory
        return (name, *rest) if python is None else (str(python), "-P", *rest)

    return command


def is_compiled(python: Path) -> bool:
    """The userstack of that interpreter is compiled.

    Raises:
        SetupError: it has none.
    """
    asked = [str(python), "-P", "-c", "import userstack.tcp.output as output; print(output.__file__)"]
    try:
        told = subprocess.run(asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        raise SetupError(f"{python} has no userstack: name the Python of an environment that it is installed in") from None
    return not told.stdout.strip().endswith(".py")


def own_contenders(loop: str, compiled: Path | None = None) -> dict[str, Contender]:
    """userstack, the bare loop and the kernel.

    Args:
        loop: the event loop of userstack's programs, ``asyncio`` or ``uvloop``; with asyncio uvloop is measured beside it.
        compiled: the Python of an environment whose userstack is compiled: it is what is measured then, and this one's, which is
            not, is measured beside it.
    """
    tun = (Mode.TUN,)
    what = "userstack" if compiled is None else "userstack, compiled,"
    own = {
        "userstack": Contender(f"{what} over TUN with offload, on {loop}", tun, stack(loop, python=compiled)),
        "userstack-plain": Contender(
            f"{what} over TUN without offload, on {loop}", tun, stack(loop, "--no-offload", python=compiled), measures=BULK
        ),
        "userstack-veth": Contender(f"{what} over veth, on {loop}", (Mode.VETH,), stack(loop, python=compiled), measures=BASIC),
        "userstack-uvloop": Contender(
            f"{what} over TUN with offload, on uvloop", tun, stack("uvloop", python=compiled), measures=BASIC
        ),
        "userstack-2-workers": Contender(
            f"{what} over TUN with offload, in two processes",
            tun,
            stack("asyncio", "--workers", "2", python=compiled),
            measures=BASIC,
        ),
        "loop": Contender("the bare Python loop over TUN with offload", tun, program("loop"), measures=LOOP),
        "loop-plain": Contender(
            "the bare Python loop over TUN without offload", tun, program("loop", "--no-offload"), measures=("bulk_in", "bulk_out")
        ),
        "kernel": Contender("the kernel over veth, served by Python", (Mode.VETH,), program("kernel"), own_memory=False),
    }
    if loop == "uvloop":
        del own["userstack-uvloop"]
    if compiled is not None:
        own["userstack-pure"] = Contender(
            f"userstack in pure Python over TUN with offload, on {loop}", tun, stack(loop), measures=BASIC
        )
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


def choose(*, loop: str, peers: bool, only: Sequence[str], compiled: Path | None = None) -> dict[str, tuple[Contender, Mode]]:
    """Those to measure.

    Args:
        loop: see ``own_contenders``.
        peers: whether the other stacks are among them.
        only: names, of ours or of peers; empty for all.
        compiled: see ``own_contenders``.

    Raises:
        SetupError: there is none of such a name.
    """
    own, others = labelled(own_contenders(loop, compiled)), labelled(PEERS)
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
