"""The entry point of the ``userstack`` command. Ctrl-C ends it quietly from the start: even loading the rest takes a while."""

import sys

from userstack.cli.codes import INTERRUPTED


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from userstack.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


if __name__ == "__main__":
    main()
