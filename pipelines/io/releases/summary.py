"""Draws an ICB's summary page: one self-contained HTML file whose every count is hidden or rounded."""

import datetime as dt
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import altair as alt
import polars as pl
import vl_convert
from jinja2 import ChainableUndefined, ChoiceLoader, Environment, FunctionLoader, PackageLoader

from data_contracts.actions import Actions
from pipelines.io.releases.workbook import long_date
from pipelines.steps.disclosure import round_count, safe_counts, safe_rates

PAGE = files("pipelines.io.releases")
BLUE, GREEN, GREY = "#005EB8", "#007F3B", "#AEB7BD"
HIDDEN = "7 or fewer"
_FONT = "Arial, Liberation Sans, sans-serif"
_AXIS = {
    "labelFontSize": 13,
    "titleFontSize": 13,
    "titleFontWeight": "normal",
    "labelLimit": 260,
    "labelPadding": 6,
    "grid": False,
    "ticks": False,
    "domainColor": GREY,
}


@dataclass(frozen=True)
class IcbWeek:
    """What the summary of one ICB is drawn from; row-level tables that are counted, never shown."""

    icb_code: str
    icb_name: str
    as_of: dt.date
    data_until: dt.date | None
    model_versions: tuple[str, ...]
    people: pl.DataFrame
    practices: pl.DataFrame
    target_lists: pl.DataFrame
    complex_care: pl.DataFrame
    non_responders: pl.DataFrame
    lifestyle_risk: pl.DataFrame


def write_summary(week: IcbWeek, path: Path, *, rules: Actions) -> None:
    """Writes the page."""
    page = (
        _environment()
        .get_template("summary.jinja")
        .render(
            week=week,
            as_of=long_date(week.as_of),
            data_until=long_date(week.data_until) if week.data_until else "not known",
            style=(PAGE / "summary.css").read_text("utf-8"),
            headline=headline(week),
            charts=_charts(week, rules=rules),
            practices=_table_rows(practice_counts(week)),
            rules=rules,
        )
    )
    path.write_text(page, encoding="utf-8", newline="\n")


def headline(week: IcbWeek) -> list[tuple[str, str]]:
    """Label and safe count of each cohort."""
    overdue = week.non_responders.filter(pl.col("state") == "non_responder")
    sizes = {
        "Registered people": week.people["person_id"].n_unique(),
        "On this week's practice lists": week.target_lists["person_id"].n_unique(),
        "In the complex-care cohort": week.complex_care["person_id"].n_unique(),
        "Overdue for screening or immunisation": overdue["person_id"].n_unique(),
        "With a lifestyle risk": week.lifestyle_risk["person_id"].n_unique(),
    }
    safe = pl.DataFrame({"label": list(sizes), "count": list(sizes.values())}).with_columns(
        round_count(pl.col("count"))
    )
    return [(label, in_digits(count)) for label, count in safe.rows()]


def practice_counts(week: IcbWeek) -> pl.DataFrame:
    """One row per practice: name and safe counts of registered, listed and complex-care people."""
    counts = week.practices.select("practice_code", "practice_name").sort("practice_code")
    overdue = week.non_responders.filter(pl.col("state") == "non_responder").unique(["person_id", "practice_code"])
    for name, table in {
        "registered": week.people,
        "listed": week.target_lists,
        "complex_care": week.complex_care,
        "overdue": overdue,
        "lifestyle": week.lifestyle_risk,
    }.items():
        part = safe_counts(table, ["practice_code"]).rename({"people": name})
        counts = counts.join(part, on="practice_code", how="left", validate="1:1")
    return counts.filter(pl.col("registered").is_not_null())


