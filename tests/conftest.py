"""Writes what became of each test, with the rows of transitions.csv that it drives, where ``scripts/conformance`` reads it."""

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes", metavar="FILE", help="write the outcome of every test to FILE as JSON (for scripts/conformance)")


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--outcomes")
    if target and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Outcomes(Path(target)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Carry the rows in ``user_properties``: they reach the report even through the processes of pytest-xdist."""
    for item in items:
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
