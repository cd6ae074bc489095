"""How good scores are, as one long table of metrics. Judges any scores beside outcomes; draws nothing."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

import numpy as np
import polars as pl
from scipy.special import expit
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import SplineTransformer

from data_contracts.clinical.definitions import ethnic_titles
from models.calibration import NORMAL_95, Interval, observed_over_expected
from models.design import StudyDesign, Subgroup
from models.matrix import Floats

SMALLEST_PROBABILITY = 1e-9
WEAKEST_RIDGE = 1e6
NEWTON_STEPS = 50

TABLE = {
    "metric": pl.String,
    "group": pl.String,
    "level": pl.String,
    "cut": pl.Float64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
"""Columns of an evaluation: cut is a share of people or a threshold of risk; low and high bound 95%."""


class Row(TypedDict, total=False):
    """One row of an evaluation, before it is a table."""

    metric: str
    group: str
    level: str
    cut: float | None
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scored:
    """Scored people with outcomes, in the order of the score (highest first; ties by person_id)."""

    raw_scores: Floats
    risks: Floats
    outcomes: Floats
    counts: Floats

    def top(self, share: float) -> int:
        """How many people a share of them is, at least one."""
        return max(1, round(share * len(self.outcomes)))

    def only(self, chosen: np.ndarray) -> "Scored":
        """The same with some of the people, in the same order."""
        return Scored(self.raw_scores[chosen], self.risks[chosen], self.outcomes[chosen], self.counts[chosen])


@dataclass(frozen=True)
class Evaluation:
    """One judgement: its long table, and what in it is too good to be true."""

    table: pl.DataFrame
    alarms: tuple[str, ...] = ()

    def with_rows(self, rows: list[Row]) -> "Evaluation":
        """The same with more rows."""
        return Evaluation(pl.concat([self.table, _table(rows)]), self.alarms)

    def value(self, metric: str, *, group: str = "all", level: str = "all", cut: float | None = None) -> float:
        """One figure.

        Raises:
            KeyError: the table has no such row.
        """
        chosen = self.table.filter(
            (pl.col("metric") == metric) & (pl.col("group") == group) & (pl.col("level") == level),
            pl.col("cut").eq_missing(pl.lit(cut, dtype=pl.Float64)),
        )
        if chosen.height != 1:
            raise KeyError(f"{metric}, {group}={level}, cut {cut}: expected one row, found {chosen.height}")
        return float(chosen["value"][0])


def evaluate(design: StudyDesign, scores: pl.DataFrame, people: pl.DataFrame) -> Evaluation:
    """The judgement of the scores of people whose outcomes are known.

    Args:
        design: says the cuts, thresholds and subgroups.
        scores: one row per person: person_id, raw_score (null if there is none) and risk.
        people: one row per person with has_outcome, outcome_count and the columns of the subgroups.

    Raises:
        ValueError: a single class: nothing can be judged.
    """
    joined = people.join(scores, on="person_id", how="left", validate="1:1")
    known = joined.filter(pl.col("raw_score").is_not_null()).sort(
        ["raw_score", "person_id"], descending=[True, False]
    )
    scored = _scored(known)
    _check_classes(scored)
    rows: list[Row] = [
        {"metric": "people", "value": float(joined.height)},
        {"metric": "unscored", "value": float(joined.height - known.height)},
        *_overall(scored),
        *_calibration(scored),
        *_twentieths(scored),
        *_at_cuts(design, scored),
        *_inside_the_top(design, scored),
        *_new_cases(design, scored, known),
        *_decision_curve(design, scored, known),
    ]
    for subgroup in design.judgement.subgroups:
        if subgroup.column in known.columns:
            rows += _by_subgroup(design, subgroup, known, scored)
    evaluation = Evaluation(_table(rows))
    return Evaluation(evaluation.table, tuple(_alarms(design, evaluation)))


def with_subgroups(
    design: StudyDesign, features: pl.LazyFrame, people: pl.DataFrame, as_of_date: dt.date | None = None
) -> pl.DataFrame:
    """The people, with the columns that the design's subgroups and rules need and that features or dates can give."""
    day = as_of_date or design.index_date
    if "registered_date" in people.columns:
        people = people.with_columns(registered_days=(day - pl.col("registered_date")).dt.total_days())
    judgement = design.judgement
    columns = [subgroup.column for subgroup in judgement.subgroups] + [rule.column for rule in judgement.rules]
    wanted = set(columns) - set(people.columns)
    counted = sorted(
        feature.name for feature in design.features if feature.name in wanted and feature.absent == "zero"
    )
    for name in counted:
        values = features.filter(pl.col("feature") == name).select("person_id", pl.col("value").alias(name)).collect()
        people = people.join(values, on="person_id", how="left", validate="1:1", maintain_order="left")
    return people.with_columns(pl.col(counted).fill_null(0.0))