def selection_by_deprivation(week: IcbWeek) -> pl.DataFrame:
    """One row per deprivation fifth: complex-care places per 1,000 registered, from rounded counts."""
    fifths = week.people.select("person_id", fifth=((pl.col("imd_decile") + 1) // 2)).drop_nulls("fifth")
    selected = fifths.join(week.complex_care, on="person_id", how="semi")
    return safe_rates(safe_counts(selected, ["fifth"]), safe_counts(fifths, ["fifth"]), by=["fifth"], per=1000)


def coverage_gaps(week: IcbWeek, *, rules: Actions) -> pl.DataFrame:
    """One row per programme: share of eligible people who are overdue, in per cent of rounded counts."""
    eligible = week.non_responders.filter(pl.col("state") != "not_eligible")
    overdue = eligible.filter(pl.col("state") == "non_responder")
    titles = {name: programme.title for name, programme in rules.programmes.items()}
    rates = safe_rates(
        safe_counts(overdue, ["programme"]), safe_counts(eligible, ["programme"]), by=["programme"], per=100
    )
    return rates.with_columns(title=pl.col("programme").replace_strict(titles, default=pl.col("programme")))


def in_digits(count: int | None) -> str:
    """A safe count as people read it."""
    return HIDDEN if count is None else f"{count:,}"


def _table_rows(counts: pl.DataFrame) -> list[list[dict[str, str]]]:
    """Rows for the table macro: names as text, counts right-aligned."""
    return [
        [{"text": f"{row[1]} ({row[0]})"}, *({"text": in_digits(count), "format": "numeric"} for count in row[2:])]
        for row in counts.rows()
    ]


@dataclass(frozen=True)
class Chart:
    """A drawing and the sentence that says the same to those who cannot see it."""

    title: str
    says: str
    svg: str


def _charts(week: IcbWeek, *, rules: Actions) -> list[Chart]:
    """The charts that have something to show."""
    listed = practice_counts(week).drop_nulls("listed")
    fifths = selection_by_deprivation(week).drop_nulls("rate")
    gaps = coverage_gaps(week, rules=rules).drop_nulls("rate")
    names = {1: "1 (most deprived)", 5: "5 (least deprived)"}
    fifths = fifths.with_columns(name=pl.col("fifth").replace_strict(names, default=pl.col("fifth").cast(pl.String)))
    charts = [
        _bars(listed, "practice_code", "listed", "People on this week's list, by practice", "people", GREEN),
        _bars(fifths, "name", "rate", "Complex-care places by deprivation fifth", "places per 1,000 people", BLUE),
        _bars(gaps, "title", "rate", "Overdue for screening or immunisation", "per cent of those eligible", BLUE),
    ]
    return [chart for chart in charts if chart is not None]


def _bars(frame: pl.DataFrame, label: str, value: str, title: str, unit: str, colour: str) -> Chart | None:
    """Horizontal bars with their figures, in the frame's order; None for an empty frame."""
    if frame.is_empty():
        return None
    rows = [{"label": name, "value": figure} for name, figure in frame.select(label, value).rows()]
    order = [row["label"] for row in rows]
    figure = ",.1f" if frame.schema[value].is_float() else ","
    room = alt.Scale(zero=True, domainMax=1.12 * max(row["value"] for row in rows))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("label:N", sort=order, title=None), x=alt.X("value:Q", title=unit, scale=room)
    )
    figures = base.mark_text(align="left", dx=4, fontSize=13).encode(text=alt.Text("value:Q", format=figure))
    drawn = (base.mark_bar(color=colour) + figures).properties(width=640, height=alt.Step(28))
    spec = drawn.configure(font=_FONT).configure_view(stroke=None).configure_axis(**_AXIS)
    says = "; ".join(f"{row['label']}: {row['value']:,}" for row in rows)
    return Chart(title=title, says=f"{title}, {unit}. {says}.", svg=vl_convert.vegalite_to_svg(spec.to_dict()))


@cache
def _environment() -> Environment:
    """Templates: our page, and the NHS.UK frontend's components, which tolerate undefined parameters."""
    own = FunctionLoader(lambda name: (PAGE / name).read_text("utf-8") if name == "summary.jinja" else None)
    nhsuk = PackageLoader("nhsuk_frontend_jinja")
    return Environment(
        loader=ChoiceLoader([own, nhsuk]),
        undefined=ChainableUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
