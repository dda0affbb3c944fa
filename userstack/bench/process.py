"""The contender's and the client's processes: started in their namespace, watched, ended. Law: a process group is ended whole."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from userstack.bench.undisturbed import undisturbed
from userstack.errors import UserstackError
from userstack.host.failures import setup_error
from userstack.host.netns import in_namespace

PATIENCE = 20.0
"""Seconds that a contender may take to be ready."""
GRACE = 3.0
"""Seconds that a process has between SIGTERM and SIGKILL."""
TICKS = os.sysconf("SC_CLK_TCK")


class MeasureFailed(UserstackError):
    """A contender did not do what was to be measured: its figure is left out, and the reason told."""


class Group:
    """A process that was started as the leader of a group, and its helpers."""

    def __init__(self, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._process = process
        self._errors = errors
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def line(self, timeout: float) -> str:
        """The next line of its standard output.

        Raises:
            MeasureFailed: it has ended, or says nothing for so long.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise MeasureFailed(f"no word for {timeout:.0f} s") from None
        if line is None:
            raise MeasureFailed(self.complaint())
        return line

    def go_on(self) -> None:
        """Answer a word that it waits for an answer to."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died: the next line tells
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()

    def complaint(self) -> str:
        """The last line of its standard error, or how it ended."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            return "it has closed its standard output"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        told = [line.strip() for line in lines if line.strip()]
        return told[-1] if told else f"ended with exit code {code}"

    def is_alive(self) -> bool:
        """Whether the leader still runs."""
        return self._process.poll() is None

    def processes(self) -> Iterator[Path]:
        """The directories in /proc of all that are in the group."""
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError):  # it has ended since
                if os.getpgid(int(entry.name)) == self._process.pid:
                    yield entry

    def cpu_seconds(self) -> float:
        """CPU time that the group has used, ended helpers that it has waited for included."""
        ticks = 0
        for entry in self.processes():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(") ")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / TICKS

    def memory_kib(self) -> float:
        """Memory that the group has to itself, its share of what others have too: PSS."""
        total = 0
        for entry in self.processes():
            with suppress(OSError):
                total += _pss((entry / "smaps_rollup").read_text())
        return float(total)

    def pin(self, processors: set[int]) -> None:
        """Keep every thread of the group to these processors."""
        for entry in self.processes():
            for task in (entry / "task").glob("[0-9]*"):
                with suppress(OSError):
                    os.sched_setaffinity(int(task.name), processors)

    def end(self) -> None:
        """Ask it to end, and make it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + GRACE
            if self._is_there():
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
            while self._is_there() and time.monotonic() < deadline:
                time.sleep(0.005)
        self._reader.join(GRACE)
        # A helper that has left the group still holds the pipe; to close it would be to wait for the reader.
        pipes = (self._process.stdin, self._errors, *([] if self._reader.is_alive() else [self._process.stdout]))
        for pipe in pipes:
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _is_there(self) -> bool:
        """Whether anything of the group still runs; the leader is waited for, or it would stay in it as a zombie."""
        return self.is_alive() or any(map(_runs, self.processes()))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.decode(errors="replace").strip())
        self._lines.put(None)


@contextmanager
def started(namespace: str | None, arguments: Sequence[str]) -> Iterator[Group]:
    """A process in a namespace, the leader of a group of its own; ended with the block.

    Raises:
        SetupError: it cannot be run.
    """
    group: Group | None = None
    try:
        with undisturbed():
            group = _start(namespace, arguments)
        yield group
    finally:
        if group is not None:
            with undisturbed():
                group.end()


def _start(namespace: str | None, arguments: Sequence[str]) -> Group:
    errors = tempfile.TemporaryFile()  # noqa: SIM115 # the group closes it
    pipe = subprocess.PIPE
    try:
        process = in_namespace(
            namespace,
            lambda: subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=errors, start_new_session=True),
        )
    except OSError as error:
        errors.close()
        raise setup_error(f"run {arguments[0]}", error) from error
    return Group(process, errors)


def run_client(
    namespace: str, measure: str, address: str, *, limit: float, held: Callable[[], None] | None = None, **settings: object
) -> dict[str, float]:
    """Run one measure of the client to its end.

    Args:
        namespace: of the client.
        measure: its name.
        address: of the contender.
        limit: seconds that the client may be silent for.
        held: is called whenever the client waits for the harness to look at the contender.
        **settings: of the measure.

    Raises:
        MeasureFailed: the contender did not serve, or not within ``limit``.
    """
    words = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    with started(namespace, [sys.executable, "-m", "userstack.bench.client", measure, address, *words]) as client:
        while (line := client.line(limit)) == "held":
            if held is not None:
                held()
            client.go_on()
    return {str(name): float(value) for name, value in json.loads(line).items()}


def _runs(entry: Path) -> bool:
    """Whether it is more than a zombie, which a leader that is gone may have left to a slow init."""
    try:
        return (entry / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def _pss(rollup: str) -> int:
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
