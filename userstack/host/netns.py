"""Network namespaces: made, entered, removed. Law: only a short-lived thread ever changes its namespace, never the caller's.

The thread is also what keeps pyroute2's synchronous calls, which run an event loop of their own, away from a caller's running loop.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from userstack.host.failures import GRANT, setup_error

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
NAMESPACE_MENDS = {
    errno.EPERM: f"namespaces need the capability SYS_ADMIN; {GRANT}",
    errno.ENOENT: "see which namespaces there are with: ip netns",
}


def in_namespace(namespace: str | None, call: Callable[[], T]) -> T:
    """Run ``call`` on a thread of its own that has entered ``namespace``, and hand on what it returns or raises.

    Raises:
        SetupError: there is no such namespace, or it may not be entered.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            if namespace is not None:
                _enter(namespace)
            results.append(call())
        except BaseException as error:  # it is raised again on the caller's thread
            failures.append(error)

    thread = threading.Thread(target=run, name=f"userstack-netns-{namespace}")
    thread.start()
    thread.join()
    if failures:
        raise failures.pop()
    return results.pop()


def create_namespace(prefix: str = "userstack") -> str:
    """Make a network namespace of a fresh name that begins with ``prefix``, its loopback up. Returns the name.

    Raises:
        SetupError: it cannot be made here.
    """
    name = f"{prefix}-{secrets.token_hex(4)}"
    try:
        in_namespace(None, lambda: _unshare_and_attach(name))
        in_namespace(name, _raise_loopback)
    except (OSError, NetlinkError) as error:
        remove_namespace(name)
        raise setup_error(f"make the network namespace {name}", error, NAMESPACE_MENDS) from error
    return name


def remove_namespace(name: str) -> None:
    """Remove a namespace and, once nothing uses it any more, its devices. One that is gone already is no error.

    Raises:
        SetupError: it may not be removed.
    """
    try:
        netns.remove(name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise setup_error(f"remove the network namespace {name}", error, NAMESPACE_MENDS) from error


@contextmanager
def temporary_namespace(prefix: str = "userstack") -> Iterator[str]:
    """A namespace of a fresh name for the length of a ``with`` block.

    Raises:
        SetupError: it cannot be made here.
    """
    name = create_namespace(prefix)
    try:
        yield name
    finally:
        remove_namespace(name)


def list_namespaces() -> list[str]:
    """The names of the network namespaces of this machine, sorted."""
    return sorted(netns.listnetns())


def _enter(namespace: str) -> None:
    try:
        netns.setns(namespace, flags=0)
    except OSError as error:
        raise setup_error(f"enter the network namespace {namespace}", error, NAMESPACE_MENDS) from error


def _unshare_and_attach(name: str) -> None:
    """Give this thread a namespace of its own and bind it to a name, as ``ip netns add`` does.

    Note: pyroute2's own ``create`` forks, which a process with threads must not (Python 3.12 warns of it).
    """
    Path(netns.NETNS_RUN_DIR).mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    lock = os.open(netns.NETNS_RUN_DIR, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Two that prepare the directory at once would mount it on itself twice (iproute2 takes the same lock).
        fcntl.flock(lock, fcntl.LOCK_EX)
        netns.attach(name, threading.get_native_id())
    finally:
        os.close(lock)


def _raise_loopback() -> None:
    with IPRoute() as routes:
        routes.link("set", index=1, state="up")
