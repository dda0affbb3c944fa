"""Medians and spread, and ratios that are taken within a repetition."""

import pytest

from userstack.bench.figures import FIGURES, Results, summarize
from userstack.bench.ratios import RATIOS, ratios


def test_a_summary_is_median_least_and_most_in_the_order_of_the_repetitions() -> None:
    summary = summarize({2: 30.0, 0: 10.0, 1: 20.0, 3: 60.0}, "us")
    assert (summary.median, summary.low, summary.high, summary.unit) == (25.0, 10.0, 60.0, "us")
    assert summary.values == [10.0, 20.0, 30.0, 60.0]


def test_summaries_have_the_units_and_the_order_of_the_report() -> None:
    results = Results()
    results.add("kernel", 0, {"round_trip": 20.0})
    results.add("kernel", 0, {"bulk_in": 60.0})
    assert [(name, summary.unit) for name, summary in results.summaries()["kernel"].items()] == [
        ("bulk_in", "Gbit/s"),
        ("round_trip", "us"),
    ]


def test_a_note_is_told_once() -> None:
    results = Results()
    for _ in range(3):
        results.note("lwip: cc is missing")
    assert results.notes == ["lwip: cc is missing"]


def filled(**figures: list[float]) -> Results:
    """Results from ``contender__figure``, one value for each repetition; ``-`` is written ``_`` in a name."""
    results = Results()
    for key, values in figures.items():
        contender, _, figure = key.partition("__")
        for repetition, value in enumerate(values):
            results.add(contender.replace("_", "-"), repetition, {figure: value})
    return results


def test_a_ratio_is_the_median_of_those_of_each_repetition() -> None:
    # The ratio of the medians would be 20 / 40.
    results = filled(userstack__bulk_in=[10.0, 20.0, 90.0], loop__bulk_in=[40.0, 20.0, 100.0])
    assert ratios(results, [])["bulk_in_vs_loop"] == pytest.approx(0.9)


def test_a_repetition_in_which_one_side_failed_does_not_count() -> None:
    results = filled(userstack__bulk_in=[10.0, 20.0])
    results.add("loop", 1, {"bulk_in": 40.0})
    assert ratios(results, [])["bulk_in_vs_loop"] == pytest.approx(0.5)


def test_a_ratio_without_its_peer_is_absent() -> None:
    results = filled(userstack__bulk_in=[10.0], userstack__connections=[100.0], userstack__round_trip=[50.0])
    assert ratios(results, ["lwip"]) == {}


def test_the_best_peer_is_another_in_every_repetition() -> None:
    results = filled(userstack__bulk_out=[6.0, 8.0, 1.0], lwip__bulk_out=[3.0, 1.0, 1.0], gvisor__bulk_out=[2.0, 4.0])
    assert ratios(results, ["lwip", "gvisor"])["bulk_out_vs_best_peer"] == pytest.approx(2.0)


def test_who_is_no_peer_is_not_the_best_of_them() -> None:
    results = filled(userstack__bulk_in=[6.0], lwip__bulk_in=[3.0], gvisor_veth__bulk_in=[100.0], kernel__bulk_in=[100.0])
    assert ratios(results, ["lwip"]) == {"bulk_in_vs_best_peer": 2.0}


def test_growth_and_flood_are_beside_the_same_contender() -> None:
    results = filled(
        userstack__bulk_10000=[8.0],
        userstack__bulk_100=[10.0],
        userstack__flood_connect=[300.0],
        userstack__usual_connect=[100.0],
        userstack__kib_per_idle_connection=[7.5],
    )
    assert ratios(results, []) == {
        "bulk_10000_vs_active": pytest.approx(0.8),
        "flood_connect_vs_usual": pytest.approx(3.0),
        "kib_per_idle_connection": 7.5,
    }


def test_a_rate_of_nothing_divides_nothing() -> None:
    assert ratios(filled(userstack__bulk_in=[1.0], loop__bulk_in=[0.0]), []) == {}


def test_every_ratio_is_of_figures_that_there_are() -> None:
    assert {side.figure for sides in RATIOS.values() for side in sides} <= FIGURES.keys()
