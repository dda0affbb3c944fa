"""What is told of a run beside pytest's own report: the outcomes for ``scripts/conformance``, and the matrix of interoperation."""

import json
from pathlib import Path

import pytest

from tests.support import matrix


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", metavar="FILE", help="write the outcome of every test to FILE as JSON (for scripts/conformance)")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(matrix.Matrix())
    target = config.getoption("--outcomes")
    if target:
        config.pluginmanager.register(Outcomes(Path(target)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Carry the markers in ``user_properties``: they reach the report even through the processes of pytest-xdist."""
    for item in items:
        item.user_properties.extend(matrix.properties(item))
        item.user_properties.extend(("transition", mark.args[0]) for mark in item.iter_markers("transition"))


class Outcomes:
    """Collects reports: a test has passed when its setup, its call and its teardown have."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.tests: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rows = [str(value) for name, value in report.user_properties if name == "transition"]
        test = self.tests.setdefault(report.nodeid, {"outcome": "passed", "rows": rows})
        if not report.passed:
            test["outcome"] = report.outcome

    def pytest_sessionfinish(self) -> None:
        self.target.write_text(json.dumps(self.tests))
