"""Drift: nothing rings on people like those in training, and what changed is named."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from models.drift import measure_drift, stability_index
from models.training import hold_out, train
from pipelines.io.warehouse import Warehouse
from pipelines.io.weekly_steps import come_true
from pipelines.settings import Settings
from tests.lib.studies import make_study

NOTHING = pl.DataFrame(schema={"risk": pl.Float64, "has_outcome": pl.Boolean})
WEEK = dt.date(2026, 11, 16)


@pytest.fixture(scope="module")
def study():
    return make_study(6_000)


@pytest.fixture(scope="module")
def model(study):
    return train(study.design, study.features, study.people, study.admissions)[0]


def drift(model, study, *, features=None, as_of=WEEK, known=NOTHING) -> dict[str, tuple[float, bool]]:
    found = measure_drift(
        model, study.features if features is None else features, study.people, as_of=as_of, come_true=known
    )
    return {row["name"]: (row["value"], row["is_over"]) for row in found.to_dicts()}


def test_people_like_those_in_training_do_not_ring(model, study):
    found = drift(model, study)
    assert {*model.names, "days_since_index_date"} == set(found)
    assert not any(is_over for _, is_over in found.values())
    assert all(value < 0.05 for name, (value, _) in found.items() if name in model.names)


def test_an_input_that_stopped_coming_is_named(model, study):
    found = drift(model, study, features=study.features.filter(pl.col("feature") != "egfr"))
    assert [name for name, (_, is_over) in found.items() if is_over] == ["egfr"]


@pytest.mark.parametrize(("days", "is_over"), [(1094, False), (1095, False), (1096, True)])
def test_an_old_model_is_due(model, study, days, is_over):
    as_of = model.design.index_date + dt.timedelta(days=days)
    assert drift(model, study, as_of=as_of)["days_since_index_date"] == (float(days), is_over)


@pytest.mark.parametrize(("share", "is_over"), [(0.1, False), (0.2, True), (0.05, True)])
def test_risks_that_do_not_come_true_ring(model, study, share, is_over):
    known = pl.DataFrame({"risk": np.full(4_000, 0.1), "has_outcome": np.arange(4_000) < share * 4_000})
    found = drift(model, study, known=known)
    assert found["observed_over_expected"][0] == pytest.approx(share / 0.1)
    assert found["distance_from_one_beyond_chance"][1] is is_over


def test_the_stability_index_is_zero_for_the_same_and_grows_with_distance():
    same, near, far = np.array([0.5, 0.5]), np.array([0.4, 0.6]), np.array([0.1, 0.9])
    assert stability_index(same, same) == 0
    assert 0 < stability_index(same, near) < stability_index(same, far)


def test_only_weeks_whose_outcomes_are_complete_are_asked_whether_risks_came_true(model, tmp_path):
    warehouse = Warehouse(Settings(home=tmp_path))
    complete = model.design.known_on(WEEK).index_date
    for week in (complete - dt.timedelta(weeks=1), complete, complete + dt.timedelta(weeks=1)):
        folder = tmp_path / "tables" / f"{week}" / "risk_scores"
        folder.mkdir(parents=True)
        pl.DataFrame({"person_id": [1, 2], "risk_avoidable_admission_12m": [0.3, None]}).write_parquet(
            folder / "QZA.parquet"
        )
    folder = tmp_path / "tables" / f"{WEEK}" / "avoidable_admissions"
    folder.mkdir(parents=True)
    pl.DataFrame({"person_id": [1], "admitted_date": [complete]}).write_parquet(folder / "QZA.parquet")
    known = come_true(warehouse, model.design, as_of=WEEK, icb="QZA")
    assert known.select("risk", "has_outcome").rows() == [(0.3, True)]


def test_practices_that_were_held_out_are_no_drift(study):
    """Held-out practices hold the old: the week's people are the study's people, so nothing has changed."""
    old = study.people.filter(pl.col("age_years") >= 70)["person_id"]
    is_old = pl.col("person_id").is_in(old.implode())
    apart = study.people.with_columns(
        practice_code=pl.when(is_old).then(pl.lit("Y90000")).otherwise(pl.col("practice_code"))
    )
    held_out = apart.filter(hold_out(study.design, apart["practice_code"]))["practice_code"]
    assert "Y90000" in set(held_out)
    model, _ = train(study.design, study.features, apart, study.admissions)
    found = measure_drift(model, study.features, apart, as_of=WEEK, come_true=NOTHING)
    assert found.filter("is_over").is_empty()
