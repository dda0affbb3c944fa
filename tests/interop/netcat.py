"""``userstack nc`` in the test's own namespace and the kernel's ``nc`` in another one, both fed and drained here.

Law: what goes in is noise from a seed, so that no byte out of place could go unseen; neither program's input ends before the test
says so, which can thus look at both when all that they were given is through and they still live.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Event
from typing import IO, Any

from tests.interop.families import IPV4, Family
from tests.interop.waiting import eventually
from tests.interop.world import is_listening
from tests.support.netns import KernelNamespace
from userstack.api.control import control_directory, query, running

PORT = 7000
ROOT = Path(__file__).parents[2]
"""From here the package is found even where it is not installed."""
BLOCK = 1 << 16
TRANSFER = 100.0
"""Seconds that a transfer may take."""


@dataclass
class End:
    """One of the two programs."""

    process: subprocess.Popen[bytes]
    sent: Future[str]
    """SHA-256 of what it was given."""
    received: Future[str]
    """SHA-256 of what it gave."""
    complete: Event
    """It has given all that was expected, or has ended."""

    @property
    def peak_memory(self) -> int:
        """The most memory that the process has had so far, in bytes."""
        status = Path("/proc", str(self.process.pid), "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def ask(self, command: str) -> Any:
        """Ask the stack in it, over its control socket; None while there is none yet."""
        assert self.process.poll() is None, self.finish()
        path = next((found.path for found in running() if found.pid == self.process.pid), None)
        return None if path is None else query(path, command)

    def connections(self, state: str) -> list[dict[str, Any]]:
        """The stack's connections in a state."""
        return [row for row in self.ask("connections") or [] if row["state"] == state]

    def finish(self) -> tuple[int, str]:
        """Wait for the end of the program: its exit code, and what it said on standard error."""
        assert self.process.stderr is not None
        complaint = self.process.stderr.read().decode(errors="replace")
        code = self.process.wait(timeout=30)
        assert list(control_directory().glob(f"*{self.process.pid}-*")) == [], "its control socket is left"
        return code, complaint


@dataclass
class Pair:
    """Both programs, connected."""

    ours: End
    kernel: End
    release: Event
    """Ends the input of both."""

    def wait_until_through(self) -> None:
        """Wait until either has given all that the other was given."""
        for end in (self.ours, self.kernel):
            assert end.complete.wait(TRANSFER), "the transfer hangs"


@contextmanager
def netcats(kernel: KernelNamespace, size: int, *options: str, family: Family = IPV4, we_listen: bool) -> Iterator[Pair]:
    """``size`` bytes each way at once; ``options`` are for ``userstack nc``. What still runs at the end is killed."""
    release = Event()
    here = ["--netns", kernel.name, *options]
    with ThreadPoolExecutor(4) as pool:
        started: list[subprocess.Popen[bytes]] = []

        def start(process: subprocess.Popen[bytes], seed: int) -> End:
            started.append(process)
            assert process.stdin is not None
            assert process.stdout is not None
            complete = Event()
            sent = pool.submit(feed, process.stdin, noise(seed, size), release)
            return End(process, sent, pool.submit(drain, process.stdout, size, complete), complete)

        try:
            if we_listen:
                ours = start(userstack("nc", *family.netcat_options, "-l", "-N", *here, str(PORT)), 1)
                eventually(lambda: ours.connections("LISTEN") != [], "userstack nc listens")
                theirs = start(_kernel_nc(kernel, "-N", family.netcat_ours, str(PORT)), 2)
            else:
                theirs = start(_kernel_nc(kernel, *family.netcat_options, "-N", "-l", str(PORT)), 2)
                eventually(lambda: is_listening(kernel, PORT), "nc listens")
                ours = start(userstack("nc", "-N", *here, family.netcat_kernel, str(PORT)), 1)
            yield Pair(ours, theirs, release)
        finally:
            release.set()
            for process in started:
                process.kill()
                process.wait()
                assert process.stderr is not None
                process.stderr.close()


def userstack(*arguments: str) -> subprocess.Popen[bytes]:
    """The ``userstack`` command."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "userstack", *arguments]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)


def noise(seed: int, size: int) -> Iterator[bytes]:
    """``size`` bytes without any pattern."""
    random = Random(seed)
    for offset in range(0, size, BLOCK):
        yield random.randbytes(min(BLOCK, size - offset))


def feed(pipe: IO[bytes], blocks: Iterator[bytes], release: Event) -> str:
    """Write all blocks, then wait to be told before the pipe is closed. Returns the SHA-256."""
    digest = hashlib.sha256()
    # A program that ends early breaks the pipe: what it received, its exit code and its complaint then say more than that.
    with suppress(BrokenPipeError), pipe:
        for block in blocks:
            digest.update(block)
            pipe.write(block)
            pipe.flush()
        release.wait()
    return digest.hexdigest()


def drain(pipe: IO[bytes], size: int, complete: Event) -> str:
    """Read to the end; ``complete`` is set once ``size`` bytes have come. Returns the SHA-256."""
    digest = hashlib.sha256()
    received = 0
    with pipe:
        while block := pipe.read1(BLOCK):  # type: ignore[attr-defined] # a buffered reader has it
            digest.update(block)
            received += len(block)
            if received >= size:
                complete.set()
    complete.set()
    return digest.hexdigest()


def _kernel_nc(kernel: KernelNamespace, *arguments: str) -> subprocess.Popen[bytes]:
    return kernel.popen(["nc", *arguments], stdin=subprocess.PIPE)
