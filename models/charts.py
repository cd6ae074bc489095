"""Charts of an evaluation as SVG text. Draws what the table says; works nothing out."""

import altair as alt
import polars as pl
import vl_convert

from models.additive import AdditiveModel
from models.evaluation import Evaluation

WIDTH, HEIGHT = 360, 240
NOT_GROUPS = ("all", "rule", "ICB left out", "decay", "recalibrated")
"""Blocks of an evaluation that are no groups of people."""


def draw_charts(model: AdditiveModel, evaluation: Evaluation) -> dict[str, str]:
    """SVG text by chart name: the judgement's, and the points of the model."""
    return draw_judgement(evaluation) | {"points": _svg(_points(model))}


def draw_judgement(evaluation: Evaluation) -> dict[str, str]:
    """SVG text by chart name; a chart whose rows were not judged is left out."""
    charts = {
        "calibration": _calibration(evaluation),
        "cuts": _cuts(evaluation),
        "decision-curve": _decision_curve(evaluation),
        "groups": _groups(evaluation),
        "areas-left-out": _areas(evaluation),
        "decay": _decay(evaluation),
    }
    return {name: _svg(chart) for name, chart in charts.items() if chart is not None}


def _calibration(evaluation: Evaluation) -> alt.Chart:
    rows = evaluation.table.filter(pl.col("group") == "twentieth").select("cut", "value", "low", "high")
    top = float(rows.select(pl.max_horizontal("cut", "high").max()).item() or 1)
    scale = alt.Scale(domain=[0, top])
    risk = alt.X("cut:Q", title="Mean risk in the twentieth", scale=scale)
    observed = alt.Y("value:Q", title="Share with the outcome", scale=scale)
    even = alt.Chart(pl.DataFrame({"cut": [0.0, top], "value": [0.0, top]})).mark_line(
        color="grey", strokeDash=[4, 4]
    )
    spread = alt.Chart(rows).mark_rule(color="#005eb8").encode(x=risk, y="low:Q", y2="high:Q")
    dots = alt.Chart(rows).mark_circle(color="#005eb8", size=40).encode(x=risk, y=observed)
    return even.encode(x=risk, y=observed) + spread + dots


def _cuts(evaluation: Evaluation) -> alt.Chart:
    metrics = {"positive_predictive_value": "found among the listed", "sensitivity": "listed among the found"}
    rows = evaluation.table.filter((pl.col("group") == "all") & pl.col("metric").is_in(list(metrics)))
    rows = rows.select("cut", "value", share=pl.col("metric").replace_strict(metrics))
    percent = alt.Axis(format="%")
    return (
        alt.Chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("cut:Q", title="Share of people listed", axis=percent),
            y=alt.Y("value:Q", title=None, axis=percent),
            color=alt.Color("share:N", title=None),
        )
    )


def _decision_curve(evaluation: Evaluation) -> alt.Chart:
    rows = evaluation.table.filter(pl.col("metric") == "net_benefit").select("cut", "level", "value")
    return (
        alt.Chart(rows.filter(pl.col("value") > -0.02))
        .mark_line(point=True)
        .encode(
            x=alt.X("cut:Q", title="Threshold of risk", axis=alt.Axis(format="%")),
            y=alt.Y("value:Q", title="Net benefit per person"),
            color=alt.Color("level:N", title="Who is chosen"),
        )
    )


def _groups(evaluation: Evaluation) -> alt.Chart | None:
    """Outcomes over what the risks say, group by group, with intervals: 1 is right."""
    shown = evaluation.table.filter(
        (pl.col("metric") == "observed_over_expected") & ~pl.col("group").is_in([*NOT_GROUPS])
    )
    labelled = shown.with_columns(
        name=pl.concat_str("group", "level", separator=": "), high=pl.col("high").clip(upper_bound=3)
    )
    return _dots(labelled, "Outcomes for each that the risks say")


def _areas(evaluation: Evaluation) -> alt.Chart | None:
    """The C-statistic in each ICB by a model that never saw it."""
    rows = evaluation.table.filter((pl.col("metric") == "c_statistic") & (pl.col("group") == "ICB left out"))
    return _dots(rows.with_columns(name="level"), "C-statistic in an ICB left out", line=None)


def _dots(rows: pl.DataFrame, title: str, *, line: float | None = 1.0) -> alt.Chart | None:
    if rows.is_empty():
        return None
    named = alt.Y("name:N", title=None, sort=rows["name"].to_list())
    spread = alt.Chart(rows).mark_rule(color="#005eb8")
    spread = spread.encode(x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q", y=named)
    dots = alt.Chart(rows).mark_circle(color="#005eb8", size=40).encode(x="value:Q", y=named)
    if line is None:
        return spread + dots
    even = alt.Chart(pl.DataFrame({"at": [line]})).mark_rule(color="grey", strokeDash=[4, 4]).encode(x="at:Q")
    return even + spread + dots


def _decay(evaluation: Evaluation) -> alt.Chart | None:
    """The C-statistic of scores that were frozen and of fresh ones, week by week."""
    rows = evaluation.table.filter(pl.col("group") == "decay").select("cut", "value", "level")
    if rows.is_empty():
        return None
    return (
        alt.Chart(rows)
        .mark_line(point=True)
        .encode(
            x=alt.X("cut:Q", title="Weeks after the first scores"),
            y=alt.Y("value:Q", title="C-statistic", scale=alt.Scale(zero=False)),
            color=alt.Color("level:N", title="Scores"),
        )
    )


def _points(model: AdditiveModel) -> alt.Chart:
    spans = pl.DataFrame(
        {"feature": table.name, "low": float(table.by_bin.min()), "high": float(table.by_bin.max())}
        for table in model.tables
    )
    widest = spans.sort(pl.col("high") - pl.col("low"), descending=True).head(20)
    return (
        alt.Chart(widest)
        .mark_bar(color="#005eb8")
        .encode(
            x=alt.X("low:Q", title="Points (log odds), lowest to highest"),
            x2="high:Q",
            y=alt.Y("feature:N", title=None, sort=widest["feature"].to_list()),
        )
    )


def _svg(chart: alt.Chart) -> str:
    sized = chart.properties(width=WIDTH).configure_view(continuousHeight=HEIGHT)
    svg: str = vl_convert.vegalite_to_svg(sized.to_dict())
    return svg
