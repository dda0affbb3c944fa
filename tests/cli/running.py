"""Runs the ``userstack`` command as a person would, with the kernel's netcat at the other end, in a namespace of the test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from userstack.host.inside import popen

ROOT = Path(__file__).parents[2]
USERSTACK = [sys.executable, "-m", "userstack.cli.main"]
PATIENCE = 30
"""Seconds after which a command that should have ended fails its test."""


def userstack(
    *arguments: str, stdin: bytes = b"", prefix: Sequence[str] = (), environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end."""
    return subprocess.run(
        [*prefix, *USERSTACK, *arguments],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        check=False,
    )


class Running:
    """A command under way, with pipes to it."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin: IO[bytes] = process.stdin
        self.stdout: IO[bytes] = process.stdout
        self.stderr: IO[bytes] = process.stderr
        self.told = ""

    def type(self, data: bytes) -> None:
        """Write to its standard input."""
        self.stdin.write(data)
        self.stdin.flush()

    def wait_for(self, words: str) -> str:
        """Read its standard error up to the line that holds ``words``; gives the line."""
        for raw in self.stderr:
            line = raw.decode()
            self.told += line
            if words in line:
                return line
        raise AssertionError(f"{words!r} was never said, but: {self.told}")


@contextmanager
def started(process: "subprocess.Popen[bytes]") -> Iterator[Running]:
    """Whatever becomes of the test, the process is gone and its pipes are closed."""
    with ExitStack() as held:
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            held.callback(pipe.close)
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


@contextmanager
def running(*arguments: str, prefix: Sequence[str] = ()) -> Iterator[Running]:
    """``userstack`` with ``arguments``, in the background."""
    command = [*prefix, *USERSTACK, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)
    with started(process) as run:
        yield run


@contextmanager
def kernel(namespace: str, *command: str) -> Iterator[Running]:
    """A program on the kernel's side, in the background."""
    pipe = subprocess.PIPE
    with started(popen(namespace, command, stdin=pipe, stdout=pipe, stderr=pipe)) as run:
        yield run
