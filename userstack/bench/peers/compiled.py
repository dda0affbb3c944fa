"""The contenders that are programs of ours against the system's libraries: compiled when first wanted, then kept in a cache."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from userstack.errors import SetupError

SOURCES = Path(__file__).parent
GOCODE = "/usr/share/gocode"
"""Where Debian keeps the sources of Go packages."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one program is made."""

    source: str
    """File beside this one."""
    compiler: str
    command: tuple[str, ...]
    """Its arguments, with SOURCE and TARGET for the two files."""
    needs: tuple[str, ...]
    """Files of the packages that must be there, of which a change asks for a new build."""
    packages: str
    """What to install for compiler and files, by Debian's names."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """With CACHE for a directory that the compiler may use."""


C = ("-O2", "-o", "TARGET", "SOURCE")
RECIPES = {
    "lwip": Recipe(
        "lwip.c",
        "gcc",
        (*C, "-I/usr/include/lwip", "-llwip"),
        ("/usr/include/lwip/lwip/tcp.h", "/usr/include/stdio.h"),
        "gcc libc6-dev liblwip-dev",
    ),
    "services": Recipe("services.c", "gcc", C, ("/usr/include/stdio.h",), "gcc libc6-dev"),
    "gvisor": Recipe(
        "gvisor.go",
        "go",
        ("build", "-o", "TARGET", "SOURCE"),
        (f"{GOCODE}/src/gvisor.dev/gvisor/pkg/tcpip/link/fdbased/endpoint.go",),
        "golang-go golang-gvisor-gvisor-dev",
        # Debian's Go packages have no modules: they are found below GOPATH, and nothing is ever downloaded.
        {"GO111MODULE": "off", "GOPATH": GOCODE, "GOFLAGS": "", "GOCACHE": "CACHE/go", "CGO_ENABLED": "0"},
    ),
}


def cache_directory() -> Path:
    """Where built programs are kept between runs (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "userstack" / "bench"


def build(name: str, cache: Path | None = None) -> Path:
    """The path of a program, which is compiled first if its source, its command or a library has changed since.

    Args:
        name: of the recipe.
        cache: the directory to keep it in; None for the user's.

    Raises:
        SetupError: a package is missing, or the compiler has failed. One line.
    """
    recipe = RECIPES[name]
    check_needs(name, recipe)
    directory = cache or cache_directory()
    target = directory / f"{name}-{_fingerprint(recipe)}"
    if not target.exists():
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory) as fresh:
                # Two that build at once do not meet: each moves its own whole program into place.
                Path(_compile(name, recipe, Path(fresh) / name, directory)).replace(target)
        except SetupError:
            raise
        except OSError as error:
            raise SetupError(f"cannot build {name} in {directory}: {error.strerror}") from error
    return target


def check_needs(name: str, recipe: Recipe) -> None:
    """See that compiler and library are installed.

    Raises:
        SetupError: they are not; it says what to install.
    """
    missing = [*([] if shutil.which(recipe.compiler) else [recipe.compiler]), *(n for n in recipe.needs if not Path(n).exists())]
    if missing:
        raise SetupError(f"{name} cannot be built without {missing[0]}: apt-get install {recipe.packages}")


def _fingerprint(recipe: Recipe) -> str:
    parts: Sequence[object] = (
        (SOURCES / recipe.source).read_text(encoding="utf-8"),
        recipe.command,
        [Path(need).stat().st_mtime_ns for need in recipe.needs],
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _compile(name: str, recipe: Recipe, target: Path, cache: Path) -> Path:
    words = {"SOURCE": str(SOURCES / recipe.source), "TARGET": str(target)}
    arguments = [words.get(word, word) for word in recipe.command]
    environment = {key: value.replace("CACHE", str(cache)) for key, value in recipe.environment.items()}
    done = subprocess.run(
        [recipe.compiler, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.split("\n")
        told = next((line for line in lines if "error" in line), lines[0])
        raise SetupError(f"cannot build {name}: {recipe.compiler} says: {told.strip()}")
    return target
