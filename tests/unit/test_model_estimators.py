"""Fits: the table read out of boosting is exact, sure directions hold, the challenger is compared and not served."""

import numpy as np
import polars as pl
import pytest

from models import estimators
from models.design import Estimator, Feature
from models.matrix import Binning, bin_batch, choose_edges, label, select_rows
from models.training import make_sample, train
from tests.lib.studies import make_study

BOOSTING = {"learning_rate": 0.1, "iterations": 40, "leaves": 6, "smallest_leaf": 40, "penalty": 1.0}


@pytest.fixture(scope="module")
def study():
    return make_study(5_000)


@pytest.fixture(scope="module")
def sample(study):
    labelled = label(study.design, study.people, study.admissions)
    return make_sample(study.features, labelled, study.design.features, max_bins=24)


def test_table_read_out_of_boosting_gives_the_models_own_scores(sample):
    estimator = Estimator(name="additive_boosting", settings=BOOSTING)
    model = estimators._boosting(estimator, sample, seed=1, interactions="no_interactions")
    parts = estimators.fit(estimator, sample, seed=1)
    own = model.decision_function(estimators._numbers(sample.bins, sample.binnings))
    np.testing.assert_allclose(parts.raw_scores(sample.bins), own, atol=1e-9)


@pytest.mark.parametrize("name", ["logistic_splines", "additive_boosting"])
def test_parts_are_centred_on_the_people_fitted(sample, name):
    settings = BOOSTING if name == "additive_boosting" else {"inverse_penalty": 1.0}
    parts = estimators.fit(Estimator(name=name, settings=settings), sample, seed=1)
    means = [points[row].mean() for points, row in zip(parts.points, sample.bins, strict=True)]
    np.testing.assert_allclose(means, 0, atol=1e-9)


def test_boosting_never_falls_where_risk_surely_rises(sample):
    parts = estimators.fit(Estimator(name="additive_boosting", settings=BOOSTING), sample, seed=1)
    for feature, points in zip(sample.features, parts.points, strict=True):
        if feature.risk == "rises":
            assert (np.diff(points[:-1]) >= -1e-9).all()


def test_the_challenger_is_compared_and_never_served(study):
    challenger = Estimator(name="full_boosting", settings=BOOSTING)
    changed = study.design.model_copy(update={"estimators": (*study.design.estimators, challenger)})
    model, evaluation = train(changed, study.features, study.people, study.admissions)
    assert evaluation.value("cross_fitted_c_statistic", group="estimator", level="full_boosting") > 0.6
    assert evaluation.value("chosen", group="estimator", level="full_boosting") == 0
    assert model.estimator != "full_boosting"


def test_an_estimator_that_needs_more_outcomes_is_not_tried(study):
    hungry = study.design.estimators[2].model_copy(update={"smallest_events": 10_000})
    changed = study.design.model_copy(update={"estimators": (study.design.estimators[1], hungry)})
    _, evaluation = train(changed, study.features, study.people, study.admissions)
    assert evaluation.table.filter(pl.col("level") == "additive_boosting").is_empty()


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0), (0.49, 0), (0.5, 1), (1.0, 1), (1.5, 2), (9.0, 2), (np.nan, 3)]
)
def test_values_fall_in_the_bin_whose_edges_they_reach(value, expected):
    binning = Binning("counts", "zero", np.array([0.5, 1.5]))
    assert binning.bins_of(np.array([value]))[0] == expected


@pytest.mark.parametrize(("absent", "expected"), [("zero", 0), ("unknown", 3)])
def test_no_row_means_what_the_feature_says(absent, expected):
    assert Binning("counts", absent, np.array([0.5, 1.5])).absent_bin == expected


def test_zero_has_a_bin_of_its_own_among_many_values():
    values = np.linspace(0.01, 100, 5_000)
    edges = choose_edges(Feature(name="days", absent="zero"), values, max_bins=10)
    assert len(edges) <= 11
    assert (np.searchsorted(edges, [0.0, 0.01], side="right") == [0, 1]).all()


def test_two_values_of_one_feature_are_refused():
    rows = pl.DataFrame({"person_id": [1, 1], "feature": ["x", "x"], "value": [1.0, 2.0]}).lazy()
    with pytest.raises(ValueError, match="1 rows repeat a person and feature"):
        bin_batch(select_rows(rows, ["x"]), np.array([1]), [Binning("x", "zero", np.array([0.5]))])
