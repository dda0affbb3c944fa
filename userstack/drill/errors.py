"""Why a script is not run to its end: it is no script, or it asks for what is not there."""

from collections.abc import Iterable

from userstack.drill.script import Place


class ScriptError(Exception):
    """The text is no packetdrill script: the script fails. ``message`` may have more lines, the source with a caret under it."""

    def __init__(self, place: Place | None, message: str) -> None:
        super().__init__(f"{place}: {message}" if place else message)
        self.place = place
        self.message = message


class NotSupported(Exception):
    """The script needs what userstack does not have: it is skipped. ``reason`` is the same text for all that need the same."""

    def __init__(self, reason: str, place: Place | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


class CodeFailed(Exception):
    """A block of Python did not hold: what it raised, the text of its line, what it had been told, and which line it is."""

    def __init__(self, reason: str, text: str, told: dict[str, int], line: int) -> None:
        super().__init__(f"{text}: {reason}" if text else reason)
        self.text = text
        self.told = told
        self.line = line


class Mismatch(Exception):
    """The system did something else than the script says: the script fails. The two texts are what stands side by side.

    ``fields`` are the names of what differs, where it can be named.
    """

    def __init__(self, place: Place, message: str, expected: str = "", got: str = "", *, fields: Iterable[str] = ()) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message
        self.expected = expected
        self.got = got
        self.fields = tuple(fields)