def against_oracle(
    design: StudyDesign, scores: pl.DataFrame, truth: pl.DataFrame, people: pl.DataFrame
) -> Evaluation:
    """The scores beside the best that could be known, for made-up people whose true risk was planted.

    Args:
        design: says the cuts.
        scores: one row per person: person_id, raw_score (null if there is none) and risk.
        truth: one row per person: person_id, true_risk, observable_risk.
        people: one row per person with has_outcome.
    """
    joined = (
        people.select("person_id", "has_outcome")
        .join(scores.filter(pl.col("raw_score").is_not_null()), on="person_id", how="inner", validate="1:1")
        .join(truth, on="person_id", how="inner", validate="1:1")
        .sort("person_id")
    )
    outcomes = joined["has_outcome"].cast(pl.Float64).to_numpy()
    true = joined["true_risk"].to_numpy()
    ranked = {name: joined[name].to_numpy() for name in ("raw_score", "observable_risk", "true_risk")}
    rows: list[Row] = []
    for name, score in ranked.items():
        rows.append(
            {"metric": "c_statistic", "group": "oracle", "level": name, **_spread(c_statistic(score, outcomes))}
        )
        for cut in design.judgement.cuts:
            top = np.argsort(-score, kind="stable")[: max(1, round(cut * len(score)))]
            found = {"positive_predictive_value": outcomes, "mean_true_risk": true}
            rows += [
                {"metric": metric, "group": "oracle", "level": name, "cut": cut, "value": float(values[top].mean())}
                for metric, values in found.items()
            ]
    risk = joined["risk"].to_numpy()
    rows.append({"metric": "calibration_error_against_truth", "group": "oracle", "value": _smooth_error(risk, true)})
    rows.append({"metric": "rank_correlation_with_truth", "group": "oracle", "value": _rank_correlation(risk, true)})
    return Evaluation(_table(rows))


def c_statistic(scores: Floats, outcomes: Floats) -> Interval:
    """The chance that a person with the outcome scores above one without, with DeLong's 95% interval."""
    is_case = outcomes > 0
    cases, others = scores[is_case], scores[~is_case]
    everyone = rankdata(np.concatenate([cases, others]))
    above = (everyone[: len(cases)] - rankdata(cases)) / len(others)
    below = 1 - (everyone[len(cases) :] - rankdata(others)) / len(cases)
    value = float(above.mean())
    spread = NORMAL_95 * float(np.sqrt(above.var() / len(cases) + below.var() / len(others)))
    return Interval(value, max(0.0, value - spread), min(1.0, value + spread))


def average_precision(scores: Floats, outcomes: Floats) -> float:
    """Area under precision against recall; that of a random order is the share of people with the outcome."""
    return float(average_precision_score(outcomes, scores))


def proportion(found: float, among: float) -> Interval:
    """A share with Wilson's 95% interval."""
    share, z = found / among, NORMAL_95
    middle = (share + z**2 / (2 * among)) / (1 + z**2 / among)
    spread = z / (1 + z**2 / among) * float(np.sqrt(share * (1 - share) / among + z**2 / (4 * among**2)))
    return Interval(share, max(0.0, middle - spread), min(1.0, middle + spread))


