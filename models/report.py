"""The report of one evaluation: markdown made from its table, never by hand. No figure is worked out here."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from models.additive import AdditiveModel
from models.card import figures_table, groups_table, table
from models.evaluation import Evaluation


@dataclass(frozen=True)
class Judged:
    """A model's judgement on one date's people, with what recalibration there would mend."""

    model: AdditiveModel
    evaluation: Evaluation
    index_date: dt.date
    whom: str
    """The people who were judged, in words."""
    unfair: pl.DataFrame
    """As find_unfair_groups gives it."""
    recalibrated: Evaluation | None
    """The judgement after recalibration, on practices that it had not seen; None if it cannot be done."""
    why_not_recalibrated: str | None = None
    explained: str | None = None
    """Why an alarm is no fault, if somebody said so."""


def write_report(judged: Judged, *, charts: Iterable[str]) -> str:
    """The report as markdown; ``charts`` are the file names of the charts that lie beside it."""
    evaluation, design = judged.evaluation, judged.model.design
    sections = {
        "In short": _in_short(judged),
        "Figures": figures_table(design, evaluation, charts),
        "Calibration": _calibration(judged),
        "Where it is used": _top(judged),
        "Groups": _unfair(judged) + "\n\n" + groups_table(design, evaluation),
        "Other places and times": _elsewhere(evaluation),
    }
    body = "\n".join(f"## {heading}\n\n{text.strip()}\n" for heading, text in sections.items() if text.strip())
    return f"# Evaluation of {judged.model.version}\n\n{body}"


def _in_short(judged: Judged) -> str:
    evaluation, cut = judged.evaluation, judged.model.design.judgement.alarm_cut
    alarms = "\n".join(f"**Alarm.** {alarm}." for alarm in evaluation.alarms)
    explained = f"\n\nExplained: {judged.explained}" if judged.explained and alarms else ""
    return (
        f"{evaluation.value('people'):,.0f} people ({judged.whom}) as of {judged.index_date}: C-statistic "
        f"{evaluation.value('c_statistic'):.3f}; of the {cut:.0%} with the highest scores "
        f"{evaluation.value('positive_predictive_value', cut=cut):.1%} had the outcome. "
        f"{calibration_words(evaluation)}\n\n{alarms}{explained}"
    )


def calibration_words(evaluation: Evaluation) -> str:
    """Whether the risks are too high, too low or right, in a sentence; by the interval of observed over expected."""
    low, high = interval_of(evaluation, "observed_over_expected")
    found = evaluation.value("observed_over_expected")
    bounds = f"95% interval {100 * low:.0f} to {100 * high:.0f}"
    said = f"for 100 outcomes that the risks say there were {100 * found:.0f} ({bounds})"
    if high < 1:
        return f"Predictions are too high: {said}."
    if low > 1:
        return f"Predictions are too low: {said}."
    return f"Predictions are as high as they should be: {said}."


def interval_of(evaluation: Evaluation, metric: str) -> tuple[float, float]:
    """The 95% interval of one overall figure."""
    row = evaluation.table.filter((pl.col("metric") == metric) & (pl.col("group") == "all") & pl.col("cut").is_null())
    return float(row["low"][0]), float(row["high"][0])


def _calibration(judged: Judged) -> str:
    if judged.recalibrated is None:
        return f"Not recalibrated. {judged.why_not_recalibrated}"
    rows = [
        (title, f"{judged.evaluation.value(metric):.3f}", f"{judged.recalibrated.value(metric):.3f}")
        for title, metric in (
            ("observed over expected", "observed_over_expected"),
            ("calibration slope", "calibration_slope"),
            ("integrated calibration index", "calibration_index"),
        )
    ]
    return (
        "The same ranking with a new curve from score to probability, fitted on half of the practices and judged on "
        "the other half. `casefinder recalibrate` saves it as a candidate.\n\n"
        + table(("Figure", "As it is", "Recalibrated"), rows)
    )


def _top(judged: Judged) -> str:
    cut = judged.model.design.judgement.alarm_cut
    inside = judged.evaluation.table.filter(
        (pl.col("cut") == cut)
        & (pl.col("group") == "all")
        & pl.col("metric").is_in(["observed_over_expected", "calibration_slope", "calibration_index"])
    )
    beyond = judged.evaluation.table.filter((pl.col("metric") == "found_beyond_rule") & (pl.col("cut") == cut))
    rows = [(row["metric"].replace("_", " "), f"{row['value']:.3f}") for row in inside.to_dicts()]
    missed = [(f"found, and missed by: {row['level']}", f"{row['value']:.0%}") for row in beyond.to_dicts()]
    return f"Among the {cut:.0%} with the highest scores.\n\n" + table(("Figure", "Value"), [*rows, *missed])


def _unfair(judged: Judged) -> str:
    if judged.unfair.is_empty():
        return "No group was found whose outcomes differ from its risks by more than chance and more than a tenth."
    lead = "Groups whose outcomes differ from their risks by more than chance and more than a tenth:\n\n"
    return lead + "\n".join(
        f"- **{row['group']}: {row['level']}**: {'too few' if row['is_under_served'] else 'too many'} are listed for "
        f"their outcomes ({row['observed_over_expected']:.2f} for each that the risks say)"
        for row in judged.unfair.to_dicts()
    )


def _elsewhere(evaluation: Evaluation) -> str:
    blocks = ("ICB left out", "decay", "resampled practices", "list from week to week")
    rows = evaluation.table.filter(pl.col("group").is_in(blocks)).to_dicts()
    shown = [
        (
            row["group"],
            row["metric"].replace("_", " "),
            row["level"] if row["level"] != "all" else "",
            "" if row["cut"] is None else f"{row['cut']:g}",
            f"{row['value']:.3f}",
            "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}",
        )
        for row in rows
    ]
    return table(("Check", "Figure", "Of", "At", "Value", "95% interval"), shown) if shown else ""
