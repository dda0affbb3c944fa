"""The table of what works with the kernel."""

from typing import Literal

import pytest

from tests.support.matrix import Matrix


def report(outcome: Literal["passed", "failed"], *cells: str, when: Literal["setup", "call"] = "call") -> pytest.TestReport:
    return pytest.TestReport("t::t", ("t", 0, "t"), {}, outcome, None, when, user_properties=[("matrix", cell) for cell in cells])


def test_a_cell_is_passed_when_every_test_of_it_has_passed() -> None:
    matrix = Matrix()
    matrix.pytest_runtest_logreport(report("passed", "ECN | active"))
    matrix.pytest_runtest_logreport(report("passed", "ECN | passive"))
    matrix.pytest_runtest_logreport(report("failed", "ECN | passive"))
    assert matrix.outcome("ECN", "active") == "passed"
    assert matrix.outcome("ECN", "passive") == "failed"


def test_a_setup_that_fails_is_a_failure_and_one_that_passes_says_nothing() -> None:
    matrix = Matrix()
    matrix.pytest_runtest_logreport(report("passed", "ECN | active", when="setup"))
    assert matrix.outcome("ECN", "active") == ""
    matrix.pytest_runtest_logreport(report("failed", "ECN | active", when="setup"))
    assert matrix.outcome("ECN", "active") == "failed"


def test_the_table_has_numbers_in_their_order_and_leaves_open_what_did_not_run() -> None:
    matrix = Matrix()
    for scale in (10, 2):
        matrix.pytest_runtest_logreport(report("passed", f"window scale {scale} | active"))
    assert [line.rstrip() for line in matrix.lines()] == [
        "                 userstack opens  the kernel opens",
        "window scale 2   passed",
        "window scale 10  passed",
    ]


def test_without_marked_tests_there_is_no_table() -> None:
    matrix = Matrix()
    matrix.pytest_runtest_logreport(report("passed"))
    assert matrix.lines() == []