def calibration_slope(risks: Floats, outcomes: Floats) -> Interval:
    """How far outcomes spread with the log odds of the risk: 1 is right, below 1 the risks are too extreme.

    Not a number where the outcomes say nothing of it: one risk for all, or everyone with above everyone without.
    """
    log_odds = _log_odds(risks)
    x = np.column_stack([np.ones(len(risks)), log_odds])
    is_case = outcomes > 0
    if np.ptp(log_odds) == 0 or log_odds[is_case].min() > log_odds[~is_case].max():
        return Interval(np.nan, np.nan, np.nan)
    beta = np.array([0.0, 1.0])
    for _ in range(NEWTON_STEPS):
        fitted = expit(x @ beta)
        information = x.T @ (x * (fitted * (1 - fitted))[:, None])
        step = np.linalg.solve(information, x.T @ (outcomes - fitted))
        beta = beta + step
        if np.abs(step).max() < SMALLEST_PROBABILITY:
            break
    spread = NORMAL_95 * float(np.sqrt(np.linalg.inv(information)[1, 1]))
    return Interval(float(beta[1]), float(beta[1]) - spread, float(beta[1]) + spread)


def observed_curve(risks: Floats, outcomes: Floats) -> Floats:
    """The smoothed share with the outcome at each risk: logistic regression on a cubic spline of its log odds."""
    log_odds = _log_odds(risks)[:, None]
    knots = np.unique(np.quantile(log_odds, [0.0, 0.25, 0.5, 0.75, 0.95, 1.0]))[:, None]
    if len(knots) < 3:
        return np.full(len(risks), outcomes.mean())
    curve = SplineTransformer(knots=knots, degree=3, include_bias=False).fit_transform(log_odds)
    model = LogisticRegression(C=WEAKEST_RIDGE, max_iter=2000).fit(curve, outcomes)
    return np.asarray(model.predict_proba(curve)[:, 1], dtype=np.float64)


def _overall(scored: Scored) -> Iterator[Row]:
    yield {"metric": "outcomes", "value": float(scored.outcomes.sum())}
    yield {"metric": "prevalence", **_spread(proportion(float(scored.outcomes.sum()), len(scored.outcomes)))}
    yield {"metric": "c_statistic", **_spread(c_statistic(scored.raw_scores, scored.outcomes))}
    yield {"metric": "average_precision", "value": average_precision(scored.raw_scores, scored.outcomes)}
    yield {"metric": "brier", "value": float(np.mean((scored.risks - scored.outcomes) ** 2))}


def _calibration(scored: Scored) -> Iterator[Row]:
    errors = np.abs(observed_curve(scored.risks, scored.outcomes) - scored.risks)
    yield {"metric": "observed_over_expected", **_spread(observed_over_expected(scored.risks, scored.outcomes))}
    yield {"metric": "calibration_slope", **_spread(calibration_slope(scored.risks, scored.outcomes))}
    yield {"metric": "calibration_index", "value": float(errors.mean())}
    yield {"metric": "calibration_error_median", "value": float(np.quantile(errors, 0.5))}
    yield {"metric": "calibration_error_90", "value": float(np.quantile(errors, 0.9))}


def _twentieths(scored: Scored) -> Iterator[Row]:
    """Observed share beside mean risk, in twentieths of the people by risk, lowest first."""
    for number, part in enumerate(np.array_split(np.arange(len(scored.risks))[::-1], 20), start=1):
        if len(part):
            share = proportion(float(scored.outcomes[part].sum()), len(part))
            cut = float(scored.risks[part].mean())
            yield {"metric": "observed", "group": "twentieth", "level": f"{number:02}", "cut": cut, **_spread(share)}


