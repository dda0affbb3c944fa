"""The table of scripts, and what several of them record."""

import socket
from collections.abc import Callable
from typing import NamedTuple

from tests.sim.world import FAMILIES, Names, Sock, World

Script = Callable[[World], None]


class Case(NamedTuple):
    """A script, and the addresses that it runs with."""

    run: Script
    names: Names


CASES: dict[str, Case] = {}
SO_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
SO_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER)
SO_REUSEADDR = (socket.SOL_SOCKET, socket.SO_REUSEADDR)


def script(function: Script) -> Script:
    """Register a script under its function's name, once for each family of addresses."""
    return script_of(*FAMILIES)(function)


def script_of(*families: str) -> Callable[[Script], Script]:
    """Register a script that makes sense in those families only."""

    def register(function: Script) -> Script:
        for family in families:
            CASES[f"{function.__name__}-{family}"] = Case(function, FAMILIES[family])
        return function

    return register


def names(w: World, label: str, s: Sock) -> None:
    """Record both names of a socket."""
    w.step(f"{label}: getsockname", s.getsockname)
    w.step(f"{label}: getpeername", s.getpeername)


def drained(w: World, label: str, s: Sock) -> None:
    """Record what every transferring call gives, twice over, so that what is told once and what stays both show."""
    for turn in ("first", "again"):
        w.step(f"{label}, {turn}: recv", s.recv, 100)
        w.step(f"{label}, {turn}: send", s.send, b"x")
