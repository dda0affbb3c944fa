"""What works with the kernel as peer, as a table at the end of the test run: a line for each feature, a column for each role.

A test says with ``@pytest.mark.matrix(feature, role)`` what it shows; role is ``active`` where userstack opens the connection and
``passive`` where the kernel does. A cell is passed when every test that names it has passed.
"""

import pytest

ROLES = {"active": "userstack opens", "passive": "the kernel opens"}
_WORST_FIRST = ("failed", "skipped", "passed")


class Matrix:
    """Collects the outcomes of marked tests, also those from the processes of pytest-xdist."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test has ended: setup, call and teardown all have to pass."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == "matrix":
                feature, role = str(value).rsplit(" | ", 1)
                self.cells.setdefault((feature, role), set()).add(report.outcome)

    def outcome(self, feature: str, role: str) -> str:
        """The worst that happened; empty where no test ran."""
        outcomes = self.cells.get((feature, role), set())
        return next((outcome for outcome in _WORST_FIRST if outcome in outcomes), "")

    def lines(self) -> list[str]:
        """The table; empty where no marked test ran."""
        features = sorted({feature for feature, _ in self.cells}, key=_natural)
        if not features:
            return []
        width = max(map(len, features))
        head = f"{'':{width}}  " + "  ".join(ROLES.values())
        rows = [
            f"{feature:{width}}  " + "  ".join(f"{self.outcome(feature, role):{len(title)}}" for role, title in ROLES.items())
            for feature in features
        ]
        return [line.rstrip() for line in (head, *rows)]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print it above pytest's own summary."""
        lines = self.lines()
        if lines:
            terminalreporter.section("interoperation with the kernel")
            for line in lines:
                terminalreporter.write_line(line)


def _natural(feature: str) -> list[tuple[int, str]]:
    """Numbers in their order: 2 before 10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in feature.split()]


def properties(item: pytest.Item) -> list[tuple[str, object]]:
    """What the reports of a test have to carry; an unknown role is a mistake in the test.

    Raises:
        pytest.UsageError: the role is none of ``ROLES``.
    """
    found: list[tuple[str, object]] = []
    for mark in item.iter_markers("matrix"):
        feature, role = mark.args
        if role not in ROLES:
            raise pytest.UsageError(f"{item.nodeid}: the role in the matrix is one of {', '.join(ROLES)}, not {role!r}")
        found.append(("matrix", f"{feature} | {role}"))
    return found
