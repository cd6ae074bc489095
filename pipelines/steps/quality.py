"""Reads the data-quality scorecard: how each practice stands this week, and why. Pure."""

from dataclasses import dataclass

import polars as pl

from data_contracts.clinical.definitions import QualityMeasure, load_quality
from pipelines.steps.disclosure import Told


@dataclass(frozen=True)
class Count:
    """What a measure counted and what it is compared with; None if that is not known."""

    counted: int
    out_of: int | None


SEVERITY = {"ok": 0, "unknown": 0, "warn": 1, "hold": 2, "stop": 3}
HOSPITAL = "hospital"


def stand(data_quality: pl.LazyFrame) -> pl.DataFrame:
    """One row per practice: verdict (the worst), feed and data_as_of of its records, and the measures past a limit.

    ``past`` names those measures, worst first, joined by |.
    """
    judged = data_quality.with_columns(
        severity=pl.col("verdict").replace_strict(SEVERITY, return_dtype=pl.Int8), order=pl.int_range(pl.len())
    )
    worst_first = judged.sort("practice_code", "severity", "order", descending=[False, True, False])
    own = pl.col("feed") != HOSPITAL
    return (
        worst_first.group_by("practice_code", maintain_order=True)
        .agg(
            pl.col("feed", "data_as_of").filter(own).first(),
            verdict=pl.when(pl.col("severity").first() > 0).then(pl.col("verdict").first()).otherwise(pl.lit("ok")),
            past=pl.col("measure").filter(pl.col("severity") > 0).str.join("|"),
        )
        .select("practice_code", "feed", "data_as_of", "verdict", "past")
        .collect()
    )


def stopped(standing: pl.DataFrame) -> pl.DataFrame:
    """One row per practice that gets no list: practice_code."""
    return standing.filter(pl.col("verdict") == "stop").select("practice_code")


def publishable(data_quality: pl.DataFrame, *, told: Told) -> pl.DataFrame:
    """The scorecard as an ICB may see it: counts hidden or rounded, shares made from those."""
    safe = told.safe(data_quality, "quality", ["practice_code", "feed", "measure"], "counted", "out_of")
    is_difference = pl.col("measure").is_in(
        [name for name, one in load_quality().items() if one.kind == "difference"]
    )
    share = pl.when(is_difference).then((pl.col("counted") - pl.col("out_of")).abs()).otherwise("counted")
    is_days = pl.col("measure").is_in([name for name, one in load_quality().items() if one.kind == "days"])
    value = pl.when(is_days).then("value").otherwise((share / pl.col("out_of")).round(3))
    return safe.with_columns(value=value).sort("practice_code", "feed", maintain_order=True)


def say(row: dict[str, object]) -> str:
    """One row of the scorecard in words: what was measured and what was found."""
    measure = load_quality()[str(row["measure"])]
    value = row["value"]
    if not isinstance(value, float):
        return f"{measure.title}: not known"
    return f"{measure.title}: {value:.0f}" if measure.kind == "days" else f"{measure.title}: {value:.1%}"


def held_because(counts: dict[str, Count]) -> list[str]:
    """The measures of a delivery that reach the limit that holds it, in words with the limit."""
    measures = load_quality()
    past = []
    for name, count in counts.items():
        measure, value = measures[name], _value(measures[name], count)
        if value is not None and measure.hold is not None and value >= measure.hold:
            past.append(
                f"{measure.title}: {value:.1%} ({count.counted:,} to {count.out_of:,}; limit {measure.hold:.0%})"
            )
    return past


def _value(measure: QualityMeasure, count: Count) -> float | None:
    """The share or difference that a limit judges; None if there is nothing, or too little, to compare with."""
    if not count.out_of:
        return None
    difference = abs(count.counted - count.out_of)
    is_too_few = (difference if measure.kind == "difference" else count.out_of) < measure.fewest
    return None if is_too_few else (difference if measure.kind == "difference" else count.counted) / count.out_of
