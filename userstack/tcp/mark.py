"""The place of the last urgent octet in the stream that is received, and that octet (see ``urgent``)."""


class UrgentMark:
    """There is one at most: from the announcement of an urgent octet until it has been passed."""

    __slots__ = ("octet", "place", "was_read")

    def __init__(self, place: int) -> None:
        self.place = place
        self.octet: int | None = None
        """None: it is not here yet."""
        self.was_read = False

    @property
    def is_waiting(self) -> bool:
        """The octet is here and has not been read out of band (POLLPRI)."""
        return self.octet is not None and not self.was_read
