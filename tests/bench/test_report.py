"""The report as text and as JSON."""

import json

import pytest

from userstack.bench.figures import FIGURES, Results
from userstack.bench.report import TABLES, Machine, number, to_json, to_markdown

MACHINE: Machine = {"processor": "one of many", "processors": 2}
DESCRIPTIONS = {"userstack": "one stack", "loop": "no stack", "lwip": "not measured"}


@pytest.fixture
def results() -> Results:
    found = Results()
    for repetition, value in enumerate((1.5, 3.0, 2.0)):
        found.add("userstack", repetition, {"bulk_in": value})
    found.add("loop", 0, {"bulk_in": 40.0, "round_trip": 21.26})
    return found


def test_the_json_has_exactly_these_keys(results: Results) -> None:
    report = json.loads(to_json(results.summaries(), {"bulk_in_vs_loop": 0.05}, MACHINE))
    assert report == {
        "figures": {
            "userstack": {"bulk_in": {"median": 2.0, "low": 1.5, "high": 3.0, "unit": "Gbit/s", "values": [1.5, 3.0, 2.0]}},
            "loop": {
                "bulk_in": {"median": 40.0, "low": 40.0, "high": 40.0, "unit": "Gbit/s", "values": [40.0]},
                "round_trip": {"median": 21.26, "low": 21.26, "high": 21.26, "unit": "us", "values": [21.26]},
            },
        },
        "ratios": {"bulk_in_vs_loop": 0.05},
        "machine": MACHINE,
    }


def test_the_tables(results: Results) -> None:
    text = to_markdown(
        results.summaries(), {"bulk_in_vs_loop": 0.05}, MACHINE, descriptions=DESCRIPTIONS, notes=["lwip: cc is missing"]
    )
    assert text == (
        "## Bulk\n"
        "\n"
        "|           |          in, Gbit/s |\n"
        "| --------- | ------------------: |\n"
        "| userstack | 2.00 (1.50 to 3.00) |\n"
        "| loop      |                40.0 |\n"
        "\n"
        "## Round trip of one byte\n"
        "\n"
        "|      | round trip, us |\n"
        "| ---- | -------------: |\n"
        "| loop |           21.3 |\n"
        "\n"
        "## Ratios\n"
        "\n"
        "|                 | median |\n"
        "| --------------- | -----: |\n"
        "| bulk_in_vs_loop | 0.0500 |\n"
        "\n"
        "## Machine\n"
        "\n"
        "|            |             |\n"
        "| ---------- | ----------: |\n"
        "| processor  | one of many |\n"
        "| processors |           2 |\n"
        "\n"
        "## Contenders\n"
        "\n"
        "- userstack: one stack\n"
        "- loop: no stack\n"
        "\n"
        "## Not measured\n"
        "\n"
        "- lwip: cc is missing\n"
    )


def test_without_notes_and_ratios_there_are_no_such_parts(results: Results) -> None:
    text = to_markdown(results.summaries(), {}, MACHINE, descriptions=DESCRIPTIONS, notes=[])
    assert "Ratios" not in text
    assert "Not measured" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(14160.4, "14160"), (100.0, "100"), (99.94, "99.9"), (9.876, "9.88"), (0.123, "0.12"), (0.0571, "0.0571"), (0.0, "0.00")],
)
def test_numbers_have_three_digits_that_say_something(value: float, text: str) -> None:
    assert number(value) == text


def test_every_figure_stands_in_one_table() -> None:
    shown = [name for names in TABLES.values() for name in names]
    assert sorted(shown) == sorted(FIGURES)
