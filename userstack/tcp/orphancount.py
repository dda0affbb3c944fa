"""How many orphans (see ``orphans``) a host has; all of its connections share the count."""


class OrphanCount:
    """``most``: so many are allowed (Linux tcp_max_orphans)."""

    __slots__ = ("count", "most")

    def __init__(self, most: int) -> None:
        self.count = 0
        self.most = most

    def too_many(self, penalty: int) -> bool:
        """More than allowed; with a ``penalty`` each counts twice, four times, ... for whoever deserves it least."""
        return self.count << penalty > self.most
