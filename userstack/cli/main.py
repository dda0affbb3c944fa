"""The entry point of the ``userstack`` command. A signal ends it quietly from the start: even loading the rest takes a while."""

import os
import signal
import sys
from types import FrameType

from userstack.cli.codes import INTERRUPTED, ended_by, heeded


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        for number in heeded():
            signal.signal(number, _end)
        _open_standard_streams()
        from userstack.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    failed = _deliver_output()
    sys.exit(code or failed)


def _end(number: int, _: FrameType | None) -> None:
    """Unwind, so that everything made is removed; an event loop has a handler of its own."""
    sys.exit(ended_by(number))


def _open_standard_streams() -> None:
    """Put /dev/null where standard input, output or error is closed, or the next file opened, a device perhaps, takes its place.

    Without a stream ``print`` says nothing, and what is meant for standard error goes to standard output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 # as Python itself would have opened it
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _deliver_output() -> int:
    """Write out what is still held back; 1 where nobody takes it, and then Python's own attempt at exit must find nothing."""
    failed = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            failed = 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return failed


if __name__ == "__main__":
    main()
