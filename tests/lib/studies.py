"""Made-up studies whose true risk is known: people, long features and admissions, for tests of the models."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts.clinical.definitions import Feature as Definition
from models.design import StudyDesign, read_design

DESIGN = """
name: made_up
version: 1
purpose: tests
population: {description: everyone}
index_date: 2025-09-15
lookbacks: none
follow_up:
  {outcome: avoidable_admissions, horizon_days: 365, late_coding_gap_days: 60, deaths: compete, leavers: counted,
   worked: left_out}
features:
  - {name: age_years, risk: rises, is_needed: true}
  - {name: admissions_12m, risk: rises}
  - {name: egfr}
  - {name: has_copd, risk: rises}
  - {name: prison, is_reason: false}
estimators:
  - {name: cambridge_only, settings: {inverse_penalty: 1}}
  - {name: logistic_splines, settings: {inverse_penalty: 1}}
  - name: additive_boosting
    settings: {learning_rate: 0.1, iterations: 60, leaves: 6, smallest_leaf: 40, penalty: 1}
choice: {comparison_people: 100000, c_statistic_within: 0.005, average_precision_share: 0.95}
max_bins: 32
smallest_events: 30
reasons_shown: 3
split: {held_out_share: 0.25, folds: 3, seed: 1}
judgement:
  cuts: [0.02, 0.1]
  thresholds: [0.05, 0.2]
  subgroups: [{name: sex, column: sex}, {name: age, column: age_years, edges: [40, 65]}]
  rules: [{name: two admissions, column: admissions_12m, at_least: 2}]
  smallest_group_events: 20
  alarm_c_statistic: 0.85
  alarm_positive_predictive_value: 0.8
  alarm_cut: 0.02
  drift_limit: 0.2
  drift_every: 2
  calibration_limit: 0.1
  oldest_days: 1095
"""

DEFINITIONS = {
    name: Definition(name=name, description=name, kind="made up", unit="none", source="made up", absent=absent)
    for name, absent in {
        "age_years": "unknown",
        "admissions_12m": "zero",
        "egfr": "unknown",
        "has_copd": "zero",
        "prison": "zero",
    }.items()
}


@dataclass(frozen=True)
class Study:
    """One made-up study."""

    design: StudyDesign
    features: pl.LazyFrame
    people: pl.DataFrame
    admissions: pl.DataFrame
    cambridge: pl.DataFrame
    truth: pl.DataFrame


def make_design(**changes: object) -> StudyDesign:
    """The design of the tests, with changes."""
    return read_design(DESIGN, DEFINITIONS).model_copy(update=changes)


def make_study(size: int = 8_000, *, seed: int = 1, practices: int = 12, hidden_need: float = 0.0) -> Study:
    """A study of so many people, the same for the same seed; women have log odds that no record shows."""
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 95, size)
    admissions = draw.poisson(0.15, size) * (draw.random(size) < 0.5)
    egfr = np.where(draw.random(size) < 0.6, draw.normal(80, 20, size), np.nan)
    copd, prison = draw.random(size) < 0.06, draw.random(size) < 0.01
    kidney = np.where(np.isnan(egfr), 0.0, 0.02 * (80 - np.nan_to_num(egfr)))
    log_odds = -4.8 + 0.04 * (age - 50) + 0.9 * admissions + 1.1 * copd + kidney + 0.5 * prison
    is_female = draw.random(size) < 0.5
    risk = 1 / (1 + np.exp(-log_odds - hidden_need * is_female))
    ids = np.sort(draw.choice(2**40, size, replace=False))
    wide = {
        "age_years": age.astype(float),
        "admissions_12m": np.where(admissions > 0, admissions, np.nan),
        "egfr": egfr,
        "has_copd": np.where(copd, 1.0, np.nan),
        "prison": np.where(prison, 1.0, np.nan),
    }
    long = pl.concat(
        pl.DataFrame({"person_id": ids, "feature": name, "value": values}) for name, values in wide.items()
    ).filter(pl.col("value").is_not_nan())
    is_case = draw.random(size) < risk
    days = draw.integers(0, 365, int(is_case.sum()))
    return Study(
        design=make_design(),
        features=long.sort("person_id", "feature").lazy(),
        people=pl.DataFrame(
            {
                "person_id": ids,
                "practice_code": [f"Y{number:05}" for number in draw.integers(0, practices, size)],
                "age_years": age,
                "sex": np.where(is_female, "female", "male"),
            }
        ),
        admissions=pl.DataFrame(
            {
                "person_id": ids[is_case],
                "admitted_date": [dt.date(2025, 9, 15) + dt.timedelta(days=int(day)) for day in days],
                "condition": "copd",
            },
            schema_overrides={"admitted_date": pl.Date},
        ),
        cambridge=pl.DataFrame({"person_id": ids, "cambridge_score": copd * 1.5 + (age > 70) * 0.5}),
        truth=pl.DataFrame({"person_id": ids, "true_risk": risk, "observable_risk": risk}),
    )
