"""Draws an ICB's data-quality page: how far each practice's data can be trusted, in one self-contained file."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import polars as pl

from data_contracts.clinical.definitions import QualityMeasure, load_quality
from pipelines.io.releases.summary import Chart, draw, write_page
from pipelines.io.releases.workbook import long_date
from pipelines.steps.quality import say, stand

COLOURS = {"ok": "#007F3B", "unknown": "#768692", "warn": "#B36B00", "hold": "#8A1538", "stop": "#D5281B"}
MEANING = {
    "ok": "within the limits",
    "unknown": "not known: nothing to compare with",
    "warn": "past a limit that warns",
    "hold": "a later delivery waits: the practice keeps its last good state, with that state's date",
    "stop": "left out of this week's files, with a message here",
}
CHARTS = {
    "Adults with a recent recording": ["smoking_recorded", "blood_pressure_recorded", "bmi_recorded"],
    "Distance from the public list size and from last week": [
        "list_size_difference",
        "people_change",
        "events_change",
        "medications_change",
        "contacts_change",
    ],
    "Records that were not loaded": ["records_quarantined", "codes_not_known", "codes_not_mapped"],
    "Days since the last delivery and the latest entry": ["days_since_delivery", "days_since_entry"],
}


@dataclass(frozen=True)
class QualityWeek:
    """What the page of one ICB is drawn from."""

    icb_name: str
    as_of: dt.date
    scorecard: pl.DataFrame
    """What publishable returns."""
    names: dict[str, str]
    """Practice code to name."""


def write_quality(week: QualityWeek, path: Path) -> None:
    """Writes the page."""
    standing = stand(week.scorecard.lazy())
    write_page(
        "quality.jinja",
        path,
        week=week,
        as_of=long_date(week.as_of),
        meaning=MEANING,
        colours=COLOURS,
        counts={verdict: standing.filter(verdict=verdict).height for verdict in MEANING},
        practices=[_practice(row, week) for row in standing.sort("practice_code").to_dicts()],
        charts=[chart for title, measures in CHARTS.items() if (chart := _strip(week, title, measures))],
        limits=[_limits(name, measure) for name, measure in load_quality().items()],
    )


def _practice(standing: dict[str, object], week: QualityWeek) -> dict[str, object]:
    """One practice's line: its name, how it stands, since when its data are known, what is past a limit."""
    code, data_as_of = str(standing["practice_code"]), standing["data_as_of"]
    rows = week.scorecard.filter(pl.col("practice_code") == code, ~pl.col("verdict").is_in(["ok", "unknown"]))
    return {
        "name": f"{week.names.get(code, code)} ({code})",
        "feed": standing["feed"],
        "data_as_of": long_date(data_as_of) if isinstance(data_as_of, dt.date) else "never",
        "verdict": standing["verdict"],
        "past": [say(row) for row in rows.to_dicts()],
    }


def _limits(name: str, measure: QualityMeasure) -> list[str]:
    """One measure's line in the table of limits."""
    shown = [measure.warn, measure.hold, measure.stop]
    figures = ["" if limit is None else f"{limit:g}" if measure.kind == "days" else f"{limit:.0%}" for limit in shown]
    return [measure.title, measure.past, *figures, name]


def _strip(week: QualityWeek, title: str, measures: list[str]) -> Chart | None:
    """One dot a practice on one line a measure; None if nothing is known."""
    known = load_quality()
    rows = week.scorecard.filter(pl.col("measure").is_in(measures)).drop_nulls("value")
    if rows.is_empty():
        return None
    is_days = known[measures[0]].kind == "days"
    titles = {name: known[name].title for name in measures}
    values = [
        {"measure": titles[row["measure"]], "value": row["value"], "verdict": row["verdict"]}
        for row in rows.to_dicts()
    ]
    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    axis = alt.Axis(format="d" if is_days else ".3~%", tickCount=6)
    drawn = (
        alt.Chart(alt.InlineData(values=values))
        .mark_circle(size=90, opacity=0.6)
        .encode(
            x=alt.X("value:Q", title="days" if is_days else None, axis=axis, scale=alt.Scale(zero=True)),
            y=alt.Y("measure:N", sort=list(titles.values()), title=None),
            color=alt.Color("verdict:N", scale=scale, legend=alt.Legend(title=None)),
        )
        .properties(width=520, height=alt.Step(44))
    )
    return Chart(title=title, says=f"{title}. {_spread(rows, titles, is_days=is_days)}", svg=draw(drawn))


def _spread(rows: pl.DataFrame, titles: dict[str, str], *, is_days: bool) -> str:
    """Lowest, middle and highest value of each measure over the practices, in words."""
    found = rows.group_by("measure", maintain_order=True).agg(
        low=pl.col("value").min(), middle=pl.col("value").median(), high=pl.col("value").max()
    )
    figure = "{:.0f}" if is_days else "{:.1%}"
    return " ".join(
        f"{titles[name]}: from {figure.format(low)} to {figure.format(high)}, middle {figure.format(middle)}."
        for name, low, middle, high in found.rows()
    )
