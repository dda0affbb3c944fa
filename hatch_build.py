"""The build hook: with USERSTACK_COMPILE=1 a wheel carries the data path compiled by mypyc, from the same source.

USERSTACK_COMPILE=1 pip install .        # wants a C compiler and the headers of Python

The sources stay in the wheel, and beside each stands its extension module, which Python prefers. Everything is made in a folder of
its own: an extension module left in the clone would hide every later change of the source beside it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "USERSTACK_COMPILE"
COMPILED = (
    "address.py", "wire/*.py", "tcp/*.py", "tcp/congestion/*.py", "net/*.py",
    "runtime/busy_poll.py", "runtime/driver.py", "runtime/waiters.py",
)  # fmt: skip
INTERPRETED = {
    # no docstrings are left of what is compiled, which help() shows of public names; config.py, counters.py and trace.py stay, too
    "tcp/info.py",
    # mypyc looks for the type of an annotation of a NamedTuple or dataclass among the names of the module: OSError is not there
    "net/icmp.py",
    "tcp/report.py",
    # what mypyc compiles takes no weak references
    "tcp/connection.py",
    "tcp/path.py",
    "tcp/settings.py",  # the base of Connection: an interpreted class cannot have a compiled one
    # scapy is not typed
    "wire/scapy_codec.py",
}


class CompiledBuild(BuildHookInterface[Any]):
    """Compiles ``COMPILED`` but for ``INTERPRETED``."""

    folder: Path | None = None

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return ["mypy[mypyc]~=2.4.1", "setuptools>=77"] if self._wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have what came of it put into the wheel."""
        if not self._wanted or version == "editable":
            return
        self.folder = Path(mkdtemp(prefix="userstack-build-"))
        package = shutil.copytree(Path(self.root, "userstack"), self.folder / "userstack", ignore=shutil.ignore_patterns("*.so"))
        chosen = sorted(path.relative_to(package).as_posix() for pattern in COMPILED for path in package.glob(pattern))
        files = [f"userstack/{name}" for name in chosen if name not in INTERPRETED and not name.endswith("__init__.py")]
        try:
            subprocess.run(
                [sys.executable, "-m", "mypyc", "--ignore-missing-imports", *files],
                cwd=self.folder,
                env={"MYPYC_OPT_LEVEL": "2", "MYPYC_DEBUG_LEVEL": "0", **os.environ},
                check=True,
            )
        except BaseException:
            shutil.rmtree(self.folder)  # for then ``finalize`` is not called
            raise
        made = [*self.folder.glob("*.so"), *package.rglob("*.so")]
        build_data["force_include"].update({str(path): path.relative_to(self.folder).as_posix() for path in made})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if self.folder is not None:
            shutil.rmtree(self.folder)

    @property
    def _wanted(self) -> bool:
        return self.target_name == "wheel" and os.environ.get(SWITCH, "") not in {"", "0"}
