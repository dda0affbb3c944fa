"""How the connections of a stack learn that it was closed: by one object for all, which takes less than a list of them."""

from userstack.errors import ConnectionAborted


class HangUp:
    """Whether it was."""

    __slots__ = ("hung_up",)

    def __init__(self) -> None:
        self.hung_up = False

    def check(self) -> None:
        """Refuse a call on a connection.

        Raises:
            ConnectionAborted: it was.
        """
        if self.hung_up:
            raise ConnectionAborted("the stack was closed")