def _at_cuts(design: StudyDesign, scored: Scored) -> Iterator[Row]:
    cases, spells = float(scored.outcomes.sum()), float(scored.counts.sum())
    for cut in design.judgement.cuts:
        top = scored.top(cut)
        found = float(scored.outcomes[:top].sum())
        precision = proportion(found, top)
        yield {"metric": "flagged", "cut": cut, "value": float(top)}
        yield {"metric": "positive_predictive_value", "cut": cut, **_spread(precision)}
        yield {"metric": "sensitivity", "cut": cut, **_spread(proportion(found, cases))}
        yield {"metric": "lift", "cut": cut, "value": precision.value / (cases / len(scored.outcomes))}
        yield {"metric": "share_of_admissions", "cut": cut, "value": float(scored.counts[:top].sum()) / spells}
        yield {"metric": "contacted_per_person_found", "cut": cut, "value": top / max(found, 1.0)}
        expected = observed_over_expected(scored.risks[:top], scored.outcomes[:top])
        yield {"metric": "observed_over_expected", "cut": cut, **_spread(expected)}


def _inside_the_top(design: StudyDesign, scored: Scored) -> Iterator[Row]:
    """Calibration among the people whom the list would hold: where the risks are used."""
    cut = design.judgement.alarm_cut
    top = scored.only(np.arange(scored.top(cut)))
    cases = int(top.outcomes.sum())
    if min(cases, len(top.outcomes) - cases) >= design.judgement.smallest_group_events:
        errors = np.abs(observed_curve(top.risks, top.outcomes) - top.risks)
        yield {"metric": "calibration_slope", "cut": cut, **_spread(calibration_slope(top.risks, top.outcomes))}
        yield {"metric": "calibration_index", "cut": cut, "value": float(errors.mean())}


def _new_cases(design: StudyDesign, scored: Scored, known: pl.DataFrame) -> Iterator[Row]:
    """Of the people found, the share whom each simple rule would have missed: whom practices may not know yet."""
    for rule in design.judgement.rules:
        if rule.column in known.columns:
            is_missed = (known[rule.column].fill_null(0) < rule.at_least).to_numpy()
            for cut in design.judgement.cuts:
                top = scored.top(cut)
                found = max(float(scored.outcomes[:top].sum()), 1.0)
                missed = float(scored.outcomes[:top][is_missed[:top]].sum())
                yield {
                    "metric": "found_beyond_rule",
                    "group": "rule",
                    "level": rule.name,
                    "cut": cut,
                    **_spread(proportion(missed, found)),
                }


def _decision_curve(design: StudyDesign, scored: Scored, known: pl.DataFrame) -> Iterator[Row]:
    """Net benefit of choosing by the model, by each simple rule and of choosing everyone; choosing nobody gives 0."""
    rules = {
        rule.name: (known[rule.column].fill_null(0) >= rule.at_least).to_numpy()
        for rule in design.judgement.rules
        if rule.column in known.columns
    }
    for threshold in design.judgement.thresholds:
        odds = threshold / (1 - threshold)
        chosen = scored.risks >= threshold
        for level, is_chosen in {"model": chosen, "everyone": np.ones_like(chosen), **rules}.items():
            right = float(scored.outcomes[is_chosen].sum())
            wrong = float(is_chosen.sum()) - right
            benefit = (right - wrong * odds) / len(scored.outcomes)
            yield {"metric": "net_benefit", "group": "rule", "level": level, "cut": threshold, "value": benefit}


def _by_subgroup(design: StudyDesign, subgroup: Subgroup, known: pl.DataFrame, scored: Scored) -> list[Row]:
    levels = _levels(subgroup, known[subgroup.column])
    top = np.zeros(known.height, dtype=bool)
    top[: scored.top(design.judgement.alarm_cut)] = True
    rows: list[Row] = []
    for level in levels.unique().sort().to_list():
        chosen = (levels == level).to_numpy()
        found = _of_group(design, scored.only(chosen), top[chosen])
        rows += [{**row, "group": subgroup.name, "level": level} for row in found]
    return rows


