"""One behaviour taken out of the source, by replacing a piece of its text."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """``old``, which stands once in ``file`` (from userstack/ on), becomes ``new``; ``name`` says what is thereby lost."""

    requirement: str
    name: str
    file: str
    old: str
    new: str

    def applied(self, text: str) -> str:
        """The text with the mutation.

        Raises:
            ValueError: the text to be replaced does not stand in it once: the mutation is to be written anew.
        """
        if text.count(self.old) != 1:
            raise ValueError(
                f"userstack/{self.file} holds {text.count(self.old)} times, not once: {self.old!r} ({self.requirement})"
            )
        return text.replace(self.old, self.new)
