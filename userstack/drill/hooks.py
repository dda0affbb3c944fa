"""What a runner leaves to others: shell commands within a script, and blocks of Python."""

from typing import Protocol

from userstack.drill.errors import NotSupported
from userstack.tcp.info import ConnectionInfo


class Hooks(Protocol):
    """Both may raise ``NotSupported``, which skips the script; whatever else they raise fails it, with the error's text."""

    def command(self, text: str) -> None:
        """A shell command at its time; those before the first event have chosen the settings of the system."""
        ...

    def code(self, source: str, info: ConnectionInfo | None) -> None:
        """A block of Python, with what is known of the connection under test: None where no descriptor has it.

        ``CodeFailed`` says where in the block it failed.
        """
        ...


class NoHooks:
    """Neither commands nor code."""

    def command(self, text: str) -> None:
        """Refuse."""
        raise NotSupported(f"command {text.strip().split(maxsplit=1)[0] if text.strip() else ''} within the script")

    def code(self, source: str, info: ConnectionInfo | None) -> None:
        """Refuse."""
        raise NotSupported("code block")
