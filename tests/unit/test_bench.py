"""The page that the performance bill is written on."""

from pathlib import Path

import polars as pl

from pipelines.bench import BILL, LIMITS, _quickest, limits_of, over_limits, write_bills


def made_bill(*, people: float = 0.5, release: float = 1.0) -> pl.DataFrame:
    """A week of two parts, each with a floor of 0.05 seconds, and the history before it."""
    rows = [
        ("made-up history", None, 700, 2.0, None, 20.0, None, None, 0.5, 3.0),
        ("people", 1000, 900, people, 0.1, 5.0, 0.05, people / 0.05, 0.75, 1.5),
        ("release", 900, 300, release, 0.2, 10.0, 0.05, release / 0.05, 0.5, 0.5),
    ]
    return pl.DataFrame(rows, schema=BILL, orient="row")


def test_the_page_has_a_line_a_part_and_a_chart_beside_it(tmp_path: Path) -> None:
    write_bills({100_000: made_bill()}, tmp_path / "performance.md")
    text = (tmp_path / "performance.md").read_text("utf-8")
    assert "| people | 1,000 | 900 | 0.50 | 0.10 | 5.00 | 10.0 | 0.75 | 1.5 |" in text
    assert "| 100,000 | 1.5 | 15.0 | 10.0 | 0.75 | 20.0 |" in text
    assert (tmp_path / "performance.svg").read_text("utf-8").startswith("<svg")


def test_a_part_or_the_week_over_its_ratio_is_named_and_a_slower_machine_is_not() -> None:
    limits = limits_of(made_bill())
    assert limits.rows() == [("people", 20.0), ("release", 40.0), ("week", 21.0)]
    assert over_limits(made_bill(), limits) == []
    slower = made_bill().with_columns(pl.col("seconds", "floor_seconds") * 7)
    assert over_limits(slower, limits) == []
    expected = "expected at most {} times one scan of its columns; found {}"
    assert over_limits(made_bill(people=1.2), limits) == [
        "people: " + expected.format(20.0, 24.0),
        "week: " + expected.format(21.0, 22.0),
    ]
    assert over_limits(made_bill(people=0.9, release=1.3), limits) == ["week: " + expected.format(21.0, 22.0)]
    assert over_limits(made_bill(), pl.DataFrame(schema=LIMITS))[0] == "people: expected a limit; found none"


def test_a_part_that_costs_next_to_nothing_may_waver() -> None:
    assert limits_of(made_bill(people=0.01)).row(0) == ("people", 10.0)


def test_what_is_brief_is_measured_thrice_and_the_quickest_counts() -> None:
    brief, long = iter([0.3, 0.1, 0.2, 0.0]), iter([0.6, 0.1])
    assert _quickest(lambda: next(brief), lambda seconds: seconds) == 0.1
    assert _quickest(lambda: next(long), lambda seconds: seconds) == 0.6
