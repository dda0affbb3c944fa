"""For each requirement a change of a line or two that takes it away: the tests of that requirement have to fail then."""

from pathlib import Path
from typing import NamedTuple


class Mutation(NamedTuple):
    """``old``, which stands once in a file of the package, becomes ``new``."""

    requirement: str
    file: str
    """Below ``userstack``."""
    old: str
    new: str

    def apply(self, folder: Path) -> None:
        """Change the copy of the package in ``folder``.

        Raises:
            ValueError: the text does not stand there once: the mutation is to be written anew.
        """
        path = folder / "userstack" / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.requirement}: userstack/{self.file} holds {text.count(self.old)} times, not once: {self.old!r}"
            )
        path.write_text(text.replace(self.old, self.new))


MUTATIONS: tuple[Mutation, ...] = (
    Mutation("MUST-13", "tcp/timewait.py", "self.deadline = now + 2 * config.msl", "self.deadline = now + config.msl"),
)
