"""A running stack seen from another process: JSON lines over a unix socket. Law: it answers, and changes nothing.

A request is one line, ``{"command": "connections"}``; the answer is one line, ``{"ok": true, "result": ...}`` or
``{"ok": false, "error": "..."}``. The socket is open to its owner alone, is named by process id and a number, and goes with the
stack; what a killed process left behind is removed by whoever looks next.
"""

import asyncio
import itertools
import json
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from userstack.errors import SetupError

LONGEST_REQUEST = 4096
"""Bytes; a client that sends more without an end of line is cut off."""
ACCEPT_PAUSE = 1.0
"""Seconds without new clients once one could not be taken in, as for want of descriptors: the loop would turn for nothing."""
ANSWER_TIMEOUT = 5.0
"""Seconds that ``query`` waits for a stack whose event loop may be busy."""

Commands = dict[str, Callable[[], Any]]
"""What can be asked, and who answers with what JSON can hold."""

_numbers = itertools.count(1)


class RunningStack(NamedTuple):
    """A stack that answers at ``path``."""

    pid: int
    path: Path


def control_directory() -> Path:
    """Where this user's sockets stand: ``/run/userstack`` for root, else under ``XDG_RUNTIME_DIR``, else a temporary folder."""
    if os.geteuid() == 0 and Path("/run").is_dir():
        return Path("/run/userstack")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "userstack" if runtime else Path(tempfile.gettempdir()) / f"userstack-{os.geteuid()}"


def running(directory: Path | None = None) -> list[RunningStack]:
    """Every stack of this user that answers, in the order of their process ids; sockets that nobody serves are removed."""
    found = []
    for path in (directory or control_directory()).glob("*.sock"):
        pid, _, _ = path.name.partition("-")
        if not pid.isdecimal():
            continue
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(ANSWER_TIMEOUT)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue
            else:
                found.append(RunningStack(int(pid), path))
    return sorted(found)


def query(path: Path, command: str) -> Any:  # noqa: ANN401 # whatever JSON holds
    """Ask the stack at ``path``: ``connections`` (a list of rows), ``counters`` (a dict) or ``info`` (a dict).

    Raises:
        SetupError: nobody answers there, or the command is unknown.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_TIMEOUT)
            connection.connect(str(path))
            connection.sendall(json.dumps({"command": command}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                line = lines.readline()
    except OSError as error:
        raise SetupError(f"no stack answers at {path} ({error.strerror or error}): is it still running?") from error
    if not line.endswith(b"\n"):
        raise SetupError(f"the stack at {path} went away while it answered")
    answer = json.loads(line)
    if not answer["ok"]:
        raise SetupError(answer["error"])
    return answer["result"]


@asynccontextmanager
async def serve(commands: Commands, directory: Path | None = None) -> AsyncIterator[Path]:
    """Answer ``commands`` on a new socket until the context is left; gives the socket's path.

    Raises:
        SetupError: the folder cannot be made, or others could write to it.
    """
    folder = directory or control_directory()
    _make_private(folder)
    path = folder / f"{os.getpid()}-{next(_numbers)}.sock"
    with closing(_Server(_listen(path), commands)):
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat(follow_symlinks=False)
    except OSError as error:
        raise SetupError(f"cannot make {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SetupError(f"{folder} must be a folder that only you can write to: remove it, or set XDG_RUNTIME_DIR")


def _listen(path: Path) -> socket.socket:
    # It takes its name only when it is private and listens: a name that refuses connections is then always a dead process's.
    listener = socket.socket(socket.AF_UNIX)
    hidden = path.with_name(f".{path.name}")
    try:
        hidden.unlink(missing_ok=True)
        listener.bind(str(hidden))
        hidden.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
        hidden.rename(path)
    except OSError as error:
        listener.close()
        with suppress(OSError):
            hidden.unlink(missing_ok=True)
        raise SetupError(f"cannot make the control socket {path}: {error.strerror or error}") from error
    return listener


class _Server:
    """Takes clients in. Without tasks, so that at the end nobody is half accepted."""

    def __init__(self, listener: socket.socket, commands: Commands) -> None:
        self._listener = listener
        self._commands = commands
        self._sessions: set[_Session] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._watch()

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for session in list(self._sessions):
            session.close()

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # the client is gone again
            return
        except OSError:  # the client waits on, and the listener stays readable
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(ACCEPT_PAUSE, self._watch)
            return
        client.setblocking(False)
        self._sessions.add(_Session(client, self._commands, self._sessions.discard))


class _Session:
    """One client. While it does not read its answers, its requests are not read either."""

    def __init__(self, client: socket.socket, commands: Commands, forget: Callable[["_Session"], None]) -> None:
        self._socket = client
        self._commands = commands
        self._forget = forget
        self._request = b""
        self._answers = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(client, self._read)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._forget(self)

    def _read(self) -> None:
        data = self._receive()
        if data is None:
            return
        *lines, self._request = (self._request + data).split(b"\n")
        for line in lines:
            self._answers += json.dumps(self._answer(line)).encode() + b"\n"
        if not data or len(self._request) > LONGEST_REQUEST:
            self.close()
        elif self._answers:
            self._write()

    def _receive(self) -> bytes | None:
        try:
            return self._socket.recv(LONGEST_REQUEST)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._answers)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        self._answers = self._answers[sent:]
        if self._answers:
            self._loop.remove_reader(self._socket)
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)
            self._loop.add_reader(self._socket, self._read)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            command = self._commands[json.loads(line)["command"]]
        except (ValueError, TypeError, KeyError):
            known = ", ".join(self._commands)
            return {"ok": False, "error": f'a request is {{"command": NAME}}, NAME one of: {known}'}
        return {"ok": True, "result": command()}
