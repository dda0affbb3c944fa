"""What runs inside a namespace: processes, sockets of the kernel, kernel settings."""

import errno
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from userstack.errors import SetupError
from userstack.host.failures import setup_error
from userstack.host.netns import in_namespace


def popen(
    namespace: str | None,
    arguments: Sequence[str],
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """``subprocess.Popen`` whose process lives in ``namespace``.

    Raises:
        SetupError: the program or the namespace is not there.
    """
    try:
        return in_namespace(namespace, lambda: subprocess.Popen(arguments, stdin=stdin, stdout=stdout, stderr=stderr))
    except FileNotFoundError as error:
        raise SetupError(f"cannot run {arguments[0]}: it is not installed", errno.ENOENT) from error


def open_socket(namespace: str | None, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """A socket of the kernel that belongs to ``namespace``, for use from anywhere.

    Raises:
        SetupError: the kernel refuses one.
    """
    try:
        return in_namespace(namespace, lambda: socket.socket(family, kind, protocol))
    except SetupError:
        raise
    except OSError as error:
        raise setup_error("open a socket", error) from error


def read_sysctl(name: str, *, namespace: str | None = None) -> str:
    """The value of a kernel setting, ``net.ipv4.ip_forward`` or, where a part has a dot, ``net/ipv4/conf/eth0.1/forwarding``.

    Raises:
        SetupError: there is no such setting.
    """
    try:
        return in_namespace(namespace, lambda: _sysctl_path(name).read_text(encoding="ascii").strip())
    except FileNotFoundError as error:
        raise setup_error(f"read {name}", error, {errno.ENOENT: "this kernel has no such setting"}) from error


def write_sysctl(name: str, value: str, *, namespace: str | None = None) -> None:
    """Change a kernel setting.

    Raises:
        SetupError: there is no such setting, it is read-only here, or the value is refused.
    """

    def write() -> None:
        _sysctl_path(name).write_text(value, encoding="ascii")

    try:
        in_namespace(namespace, write)
    except SetupError:
        raise
    except OSError as error:
        mends = {errno.EROFS: "/proc/sys is read-only here: set it from outside, in a container with sysctls"}
        raise setup_error(f"set {name} to {value}", error, mends) from error


def set_congestion_control(algorithm: str, *, namespace: str | None = None) -> bool:
    """Set the kernel's default congestion control; False where this machine does not let it be set."""
    try:
        write_sysctl("net.ipv4.tcp_congestion_control", algorithm, namespace=namespace)
    except SetupError:
        return False
    return True


def _sysctl_path(name: str) -> Path:
    return Path("/proc/sys", *name.split("/" if "/" in name else "."))
