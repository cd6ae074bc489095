"""For any people: a score does not depend on company, its parts add up, and probabilities are probabilities."""

from functools import cache

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from models import additive, matrix
from models.additive import AdditiveModel
from models.training import train
from tests.lib.studies import Study, make_study


@cache
def trained() -> tuple[Study, AdditiveModel]:
    study = make_study(5_000)
    return study, train(study.design, study.features, study.people, study.admissions)[0]


@settings(max_examples=20, derandomize=True, deadline=None)
@given(places=st.lists(st.integers(0, 4_999), min_size=1, max_size=40, unique=True), seed=st.integers(0, 99))
def test_score_does_not_depend_on_who_else_is_scored_or_on_order(places, seed):
    study, model = trained()
    everyone = model.score(study.features, study.people["person_id"])
    some = study.people["person_id"].gather(places)
    shuffled = study.features.collect().sample(fraction=1, shuffle=True, seed=seed).lazy()
    alone = model.score(shuffled, some)
    assert alone.equals(everyone.filter(pl.col("person_id").is_in(some.to_list())))


@settings(max_examples=20, derandomize=True, deadline=None)
@given(
    values=st.lists(
        st.tuples(st.sampled_from(["age_years", "egfr", "admissions_12m", "has_copd"]), st.floats(-1e9, 1e9)),
        unique_by=lambda value: value[0],
        max_size=4,
    )
)
def test_parts_add_up_to_the_raw_score_and_risk_is_a_probability(values):
    _, model = trained()
    rows = {"person_id": [5] * (len(values) + 1), "feature": ["prison", *(name for name, _ in values)]}
    features = pl.DataFrame(rows | {"value": [1.0, *(value for _, value in values)]}).lazy()
    ids = pl.Series([5])
    scores = model.score(features, ids)
    total = model.contributions(features, ids)["points"].sum() + model.intercept
    is_scored = any(name == "age_years" for name, _ in values)
    assert scores["raw_score"].is_not_null().to_list() == [is_scored]
    if is_scored:
        assert abs(scores["raw_score"][0] - total) < 1e-9
        assert 0 <= scores["risk"][0] <= 1
        assert "prison" not in (model.explain(features, ids)["reasons"][0] or "")


def test_batches_change_nothing(monkeypatch):
    study, model = trained()
    ids = study.people["person_id"]
    whole = model.score(study.features, ids), model.explain(study.features, ids)
    monkeypatch.setattr(matrix, "BATCH_PEOPLE", 777)
    monkeypatch.setattr(additive, "BATCH", 777)
    assert model.score(study.features, ids).equals(whole[0])
    assert model.explain(study.features, ids).equals(whole[1])


def test_risk_never_falls_as_the_raw_score_rises():
    _, model = trained()
    raw = np.linspace(-20, 10, 999)
    assert (np.diff(model.calibration.probabilities(raw)) >= 0).all()
