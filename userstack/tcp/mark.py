"""The place of the last urgent octet in the stream that is received, and that octet (see ``urgent``)."""


class UrgentMark:
    """There is one at most; none where ``place`` is None."""

    __slots__ = ("inline", "octet", "place", "was_read")

    def __init__(self, *, inline: bool) -> None:
        self.inline = inline
        """SO_OOBINLINE: the octet stays in the stream (RFC 6093 6), else it is read apart from it."""
        self.clear()

    @property
    def is_waiting(self) -> bool:
        """The octet is here and has not been read out of band (POLLPRI)."""
        return self.octet is not None and not self.was_read

    def set(self, place: int) -> None:
        """An urgent octet has been announced."""
        self.place: int | None = place
        self.octet: int | None = None
        """None: it is not here yet."""
        self.was_read = False

    def clear(self) -> None:
        """It has been passed."""
        self.place = self.octet = None
        self.was_read = False
