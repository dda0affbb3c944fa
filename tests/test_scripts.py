"""The commands of a fresh clone: what they say on a machine that lacks something, and that set-up happens once.

Each test copies the scripts into a clone of its own (with a space in its path) and gives them a PATH of its own, on which python3
is a stand-in: it tells a version, and instead of making an environment and installing packages it notes that it was asked to.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = (
    *("scripts/bench", "scripts/demo", "scripts/test", "scripts/compose-check", ".ci/run"),
    *("docker/stack", "docker/peer", "docker/serve"),
)
# What the scripts themselves call.
BASICS = (
    *("bash", "cat", "chmod", "cut", "dirname", "env", "find", "mkdir", "mktemp", "nice", "rm", "sed", "setsid", "sh", "sha256sum"),
    *("sort", "tail", "xargs"),
)
TOOLS = ("curl", "ip", "ping", "tcpdump", "tshark")

PYTHON = """#!/bin/sh
case "$*" in
    --version) echo "Python {version}" ;;
    *version_info*) echo {version} ;;
    "-c import ensurepip, venv") exit {no_venv} ;;
    "-c import pip") [ -f "$(dirname "$0")/pip" ] ;;
    "-m venv --clear "*)
        echo "venv $4" >>"$NOTES"
        mkdir -p "$4/bin"
        cp "$0" "$4/bin/python"
        printf '#!/bin/sh\\necho userstack "$@"\\nexit 7\\n' >"$4/bin/userstack"
        for tool in pip ruff mypy; do
            printf '#!/bin/sh\\necho %s "$@"\\n' $tool >"$4/bin/$tool"
        done
        chmod +x "$4"/bin/* ;;
    "-m pip install "*) shift; echo "$@" >>"$NOTES" ;;
    "-m compileall -q -j 2 userstack") [ -z "${{PYTHONDONTWRITEBYTECODE-}}" ] ;;
    "-m pytest "* | "-P -m pytest "*) echo "Python {version}: $*"; exit {pytest} ;;
    "-P -c import userstack.tcp.output"*) ;;
    *sysconfig*) echo "$HOME/include" ;;
    *) echo "the stand-in python knows nothing of $*" >&2; exit 99 ;;
esac
"""


@dataclass
class Clone:
    """A copy of the scripts, and a machine for them: a directory of commands."""

    root: Path
    commands: Path

    def add(self, name: str, text: str) -> None:
        """Put a command on the machine."""
        path = self.commands / name
        path.unlink(missing_ok=True)  # a link to the machine's own: what is written must not go there
        path.write_text(text)
        path.chmod(0o755)

    def add_python(self, name: str = "python3", version: str = "3.11", *, venv: bool = True, pytest: int = 0) -> None:
        """Put a stand-in Python on the machine; ``pytest``: the exit code of pytest under it."""
        self.add(name, PYTHON.format(version=version, no_venv=int(not venv), pytest=pytest))

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts, from outside the clone unless ``cwd`` says otherwise."""
        environment = {"PATH": str(self.commands), "HOME": str(self.root), "NOTES": str(self.root / "notes")}
        return subprocess.run(
            command, cwd=cwd or self.root.parent, env=environment, capture_output=True, text=True, check=False, timeout=30
        )

    def script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a script by its absolute path."""
        return self.run(str(self.root / name), *arguments)

    def notes(self) -> list[str]:
        """What the stand-in was asked to make, in order; forgotten afterwards."""
        path = self.root / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    root = tmp_path / "my clone"
    root.mkdir()
    for name in ("scripts", ".ci", "pyproject.toml"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in (*BASICS, "cp"):
        found = shutil.which(name)
        assert found is not None, name
        (commands / name).symlink_to(found)
    machine = Clone(root, commands)
    for name in TOOLS:
        machine.add(name, "#!/bin/sh\n")
    machine.add("nc", "#!/bin/sh\necho OpenBSD netcat\n")
    machine.add("id", "#!/bin/sh\necho 0\n")
    return machine


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """What a script that gave up said: a single line, on standard error."""
    assert result.returncode == 1, result
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_can_be_run_and_parse(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


# --- what is missing ---


def test_demo_names_the_package_of_a_missing_nc(clone: Clone) -> None:
    clone.add_python()
    (clone.commands / "nc").unlink()
    assert one_line(clone.script("scripts/demo")) == "scripts/demo: nc is missing: apt-get install netcat-openbsd"
    assert clone.notes() == []


def test_test_names_all_missing_packages_at_once(clone: Clone) -> None:
    clone.add_python(venv=False)
    for name in ("nc", "ping", "ip"):
        (clone.commands / name).unlink()
    text = one_line(clone.script("scripts/test"))
    packages = "netcat-openbsd iproute2 iputils-ping python3-venv"
    assert text == f"scripts/test: nc, ip, ping, python3-venv are missing: apt-get install {packages}"


def test_test_wants_the_netcat_whose_options_it_knows(clone: Clone) -> None:
    clone.add_python()
    clone.add("nc", "#!/bin/sh\necho '[v1.10-47]'\n")
    assert one_line(clone.script("scripts/test")) == "scripts/test: OpenBSD's nc is missing: apt-get install netcat-openbsd"


@pytest.mark.parametrize("script", ["scripts/demo", "scripts/test"])
def test_a_machine_without_python(clone: Clone, script: str) -> None:
    text = one_line(clone.script(script))
    assert text == f"{script}: Python 3.11 or newer is missing: apt-get install python3 python3-venv"


def test_a_python_too_old(clone: Clone) -> None:
    clone.add_python(version="3.9")
    text = one_line(clone.script("scripts/demo"))
    assert text == "scripts/demo: Python 3.11 or newer (python3 is 3.9) is missing: apt-get install python3.11 python3.11-venv"


def test_a_python_that_cannot_make_environments(clone: Clone) -> None:
    clone.add_python(venv=False)
    assert one_line(clone.script("scripts/demo")) == "scripts/demo: python3-venv is missing: apt-get install python3-venv"


def test_another_python_that_cannot_make_environments_is_not_skipped(clone: Clone) -> None:
    clone.add_python()
    clone.add_python("python3.13", "3.13", venv=False)
    assert one_line(clone.script("scripts/test")) == "scripts/test: python3.13-venv is missing: apt-get install python3.13-venv"


def test_without_root_and_sudo(clone: Clone) -> None:
    clone.add_python()
    clone.add("id", "#!/bin/sh\necho 1000\n")
    assert "root is needed" in one_line(clone.script("scripts/demo"))


def test_compose_check_says_how_an_engine_is_had(clone: Clone) -> None:
    clone.add_python()
    text = one_line(clone.script("scripts/compose-check"))
    assert text == "compose-check: docker, docker-compose are missing: apt-get install docker.io docker-compose"


# --- set-up ---


def test_demo_sets_up_once_and_passes_arguments_and_exit_code_on(clone: Clone) -> None:
    clone.add_python()
    first = clone.script("scripts/demo", "--device", "veth", "--pcap", "a b")
    assert (first.returncode, first.stdout) == (7, "userstack demo --device veth --pcap a b\n")
    assert clone.notes() == ["venv .venv", "pip install -qq --disable-pip-version-check --editable ."]
    again = clone.script("scripts/demo", "--device=veth")
    assert (again.returncode, again.stderr) == (7, "")
    assert clone.notes() == []


def test_bench_has_an_environment_of_its_own_with_what_it_needs_beside(clone: Clone) -> None:
    clone.add_python()
    first = clone.script("scripts/bench", "--help", "--quick", "--json", "a b")  # with --help neither root nor TUN is asked for
    assert (first.returncode, first.stdout) == (7, "userstack bench --help --quick --json a b\n")
    assert clone.notes() == ["venv .venv-bench", "pip install -qq --disable-pip-version-check --editable .[fast,plot]"]
    assert clone.script("scripts/bench", "--help").stdout == "userstack bench --help\n"
    assert clone.notes() == []


def test_demo_installs_again_when_the_project_file_has_changed(clone: Clone) -> None:
    clone.add_python()
    clone.script("scripts/demo", "--help")
    clone.notes()
    with (clone.root / "pyproject.toml").open("a") as file:
        file.write("\n# another dependency\n")
    clone.script("scripts/demo", "--help")
    assert clone.notes() == ["pip install -qq --disable-pip-version-check --editable ."]


def test_an_environment_of_another_version_is_made_anew(clone: Clone) -> None:
    clone.add_python()
    clone.script("scripts/demo", "--help")
    clone.notes()
    clone.add_python(version="3.12")
    shutil.copy(clone.commands / "python3", clone.root / ".venv/bin/python")  # as after an upgrade of the whole system
    clone.add_python(version="3.13")
    clone.script("scripts/demo", "--help")
    assert clone.notes() == ["venv .venv", "pip install -qq --disable-pip-version-check --editable ."]


def test_help_needs_neither_root_nor_tools(clone: Clone) -> None:
    clone.add_python()
    clone.add("id", "#!/bin/sh\necho 1000\n")
    (clone.commands / "nc").unlink()
    assert clone.script("scripts/demo", "--help").stdout == "userstack demo --help\n"


def test_demo_becomes_root_by_sudo_after_the_set_up(clone: Clone) -> None:
    clone.add_python()
    clone.add("id", "#!/bin/sh\necho 1000\n")
    clone.add("sudo", '#!/bin/sh\necho sudo "$@"\n')
    result = clone.script("scripts/demo", "--device", "veth")
    assert result.stdout == f"sudo -- {clone.root}/.venv/bin/userstack demo --device veth\n"


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_demo_runs_by_a_relative_path_through_a_shell(clone: Clone, shell: str) -> None:
    clone.add_python()
    result = clone.run(shell, "scripts/demo", "--help", cwd=clone.root)
    assert (result.returncode, result.stdout) == (7, "userstack demo --help\n")


def test_the_newest_python_serves_where_python3_is_old(clone: Clone) -> None:
    clone.add_python(version="3.9")
    clone.add_python("python3.11", "3.11")
    clone.add_python("python3.12", "3.12")
    assert "(Python 3.12)" in clone.script("scripts/demo", "--help").stderr


def test_setup_only_makes_an_environment_for_every_version(clone: Clone) -> None:
    clone.add_python()
    clone.add_python("python3.12", "3.12")
    pyenv = clone.root / ".pyenv/versions"
    for version in ("3.13.9", "3.13.10"):
        (pyenv / version / "bin").mkdir(parents=True)
    clone.add_python("../my clone/.pyenv/versions/3.13.10/bin/python", "3.13")  # 3.13.9 is empty, and must not be chosen
    result = clone.script("scripts/test", "--setup-only")
    assert (result.returncode, result.stdout) == (0, "")
    install = "pip install -qq --disable-pip-version-check --editable .[test]"
    assert clone.notes() == ["venv .venv", install, "venv .venv-3.12", install, "venv .venv-3.13", install]
    assert clone.script("scripts/test", "--setup-only").returncode == 0
    assert clone.notes() == []


# --- the run ---


def test_test_checks_once_and_runs_pytest_on_every_version(clone: Clone) -> None:
    clone.add_python()
    clone.add_python("python3.12", "3.12")
    result = clone.script("scripts/test", "-k", "a b")
    assert result.returncode == 0
    lines = [line for line in result.stdout.splitlines() if line]
    pytest = "-m pytest -n 4 --maxschedchunk=4"
    assert [line.split()[0] for line in lines[:3]] == ["ruff", "ruff", "mypy"]
    assert lines[3::2] == ["scripts/test: Python 3.11", "scripts/test: Python 3.12"]
    assert lines[4::2] == [f"Python 3.11: {pytest} -k a b", f"Python 3.12: {pytest} -m not once --hypothesis-profile=brief -k a b"]


@pytest.fixture
def compiler(clone: Clone) -> Clone:
    """A machine that can compile, too."""
    clone.add("cc", "#!/bin/sh\n")
    for name in ("include", "userstack", "tests"):
        (clone.root / name).mkdir()
    for name in ("include/Python.h", "hatch_build.py"):
        (clone.root / name).touch()
    return clone


def test_a_whole_run_ends_with_what_is_compiled(compiler: Clone) -> None:
    compiler.add_python()
    compiler.add_python("python3.12", "3.12")
    compiler.add_python("python3.13", "3.13")
    result = compiler.script("scripts/test")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line][3:]
    assert lines[::2] == ["scripts/test: Python 3.11", "scripts/test: Python 3.13", "scripts/test: Python 3.12, compiled"]
    assert lines[-1].startswith("Python 3.12: -P -m pytest -n 4")
    assert lines[-1].endswith(" tests/runtime tests/api")
    install = "pip install -qq --disable-pip-version-check"
    made = compiler.notes()
    assert [note for note in made if note.startswith("venv")] == ["venv .venv", "venv .venv-3.13", "venv .venv-compiled-test"]
    assert made.count(f"{install} --editable .[test]") == 2
    assert made.count(f"{install} .[test]") == 1


def test_what_cannot_be_compiled_fails_the_whole_run(compiler: Clone) -> None:
    compiler.add_python()
    compiler.add_python("python3.12", "3.12")
    compiler.add("nice", "#!/bin/sh\nexit 1\n")
    result = compiler.script("scripts/test")
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        1,
        "scripts/test: the data path could not be compiled (see above)",
    )


def test_a_chosen_test_is_not_worth_compiling(compiler: Clone) -> None:
    compiler.add_python()
    compiler.add_python("python3.12", "3.12")
    assert "compiled" not in compiler.script("scripts/test", "-k", "a").stdout


def test_the_stand_ins_are_not_written_into_the_machine(clone: Clone) -> None:
    there = clone.root / "of the machine"
    there.touch()
    (clone.commands / "tool").symlink_to(there)
    clone.add("tool", "#!/bin/sh\n")
    assert there.read_text() == ""


def test_the_version_that_fails_has_the_last_word(clone: Clone) -> None:
    clone.add_python(pytest=3)
    clone.add_python("python3.12", "3.12")
    result = clone.script("scripts/test")
    assert (result.returncode, result.stdout.splitlines()[-1]) == (3, "Python 3.11: -m pytest -n 4 --maxschedchunk=4")


def test_ci_installs_what_is_missing_and_hands_over(clone: Clone) -> None:
    clone.add_python()
    (clone.commands / "tshark").unlink()
    tshark = clone.commands / "tshark"
    clone.add(
        "apt-get",
        f'#!/bin/sh\necho apt-get "$@"\ncase $1 in install) printf "#!/bin/sh\\n" >"{tshark}"; chmod +x "{tshark}" ;; esac\n',
    )
    result = clone.script(".ci/run", "--setup-only")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["apt-get update -qq", "apt-get install -y -qq --no-install-recommends tshark"]
    assert clone.script(".ci/run", "--setup-only").stdout == ""
