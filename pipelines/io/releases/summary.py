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
from data_contracts.tables.release import AGE_BANDS
from pipelines.io.releases.workbook import long_date
from pipelines.steps.aggregates import NOT_KNOWN, TOTAL, CohortTables
from pipelines.steps.disclosure import Told

PAGE = files("pipelines.io.releases")
PAGES = {"summary.jinja", "quality.jinja", "list.jinja"}
BLUE, GREY, AMBER = "#005EB8", "#AEB7BD", "#ED8B00"
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
    """What the summary of one ICB is drawn from."""

    icb_name: str
    as_of: dt.date
    data_until: dt.date | None
    model_versions: tuple[str, ...]
    tables: CohortTables
    counts: pl.DataFrame
    """What count_cohorts returns."""
    coverage: pl.DataFrame
    """What count_coverage returns."""
    places: int
    """Places of the week at all practices."""
    capacity: pl.DataFrame
    """What safe_capacity returns."""
    told: Told
    standing: pl.DataFrame
    """One row per practice: how its data stand."""
    twentieths: pl.DataFrame | None
    """One row per twentieth of risk of practices that the model had not seen: risk, observed; None without one."""


def write_summary(week: IcbWeek, path: Path, *, rules: Actions) -> None:
    """Writes the page."""
    write_page(
        "summary.jinja",
        path,
        week=week,
        as_of=long_date(week.as_of),
        data_until=long_date(week.data_until) if week.data_until else "not known",
        headline=headline(week),
        charts=_charts(week),
        coverage=_coverage_rows(week),
        practices=_practice_rows(week),
        groups=_group_rows(week),
        quality=quality(week),
        rules=rules,
    )


HEADINGS = {
    "registered": "Registered people",
    "on_the_list": "On this week's practice lists",
    "complex_care": "In the complex-care cohort",
    "overdue": "Overdue for screening, immunisation or recall",
    "not_seen": "Registered but not reached",
    "lifestyle_risk": "With a lifestyle risk",
}
ORDERED = {band: place for place, band in enumerate(AGE_BANDS)} | {NOT_KNOWN: len(AGE_BANDS)}
SHOWN_GROUPS = {"deprivation_fifth": "Deprivation fifth", "ethnic_group": "Ethnic group", "age_band": "Age"}


def headline(week: IcbWeek) -> list[tuple[str, str]]:
    """Label and count of each cohort: the sum of the practices' counts that are shown."""
    practices = week.counts.filter(pl.col("grouping") == "practice")
    labelled = []
    for cohort, label in HEADINGS.items():
        rows = practices.filter(pl.col("cohort") == cohort)
        total = rows.filter(pl.col("group") == TOTAL)["people"][0]
        more = "+" if total is not None and rows["people"].null_count() else ""
        labelled.append((label, f"{in_digits(total)}{more}"))
    return labelled


def wide_counts(week: IcbWeek, grouping: str) -> pl.DataFrame:
    """One row per group, total left out: group and the safe count of each headline cohort."""
    rows = week.counts.filter((pl.col("grouping") == grouping) & (pl.col("group") != TOTAL))
    return (
        rows.filter(pl.col("cohort").is_in(list(HEADINGS)))
        .pivot("cohort", index="group", values="people")
        .select("group", *HEADINGS)
        .sort(pl.col("group").replace_strict(ORDERED, default=0), "group")
    )


def quality(week: IcbWeek) -> list[tuple[str, str]]:
    """What is not known of the people, and how much of the need the places reach: label and safe figure."""
    people = week.tables.people
    tables = week.tables
    not_seen = tables.people_not_seen.filter((pl.col("priority") > 0) & ~pl.col("is_possible_ghost"))
    members = pl.concat([frame["person_id"] for frame in (tables.complex_care, not_seen, tables.lifestyle_risk)])
    overdue = week.tables.non_responders["person_id"]
    in_need = pl.concat([members, overdue]).n_unique()
    figures = {
        "People without an ethnic group on record": people["ethnic_group"].null_count(),
        "People without a deprivation tenth (postcode not known)": people["imd_decile"].null_count(),
        "People in a cohort for whom there was no place this week": in_need - week.tables.target_lists.height,
        "Places this week": week.places,
    }
    safe = pl.DataFrame({"label": list(figures), "count": list(figures.values())})
    return [(label, in_digits(count)) for label, count in week.told.safe(safe, "summary", ["label"], "count").rows()]


def coverage_of(week: IcbWeek, *, grouping: str = "practice", group: str = TOTAL) -> pl.DataFrame:
    """One row per measure: title, percentage covered of one group, and the published figure, in the table's order."""
    rows = week.coverage.filter((pl.col("grouping") == grouping) & (pl.col("group") == group))
    return rows.select("measure", "title", "coverage_percent", "published_percent", "published_for")


