"""The processes of ``userstack.run``, seen from the one that starts them. Law: when it is over, however, none of them is left.

They speak over a pipe each. The worker sends ``(RETURNED, result)`` or ``(FAILED, error)``; a word of the parent's means that all
have returned, and the end of the pipe that the worker has to stop, which so reaches it also when the parent is killed.
"""

import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

from userstack.errors import WorkerEnded

RETURNED, FAILED = "returned", "failed"
LEAVE = "leave"
PATIENCE = 5.0
"""Seconds that a worker which has been stopped may take to put things in order; then it is killed."""
ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""The signals that end a run."""

Job = Callable[[int, Connection], None]
"""What a worker does: its number, its end of the pipe."""


class Member:
    """One worker."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ours, self.theirs = get_context("fork").Pipe()
        self.process: ForkProcess | None = None
        self.returned = False

    def hear(self) -> Any:  # noqa: ANN401 # whatever it returned
        """What it says: the result of its ``main``; the next time None, at its end.

        Raises:
            BaseException: what it failed with.
            WorkerEnded: it is gone, and not because its work was done.
        """
        assert self.process is not None
        try:
            kind, value = self.ours.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode
            if code == 0 and self.returned:
                return None
            raise WorkerEnded(f"worker {self.number} (process {self.process.pid}) {_told(code or 0)}") from None
        if kind == FAILED:
            raise value
        self.returned = True
        return value


class Crew:
    """``count`` workers that do ``job``, running until the context is left.

    Note: forked, so that ``main`` may be any function, and all that was made for the workers is theirs already.
    """

    def __init__(self, count: int, job: Job) -> None:
        self._members = [Member(number) for number in range(count)]
        self._job = job

    def __enter__(self) -> "Crew":
        try:
            with _signals_held():
                for member in self._members:
                    member.process = get_context("fork").Process(
                        target=self._work, args=(member,), name=f"userstack worker {member.number}"
                    )
                    member.process.start()
            for member in self._members:
                member.theirs.close()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def results(self) -> list[Any]:
        """Wait until all have returned, and let them go then. Of several that fail the first to say so counts.

        Raises:
            BaseException: what ``main`` failed with in one of them.
            WorkerEnded: one is gone.
        """
        found = dict(self._hear_all())
        for member in self._members:
            with suppress(OSError):  # it is gone: told below
                member.ours.send(LEAVE)
        for _ in self._hear_all():
            pass
        return [found[member] for member in self._members]

    def _hear_all(self) -> Iterator[tuple[Member, Any]]:
        waiting = {member.ours: member for member in self._members}
        while waiting:
            for pipe in wait(waiting):
                member = waiting.pop(pipe)  # type: ignore[call-overload] # ``wait`` gives back what it was given
                yield member, member.hear()

    def _work(self, member: Member) -> None:
        """In the worker: keep what is its own."""
        for other in self._members:
            other.ours.close()
            if other is not member:
                other.theirs.close()
        self._job(member.number, member.theirs)

    def _end(self) -> None:
        for member in self._members:
            member.ours.close()
            member.theirs.close()
        processes = [member.process for member in self._members if member.process is not None and member.process.pid]
        end = time.monotonic() + PATIENCE
        try:
            for process in processes:
                process.join(max(0.0, end - time.monotonic()))
        finally:
            for process in processes:
                if process.exitcode is None:
                    process.kill()
                    process.join()
                process.close()


def portable(error: BaseException, number: int) -> BaseException:
    """``error`` as it can go to the parent, with a note of where it was raised; one that cannot goes as a RuntimeError."""
    told = "".join(traceback.format_exception(error)).rstrip()
    try:
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # our own
        if type(copy) is not type(error) or str(copy) != str(error):
            raise TypeError
    except Exception:
        error = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    error.__traceback__ = error.__cause__ = error.__context__ = None
    error.add_note(f"in worker {number} (process {os.getpid()}):\n{told}")
    return error


@contextmanager
def _signals_held() -> Iterator[None]:
    """No signal comes between a fork and the worker's being ready for it: see ``release_signals``."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def release_signals() -> None:
    """In a worker, once it is ready for them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def _told(code: int) -> str:
    return f"ended with code {code}, and without a word" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
