"""``%{ ... }%``: the Python of a script, run at its time with what TCP_INFO tells then."""

import contextlib
import sys
import traceback
from collections.abc import Mapping

from userstack.drill.errors import CodeFailed, NotSupported
from userstack.drill.tcpinfo import LINUX, TcpInfo
from userstack.tcp.info import ConnectionInfo

_NAME = "%{ }%"
_PREFIX = "tcpi_"


class CodeBlocks:
    """Runs the blocks of one script, which share their variables; part of ``Hooks``."""

    def __init__(self, kernel: TcpInfo = LINUX) -> None:
        self._kernel = kernel
        self._namespace = _Namespace(kernel.constants)

    def code(self, source: str, info: ConnectionInfo | None) -> None:
        """Run a block.

        Raises:
            CodeFailed: it is no Python, an assertion does not hold, or it raised something else.
            NotSupported: it asks for what is not known of the connection.
        """
        self._namespace.known = None if info is None else self._kernel.fields(info)
        self._namespace.asked.clear()
        try:
            # Note: standard output is for results. An optimised Python would leave the assertions out.
            with contextlib.redirect_stdout(sys.stderr):
                exec(compile(source, _NAME, "exec", dont_inherit=True, optimize=0), self._namespace)  # noqa: S102 - it is what a block is for
        except NotSupported:
            raise
        except SyntaxError as error:
            raise self._failed(source, error, error.lineno) from None
        except (Exception, SystemExit) as error:
            raise self._failed(source, error, _line_of(error)) from None

    def _failed(self, source: str, error: BaseException, line: int | None) -> CodeFailed:
        lines = source.splitlines()
        text = lines[line - 1].strip() if line and line <= len(lines) else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        reason = f"{type(error).__name__}: {what}".removesuffix(": ")
        return CodeFailed(reason, text, dict(self._namespace.asked), line or 1)


class _Namespace(dict[str, object]):
    """The variables of the blocks; a name of TCP_INFO that they have not assigned is looked up when it is asked for."""

    def __init__(self, constants: Mapping[str, int]) -> None:
        super().__init__(constants)
        self.known: dict[str, int] | None = None
        self.asked: dict[str, int] = {}
        """What was looked up, for the message."""

    def __missing__(self, name: str) -> int:
        if not name.startswith(_PREFIX):
            raise KeyError(name)
        if self.known is None:
            raise NotSupported("TCP_INFO of a socket without a connection")
        if name not in self.known:
            raise NotSupported(f"{name} of TCP_INFO")
        self.asked[name] = self.known[name]
        return self.known[name]


def _line_of(error: BaseException) -> int | None:
    """The last line of the block itself that the error came by."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _NAME]
    return lines[-1] if lines else None
