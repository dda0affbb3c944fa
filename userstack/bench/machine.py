"""What was measured on: figures of two machines are not compared."""

import os
import platform
from importlib import metadata
from pathlib import Path

from userstack.bench.contender import Mode
from userstack.bench.world import MTU, congestion_control, make_world


def describe() -> dict[str, str | int | float]:
    """Processor, memory, kernel, Python, what the client's TCP is set to."""
    with make_world(Mode.TUN) as world:
        congestion = congestion_control(world.kernel)
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_mib": int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) // 1024,
        "load": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "userstack": _version("userstack"),
        "uvloop": _version("uvloop"),
        "congestion_control": congestion,
        "mtu": MTU,
    }


def _field(path: str, name: str) -> str | None:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