def _of_group(design: StudyDesign, group: Scored, is_top: np.ndarray) -> Iterator[Row]:
    cut, cases = design.judgement.alarm_cut, float(group.outcomes.sum())
    yield {"metric": "people", "value": float(len(group.outcomes))}
    yield {"metric": "outcomes", "value": cases}
    yield {"metric": "flagged_share", "cut": cut, "value": float(is_top.mean())}
    if min(cases, len(group.outcomes) - cases) < design.judgement.smallest_group_events:
        yield {"metric": "observed_over_expected", **_spread(observed_over_expected(group.risks, group.outcomes))}
        return
    found = float(group.outcomes[is_top].sum())
    yield {"metric": "c_statistic", **_spread(c_statistic(group.raw_scores, group.outcomes))}
    yield {"metric": "sensitivity", "cut": cut, **_spread(proportion(found, cases))}
    if is_top.any():
        yield {"metric": "positive_predictive_value", "cut": cut, **_spread(proportion(found, float(is_top.sum())))}
    yield from _calibration(group)


def _levels(subgroup: Subgroup, column: pl.Series) -> pl.Series:
    """The level of each person: the value or its title, or the stretch between edges that it falls in."""
    if not subgroup.edges:
        codes = column.cast(pl.String)
        return (codes.replace(ethnic_titles()) if subgroup.titles else codes).fill_null("unknown")
    shown = [f"{edge:g}" for edge in subgroup.edges]
    middles = [f"{low} to under {high}" for low, high in pairwise(shown)]
    labels = pl.Series([f"under {shown[0]}", *middles, f"{shown[-1]} and over"])
    places = np.searchsorted(subgroup.edges, column.cast(pl.Float64).fill_null(0.0).to_numpy(), side="right")
    unknown = pl.Series(["unknown"]).new_from_index(0, len(column))
    return labels.gather(places).zip_with(column.is_not_null(), unknown)


def _alarms(design: StudyDesign, evaluation: Evaluation) -> Iterator[str]:
    judgement = design.judgement
    limits = {
        ("c_statistic", None): judgement.alarm_c_statistic,
        ("positive_predictive_value", judgement.alarm_cut): judgement.alarm_positive_predictive_value,
    }
    for (metric, cut), limit in limits.items():
        found = evaluation.value(metric, cut=cut)
        if found > limit:
            yield (
                f"{metric} is {found:.3f}, above {limit}: too good to be true. Look for a feature that knows the "
                "outcome, such as one built from records entered after the index date"
            )


def _scored(known: pl.DataFrame) -> Scored:
    columns = ("raw_score", "risk", "has_outcome", "outcome_count")
    return Scored(*(known[column].cast(pl.Float64).to_numpy() for column in columns))


def _check_classes(scored: Scored) -> None:
    cases = int(scored.outcomes.sum())
    if cases in (0, len(scored.outcomes)):
        raise ValueError(
            f"outcomes: expected people with and without, found {cases} of {len(scored.outcomes)} scored people "
            "with; look at the dates of the outcome table"
        )


def _table(rows: list[Row]) -> pl.DataFrame:
    filled = pl.DataFrame(rows, schema=TABLE) if rows else pl.DataFrame(schema=TABLE)
    return filled.with_columns(pl.col("group", "level").fill_null("all"))


def _spread(interval: Interval) -> Row:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _log_odds(risks: Floats) -> Floats:
    clipped = risks.clip(SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


def _rank_correlation(left: Floats, right: Floats) -> float:
    return float(np.corrcoef(rankdata(left), rankdata(right))[0, 1])


def _smooth_error(risks: Floats, true: Floats) -> float:
    """Mean distance between risk and the mean true risk of the people in its hundredth."""
    hundredths = np.array_split(np.argsort(risks, kind="stable"), 100)
    gaps = [abs(float(risks[part].mean() - true[part].mean())) * len(part) for part in hundredths if len(part)]
    return float(np.sum(gaps) / len(risks))
