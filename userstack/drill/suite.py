"""Many scripts, each over several IP versions, in processes side by side: one bad script never takes the others down."""

import os
import signal
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from userstack.config import StackConfig
from userstack.drill import parser, shell, sysctls
from userstack.drill.codeblocks import CodeBlocks
from userstack.drill.errors import NotSupported, ScriptError
from userstack.drill.lacking import lacking
from userstack.drill.outcome import Outcome, Verdict
from userstack.drill.run import run_script
from userstack.drill.script import Command, Script
from userstack.drill.settings import Variant
from userstack.drill.tcpinfo import FREEBSD, LINUX
from userstack.errors import SetupError

PROFILES = {"default": StackConfig, "linux": StackConfig.linux, "freebsd": StackConfig.freebsd}
SUFFIX = ".pkt"
TIME_LIMIT = 60
"""Seconds of real time that one script may take: the longest in virtual time take a few hundredths of one."""
_PATIENCE = 0.05
"""Seconds until a process is asked again to end."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How scripts are run."""

    profile: str | None = None
    """A name of ``PROFILES``; None: the one that the script's own sysctl names choose."""
    strict: bool = False
    defines: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = TIME_LIMIT


@dataclass(frozen=True, slots=True)
class Case:
    """One script over one IP version; None is the script's own."""

    path: Path
    variant: Variant | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case, and the seconds of real time that it took."""

    case: Case
    outcome: Outcome
    seconds: float


def find(paths: Sequence[Path]) -> list[Path]:
    """The scripts that are named, and those within the directories that are, in the order of their names.

    Raises:
        SetupError: a path does not exist, or a directory has no script in it.
    """
    scripts: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob(f"*{SUFFIX}"))
            if not found:
                raise SetupError(f"no script in {path}: none of its files ends in {SUFFIX}")
            scripts += found
        elif path.exists():
            scripts.append(path)
        else:
            raise SetupError(f"no script {path}: there is no such file or directory")
    return list(dict.fromkeys(scripts))


def run_suite(cases: Sequence[Case], manner: Manner, jobs: int) -> Generator[Result, None, None]:
    """The results, each as soon as it is there; ``jobs`` processes work on them, which end when it is closed."""
    yield from _retry(cases, manner, jobs) if jobs > 1 and len(cases) > 1 else (run_case(case, manner) for case in cases)


def run_case(case: Case, manner: Manner) -> Result:
    """Run one script in this process. Nothing is raised: what goes wrong is the outcome."""
    began = time.monotonic()
    try:
        outcome = _limited(case, manner)
    except NotSupported as error:
        outcome = Outcome(Verdict.SKIPPED, error.reason, error.place)
    except ScriptError as error:
        outcome = Outcome(Verdict.FAILED, error.message, error.place)
    except _Overdue:
        outcome = Outcome(Verdict.FAILED, f"not done after {manner.time_limit:g} s of real time")
    return Result(case, outcome, time.monotonic() - began)


def _retry(cases: Sequence[Case], manner: Manner, jobs: int) -> Iterator[Result]:
    """Whoever was in work when a process died is run again, alone: the one that kills its process is found so."""
    undone = set(cases)
    for result in _side_by_side(cases, manner, jobs):
        undone.discard(result.case)
        yield result
    for case in cases:
        if case in undone:
            dead = Result(case, Outcome(Verdict.FAILED, "its process died"), 0.0)
            yield next(_side_by_side([case], manner, 1), dead)


def _side_by_side(cases: Sequence[Case], manner: Manner, jobs: int) -> Iterator[Result]:
    """Results up to the death of a process. Whoever takes no more of them ends what is still at work."""
    others = set(active_children())
    pool = ProcessPoolExecutor(min(jobs, len(cases)), mp_context=get_context("spawn"), initializer=_begin_work)
    try:
        with _without_interrupts():
            futures: list[Future[Result]] = [pool.submit(run_case, case, manner) for case in cases]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        return
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        _stop(set(active_children()) - others)


def _stop(workers: Iterable[BaseProcess]) -> None:
    """End the scripts that are at work as their time limit would, until the processes have nothing left to do.

    Note: one that is killed while it hands over a result leaves the pool waiting for the rest of it.
    """
    while alive := [worker for worker in workers if worker.is_alive()]:
        for worker in alive:
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGALRM)
        alive[0].join(_PATIENCE)


def _begin_work() -> None:
    """No script, no limit of its time."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is for the process that shows the results: those that are made meanwhile never get it, not even as they start."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Overdue(BaseException):
    """The script's time is up. No ``Exception``: nothing on the way may take it for an error of its own."""


def _limited(case: Case, manner: Manner) -> Outcome:
    def on_alarm(_: int, __: FrameType | None) -> None:
        raise _Overdue

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, manner.time_limit)
    try:
        return _run(case, manner)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _run(case: Case, manner: Manner) -> Outcome:
    script = _load(case, manner)
    leading = [event.action for event in takewhile(lambda event: isinstance(event.action, Command), script.events)]
    settings = [*_from_files(script), *_from_commands([*script.initial, *leading], script)]
    profile = manner.profile or sysctls.profile_of(settings)
    return run_script(
        replace(script, events=script.events[len(leading) :]) if len(leading) < len(script.events) else script,
        config=sysctls.apply(settings, PROFILES[profile]()),
        variant=case.variant,
        strict=manner.strict,
        hooks=_ScriptHooks(script.path.parent, profile),
        lacking=lacking(profile, settings),
    )


def _load(case: Case, manner: Manner) -> Script:
    try:
        return parser.load(case.path, manner.defines)
    except OSError as error:
        raise ScriptError(None, f"cannot be read: {error.strerror}") from None


def _from_files(script: Script) -> list[shell.Setting]:
    """The settings of ``--init_scripts``."""
    names = [name for name in script.options.get("init_scripts", "").split(",") if name]
    return [setting for name in names for setting in shell.read_settings(f"sh {name}", script.path.parent)]


def _from_commands(commands: Sequence[object], script: Script) -> list[shell.Setting]:
    texts = [command.text for command in commands if isinstance(command, Command)]
    return [setting for text in texts for setting in shell.read_settings(text, script.path.parent)]


class _ScriptHooks(CodeBlocks):
    """Runs the code blocks of one script, and reads the commands within it."""

    def __init__(self, directory: Path, profile: str) -> None:
        super().__init__(FREEBSD if profile == "freebsd" else LINUX)
        self._directory = directory

    def command(self, text: str) -> None:
        """A command once the system runs: only such settings as change nothing here."""
        sysctls.check_live(shell.read_settings(text, self._directory))
