"""The table of scripts, and what several of them record."""

import socket
from collections.abc import Callable

from tests.sim.world import Sock, World

Script = Callable[[World], None]
SCRIPTS: dict[str, Script] = {}
SO_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
SO_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER)
SO_REUSEADDR = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
ANY = "0.0.0.0"


def script(function: Script) -> Script:
    """Register a script under its function's name."""
    SCRIPTS[function.__name__] = function
    return function


def names(w: World, label: str, s: Sock) -> None:
    """Record both names of a socket."""
    w.step(f"{label}: getsockname", s.getsockname)
    w.step(f"{label}: getpeername", s.getpeername)


def drained(w: World, label: str, s: Sock) -> None:
    """Record what every transferring call gives, twice over, so that what is told once and what stays both show."""
    for turn in ("first", "again"):
        w.step(f"{label}, {turn}: recv", s.recv, 100)
        w.step(f"{label}, {turn}: send", s.send, b"x")
