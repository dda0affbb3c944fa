"""How many examples a property is tried with."""

from hypothesis import settings


def examples(count: int) -> int:
    """So many; in the profile ``brief`` (tests/conftest.py), of Pythons after the first one, a quarter."""
    return count * settings().max_examples // 100
