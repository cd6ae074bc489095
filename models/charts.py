"""Charts of an evaluation as SVG text. Draws what the table says; works nothing out."""

import altair as alt
import polars as pl
import vl_convert

from models.additive import AdditiveModel
from models.evaluation import Evaluation

WIDTH, HEIGHT = 360, 240


def draw_charts(model: AdditiveModel, evaluation: Evaluation) -> dict[str, str]:
    """SVG text by chart name."""
    charts = {
        "calibration": _calibration(evaluation),
        "cuts": _cuts(evaluation),
        "decision-curve": _decision_curve(evaluation),
        "points": _points(model),
    }
    return {name: _svg(chart) for name, chart in charts.items()}


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
    sized = chart.properties(width=WIDTH, height=HEIGHT)
    svg: str = vl_convert.vegalite_to_svg(sized.to_dict())
    return svg
