"""A real netcat in a namespace, driven by its pipes. Law: however the demo ends, the process is gone and its pipes are closed."""

import os
import signal
import subprocess
from types import TracebackType
from typing import Self

from userstack.cli.stdio import Input
from userstack.cli.waiting import until
from userstack.host.inside import popen


class NcProcess:
    """A running netcat; leaving its context kills it if it still runs.

    Args:
        namespace: the network namespace that it runs in.
        arguments: its command line.

    Raises:
        SetupError: it cannot be run.
    """

    def __init__(self, namespace: str, arguments: list[str]) -> None:
        self.command = " ".join(["nc", *arguments[1:]])
        """As a person would type it."""
        self._process = popen(namespace, arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._source = Input(self._stdout.fileno())

    def say(self, text: bytes) -> None:
        """Type ``text`` into it, a few bytes at most."""
        os.write(self._stdin.fileno(), text)

    async def hear(self, size: int) -> bytes:
        """What it writes to its output, up to ``size`` bytes; less where it ends before."""
        heard = b""
        while len(heard) < size and (block := await self._source.read()):
            heard += block
        return heard

    def end_input(self) -> None:
        """Close its standard input."""
        self._stdin.close()

    async def pause(self) -> None:
        """Stop it, and wait until it stands still: from now on only its kernel acts."""
        self._process.send_signal(signal.SIGSTOP)
        await until(self._stands_still)

    def resume(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    async def exit_code(self) -> int:
        """Wait until it has ended."""
        await until(lambda: self._process.poll() is not None)
        return int(self._process.returncode)

    def _stands_still(self) -> bool:
        kinds = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, kinds) is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()
