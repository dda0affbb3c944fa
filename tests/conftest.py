"""What is told of a run beside pytest's own report: the outcomes for ``scripts/conformance``, and the matrix of interoperation."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ledger.rows import Outcome
from tests.support import matrix, shared

MARKERS = ("transition", "requirement")

settings.register_profile("brief", max_examples=25)
"""For Pythons after the first one; hypothesis tries 100 where nothing is said."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", metavar="FILE", help="write the outcome of every test to FILE as JSON (for scripts/conformance)")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(matrix.Matrix())
    target = config.getoption("--outcomes")
    if target:
        config.pluginmanager.register(OutcomesWriter(Path(target)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest is begun first, so that no worker is left alone with it in the end.

    The markers are carried in ``user_properties``: they reach the report even through the processes of pytest-xdist.
    """
    items.sort(key=lambda item: item.get_closest_marker("early") is None)
    for item in items:
        item.user_properties.extend(matrix.properties(item))
        for marker in MARKERS:
            item.user_properties.extend((marker, mark.args[0]) for mark in item.iter_markers(marker))


@pytest.fixture(scope="session", autouse=True)
def shared_by_connections() -> Iterator[None]:
    """Whatever the tests do to connections, none writes to what others share."""
    yield
    assert shared.written_to() == []


class OutcomesWriter:
    """Collects reports: a test has passed when its setup, its call and its teardown have. What is only collected has not run."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.tests: dict[str, Outcome] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            for item in session.items:
                self._test(item.nodeid, item.user_properties)["outcome"] = "not run"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self._test(report.nodeid, report.user_properties)
        test["seconds"] += report.duration
        if not report.passed:
            test["outcome"] = report.outcome

    def _test(self, case: str, properties: Iterable[tuple[str, object]]) -> Outcome:
        named = [(name, str(value)) for name, value in properties]
        rows = {marker: [value for name, value in named if name == marker] for marker in MARKERS}
        new = Outcome(outcome="passed", seconds=0.0, transition=rows["transition"], requirement=rows["requirement"])
        return self.tests.setdefault(case, new)

    def pytest_sessionfinish(self) -> None:
        self.target.write_text(json.dumps(self.tests))
