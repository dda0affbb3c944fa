"""The build hook: with USERSTACK_COMPILE a wheel carries the data path compiled by mypyc, from the same source.

USERSTACK_COMPILE=1 pip install .          # wants a C compiler and the headers of Python
USERSTACK_COMPILE=quick pip install .      # in two thirds of the time, and slower: without training

GCC compiles twice, and between the two runs userstack/bench/training.py, which shows it the ways through the code that are gone:
what is not on them is laid elsewhere, and more of the rest stays in the processor's caches (profile-guided optimization).

The sources stay in the wheel, and beside each stands its extension module, which Python prefers. Everything is made in a folder of
its own: an extension module left in the clone would hide every later change of the source beside it.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH, QUICK = "USERSTACK_COMPILE", "quick"
USING = ("-fprofile-partial-training", "-Wno-missing-profile")
"""What goes with a profile: what it knows nothing of is optimized as without one."""
PATIENCE = 300
"""Seconds: the training takes some."""
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
        """What the build needs beside hatchling; to be trained userstack must run."""
        if not self._wanted:
            return []
        return ["mypy[mypyc]~=2.4.1", "setuptools>=77", *(self.metadata.core.dependencies if self._is_to_train else [])]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have what came of it put into the wheel."""
        if not self._wanted or version == "editable":
            return
        self.folder = Path(mkdtemp(prefix="userstack-build-"))
        place, profile = self.folder / "place", self.folder / "profile"
        try:
            if self._is_to_train:
                self._compile(place, f"-fprofile-generate={profile}")
                _train(place)
                if not any(profile.glob("*.gcda")):
                    raise RuntimeError(f"the training has left no profile in {profile}")
                shutil.rmtree(place)  # and made anew: the profile is found by the paths of the objects
                made = self._compile(place, f"-fprofile-use={profile}", *USING)
            else:
                made = self._compile(place)
        except BaseException:
            shutil.rmtree(self.folder)  # for then ``finalize`` is not called
            raise
        build_data["force_include"].update({str(path): path.relative_to(place).as_posix() for path in made})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        if self.folder is not None:
            shutil.rmtree(self.folder)

    def _compile(self, place: Path, *flags: str) -> list[Path]:
        """The extension modules, made in ``place``, where the sources are too then."""
        package = shutil.copytree(Path(self.root, "userstack"), place / "userstack", ignore=shutil.ignore_patterns("*.so"))
        chosen = sorted(path.relative_to(package).as_posix() for pattern in COMPILED for path in package.glob(pattern))
        files = [f"userstack/{name}" for name in chosen if name not in INTERPRETED and not name.endswith("__init__.py")]
        subprocess.run(
            [sys.executable, "-m", "mypyc", "--ignore-missing-imports", *files],
            cwd=place,
            env={
                "MYPYC_OPT_LEVEL": "2",
                "MYPYC_DEBUG_LEVEL": "0",
                **os.environ,
                "PYTHONHASHSEED": "0",  # what is compiled twice must be the same twice
                "CFLAGS": " ".join((os.environ.get("CFLAGS", ""), *map(shlex.quote, flags))),
            },
            check=True,
        )
        return [*place.glob("*.so"), *package.rglob("*.so")]

    @property
    def _wanted(self) -> bool:
        return self.target_name == "wheel" and os.environ.get(SWITCH, "") not in {"", "0"}

    @property
    def _is_to_train(self) -> bool:
        return os.environ.get(SWITCH) != QUICK and _can_train()


def _can_train() -> bool:
    """The compiler is a GCC that is new enough; Clang keeps profiles in a way of its own."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    try:
        told = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True)
        subprocess.run([*compiler, *USING, "-fsyntax-only", "-xc", os.devnull], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return "Free Software Foundation" in told.stdout


def _train(place: Path) -> None:
    """Run what is compiled in ``place``; as it ends it writes its profile."""
    path = os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))
    subprocess.run(
        [sys.executable, "-m", "userstack.bench.training"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=PATIENCE,
    )
