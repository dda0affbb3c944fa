"""Counts of what happened, under the names that Linux's ``nstat`` prints (RFC 4022 and the kernel's TcpExt group)."""


class Counters:
    """A bag of named counters; a name that was never counted reads as 0."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def add(self, name: str, amount: int = 1) -> None:
        """Raise counter ``name`` by ``amount``."""
        self._values[name] = self._values.get(name, 0) + amount

    def __getitem__(self, name: str) -> int:
        return self._values.get(name, 0)

    def snapshot(self) -> dict[str, int]:
        """Every counter that is not 0, sorted by name."""
        return dict(sorted(self._values.items()))