def _coverage_rows(week: IcbWeek) -> list[list[dict[str, str]]]:
    """Rows of the table that sets coverage here beside the published figure and the two ends of deprivation."""
    ends = {end: coverage_of(week, grouping="deprivation_fifth", group=end) for end in ("1", "5")}
    of_end = {end: dict(frame.select("measure", "coverage_percent").rows()) for end, frame in ends.items()}
    return [
        [
            {"text": row["title"]},
            *(
                {"text": _percent(figure), "format": "numeric"}
                for figure in (
                    row["coverage_percent"],
                    of_end["1"].get(row["measure"]),
                    of_end["5"].get(row["measure"]),
                )
            ),
            {"text": f"{_percent(row['published_percent'])} ({row['published_for']})", "format": "numeric"},
        ]
        for row in coverage_of(week).drop_nulls("published_percent").iter_rows(named=True)
    ]


def _percent(figure: float | None) -> str:
    return "hidden" if figure is None else f"{figure:.1f}%"


def in_digits(count: int | None) -> str:
    """A safe count as people read it."""
    return HIDDEN if count is None else f"{count:,}"


def _practice_rows(week: IcbWeek) -> list[list[dict[str, str]]]:
    """Rows of the table by practice, named."""
    names = dict(week.tables.practices.select("practice_code", "practice_name").rows())
    return [
        _row(f"{names.get(code, code)} ({code})", counts) for code, *counts in wide_counts(week, "practice").rows()
    ]


def _group_rows(week: IcbWeek) -> list[tuple[str, list[list[dict[str, str]]]]]:
    """Title and rows of the table of each other grouping."""
    return [
        (title, [_row(str(group), counts) for group, *counts in wide_counts(week, grouping).rows()])
        for grouping, title in SHOWN_GROUPS.items()
    ]


def _row(name: str, counts: list[int | None]) -> list[dict[str, str]]:
    """One row for the table macro: the name as text, counts right-aligned."""
    return [{"text": name}, *({"text": in_digits(count), "format": "numeric"} for count in counts)]


@dataclass(frozen=True)
class Chart:
    """A drawing and the sentence that says the same to those who cannot see it."""

    title: str
    says: str
    svg: str


def _charts(week: IcbWeek) -> list[Chart]:
    """The charts that have something to show."""
    rates = {
        "network": "Need and complex-care places by primary care network",
        "deprivation_fifth": "Need and complex-care places by deprivation fifth",
        "ethnic_group": "Need and complex-care places by ethnic group",
    }
    listed = wide_counts(week, "practice").select("group", value="on_the_list")
    covered = (
        coverage_of(week)
        .filter(pl.col("published_percent").is_null())
        .select(group="title", value="coverage_percent")
    )
    charts = [
        _bars(listed, "People on this week's list, by practice", "people"),
        _bars(_reach(week), "Whom this week's places reach, and whom they do not", "people"),
        *[_bars(_need(week, name), title, "people per 1,000") for name, title in rates.items()],
        _bars(covered, "Up to date with screening, immunisation and recall", "per cent of those for whom it is due"),
        _bars(_past(week), "Practices by the state of their data", "practices"),
        _calibration(week),
    ]
    return [chart for chart in charts if chart is not None]


def _reach(week: IcbWeek) -> pl.DataFrame:
    """One row per role and standing: people on a list and people waiting, sums of the practices' counts shown."""
    kinds = {"listed": "on a list", "waiting": "no place this week"}
    sums = week.capacity.group_by("role").agg(pl.col(name).sum() for name in kinds).sort("role")
    long = sums.unpivot(list(kinds), index="role", variable_name="kind").filter(pl.col("value") > 0)
    return long.select(group="role", kind=pl.col("kind").replace(kinds), value="value")


def _past(week: IcbWeek) -> pl.DataFrame:
    """One row per verdict: how many practices stand so."""
    order = ["ok", "unknown", "warn", "hold", "stop"]
    counted = week.standing.group_by(group="verdict").agg(value=pl.len().cast(pl.Int64))
    return counted.sort(pl.col("group").replace_strict(order, list(range(len(order)))))


def _calibration(week: IcbWeek) -> Chart | None:
    """What the risk model said against what came, by twentieth of risk; None without a judged model."""
    if week.twentieths is None or week.twentieths.is_empty():
        return None
    rows = week.twentieths.drop_nulls().select(pl.all() * 100).to_dicts()
    top = max(max(row.values()) for row in rows) * 1.05
    scale = alt.Scale(domain=[0, top])
    x = alt.X("risk:Q", title="estimated, people in 100", scale=scale)
    y = alt.Y("observed:Q", title="admitted, people in 100", scale=scale)
    even = alt.Chart(alt.InlineData(values=[{"risk": 0, "observed": 0}, {"risk": top, "observed": top}]))
    dots = alt.Chart(alt.InlineData(values=rows)).mark_circle(color=BLUE, size=70, opacity=1)
    drawn = (even.mark_line(color=GREY).encode(x=x, y=y) + dots.encode(x=x, y=y)).properties(width=420, height=320)
    title = "Does the estimated risk come true?"
    last = rows[-1]
    says = (
        f"{title} Each dot is a twentieth of the people of practices that the model had not seen when it was judged; "
        f"on the line as many were admitted as estimated. In the highest: {last['risk']:.1f} in 100 estimated, "
        f"{last['observed']:.1f} admitted."
    )
    return Chart(title=title, says=says, svg=draw(drawn))


def _need(week: IcbWeek, grouping: str) -> pl.DataFrame:
    """One row per group and kind: people avoidably admitted in a year, and complex-care places, per 1,000 people."""
    kinds = {"avoidably_admitted": "avoidably admitted in the last year", "complex_care": "place in complex care"}
    ends = {"1": "1 (most deprived)", "5": "5 (least deprived)"} if grouping == "deprivation_fifth" else {}
    shown = (pl.col("grouping") == grouping) & pl.col("cohort").is_in(list(kinds)) & (pl.col("group") != TOTAL)
    rows = week.counts.filter(shown).sort("group", "cohort", maintain_order=True)
    return rows.select(pl.col("group").replace(ends), kind=pl.col("cohort").replace(kinds), value="per_1000")


def _bars(frame: pl.DataFrame, title: str, unit: str) -> Chart | None:
    """Horizontal bars with their figures, in the frame's order; a colour for each kind, if there are several.

    None if all are hidden.
    """
    frame = frame.drop_nulls("value")
    if frame.is_empty():
        return None
    rows = [{"label": row["group"], **row} for row in frame.to_dicts()]
    kinds = list(dict.fromkeys(row["kind"] for row in rows)) if "kind" in frame.columns else []
    is_whole = not frame.schema["value"].is_float()
    # Without the d, round numbers from 10,000 up are drawn as 1e+4.
    figure, ticks = (",d", alt.Axis(tickMinStep=1, format=",d")) if is_whole else (",.1f", alt.Axis())
    room = alt.Scale(zero=True, domainMax=1.12 * max(row["value"] for row in rows))
    y = alt.Y("label:N", sort=list(dict.fromkeys(row["label"] for row in rows)), title=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, x=alt.X("value:Q", title=unit, scale=room, axis=ticks))
    bars, height = base.mark_bar(color=BLUE), alt.Step(28)
    if kinds:
        base = base.encode(yOffset=alt.YOffset("kind:N", sort=kinds))
        colour = alt.Color(
            "kind:N",
            scale=alt.Scale(domain=kinds, range=[BLUE, AMBER]),
            legend=alt.Legend(title=None, orient="top", columns=1, labelFontSize=13, labelLimit=400),
        )
        bars, height = base.mark_bar().encode(color=colour), alt.Step(40, **{"for": "position"})
    figures = base.mark_text(align="left", dx=4, fontSize=13).encode(text=alt.Text("value:Q", format=figure))
    drawn = (bars + figures).properties(width=640, height=height)
    says = "; ".join(
        f"{' '.join([row['label'], *([row['kind']] if kinds else [])])}: {row['value']:,}" for row in rows
    )
    return Chart(title=title, says=f"{title}, {unit}. {says}.", svg=draw(drawn))


def write_page(template: str, path: Path, **values: object) -> None:
    """Writes a page from its template, in the pages' style."""
    page = environment().get_template(template).render(style=(PAGE / "summary.css").read_text("utf-8"), **values)
    path.write_text(page, encoding="utf-8", newline="\n")


def draw(chart: alt.Chart | alt.LayerChart) -> str:
    """A chart as SVG, in the pages' type and without a frame."""
    spec = chart.configure(font=_FONT).configure_view(stroke=None).configure_axis(**_AXIS)
    return str(vl_convert.vegalite_to_svg(spec.to_dict()))


@cache
def environment() -> Environment:
    """Templates: our pages, and the NHS.UK frontend's components, which tolerate undefined parameters."""
    own = FunctionLoader(lambda name: (PAGE / name).read_text("utf-8") if name in PAGES else None)
    nhsuk = PackageLoader("nhsuk_frontend_jinja")
    return Environment(
        loader=ChoiceLoader([own, nhsuk]),
        undefined=ChainableUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
